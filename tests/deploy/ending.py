"""A second stack beside the first, the end of a user, and the end of a stack."""

import re

import jmespath

import connecting
import webhooks
from bus import Listener
from report import Failed, Lacking, expect, until
from stack import Stack

DOMAIN = "second.example.com"


def second_beside(world):
    """A second stack beside the first: each has its own users, records, events and keys"""
    first, second = world.first, world.second
    certificate = world.aws("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"]
    second.deploy(DomainName=DOMAIN, CertificateArn=certificate)
    second.configure()
    listener = Listener(second)
    expect(second.status("stripe")["state"] == "never_connected", "it knows the first stack's user")
    bearer = {"authorization": f"Bearer {first.token()}"}
    expect(second.web.call("GET", f"{second.url}/integrations", None, bearer).status == 401, "the first stack's token is taken")
    second.json("POST", "/connect/stripe", {"api_key": connecting.KEY}, status=201)
    connecting.synced(second, "stripe")
    answer = webhooks.stripe(second, webhooks.customer("evt_second", "second@example.com", "cus_second"))
    expect(answer.status == 200, f"it is answered {answer}")
    until("evt_second", lambda: listener.count(id="evt_second"))
    expect("cus_second" in second.records("stripe", "customers"), "it is no record")
    expect("cus_second" not in first.records("stripe", "customers"), "it is a record of the first stack")
    expect(world.listener.count(id="evt_second") == 0, "it is on the first stack's bus")
    return f"{len(second.resources)} resources"


def erased(world):
    """A user is erased: grants are revoked, and nothing of the user's is left"""
    stack = world.first
    ids = {stack.status(provider)["integration_id"] for provider in ("slack", "stripe", "google-calendar", "gmail")}
    stack.json("DELETE", "/users/ada", status=202, user="admin", role="admin")
    until("the end of the erasure", lambda: stack.json("GET", "/users/ada", user="admin", role="admin")["state"] == "erased", 60)
    left = [(table, item) for table in ("integrations", "credentials", "webhook-secrets", "records", "syncs")
            for item in world.scan(stack.name(table)) if (item.get("integration_id") in ids or item.get("user_id") == "ada")
            # Those of the erasure, so that no late sync begins; they have no more than the id, and expire.
            and not (item.get("item") in ("lease", "lease#full") and "expires_at" in item)]
    expect(not left, f"{len(left)} items are left, such as {left[:1]}")
    grants = world.order("slack", "GET", "grants") + world.order("google", "GET", "grants")
    active = [grant for grant in grants if grant["state"] == "active"]
    expect(not active, f"grants are left: {active}")


def deleted(world):
    """Deleting the second stack keeps what can't be had again, and nothing else"""
    stack, cloud = world.second, world.aws("cloudformation")
    kinds = {it["ResourceType"] for it in cloud.describe_stack_resources(StackName=stack.prefix)["StackResources"]}
    expect(kinds == LISTS.keys() | PARTS, f"types not looked for, or not there: {sorted(kinds ^ (LISTS.keys() | PARTS))}")
    unseen = [kind for kind, names in named(stack) if not names]
    expect(not unseen, f"before the deletion nothing of {unseen} is listed")
    delete(stack)
    found = set().union(*dict(named(stack)).values())
    kept = {f"{stack.prefix}-{table}" for table in TABLES} | {f"{stack.prefix}/{secret}" for secret in SECRETS}
    expect(found == kept, f"left, and not to be: {sorted(found - kept)}; gone, and to be kept: {sorted(kept - found)}")
    key = world.aws("kms").describe_key(KeyId=stack.resources["TokenKey"])["KeyMetadata"]["KeyState"]
    expect(key == "Enabled", f"the token key is {key}")
    return f"{', '.join(sorted(kept))}, the token key"


def delete(stack):
    cloud = stack.world.aws("cloudformation")
    cloud.delete_stack(StackName=stack.prefix)
    alive = lambda: [it["StackName"] for it in cloud.list_stacks()["StackSummaries"] if it["StackStatus"] != "DELETE_COMPLETE"]
    until("the deletion", lambda: stack.prefix not in alive(), 60)


TABLES = ("credentials", "integrations", "records", "webhook-secrets")
SECRETS = ("google", "session", "slack", "stripe")

# By type: the service, the operation that lists what there is, and where its answer has the names.
LISTS = {
    "AWS::ApiGatewayV2::Api": ("apigatewayv2", "get_apis", "Items[].Name"),
    "AWS::ApiGatewayV2::DomainName": ("apigatewayv2", "get_domain_names", "Items[].DomainName"),
    "AWS::AppConfig::Application": ("appconfig", "list_applications", "Items[].Name"),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", "list_dashboards", "DashboardEntries[].DashboardName"),
    "AWS::DynamoDB::Table": ("dynamodb", "list_tables", "TableNames"),
    "AWS::Events::EventBus": ("events", "list_event_buses", "EventBuses[].Name"),
    "AWS::Events::Rule": ("events", "list_rules", "Rules[].Name"),
    "AWS::IAM::Role": ("iam", "list_roles", "Roles[].RoleName"),
    "AWS::KMS::Alias": ("kms", "list_aliases", "Aliases[].AliasName"),
    "AWS::Lambda::EventSourceMapping": ("lambda", "list_event_source_mappings", "EventSourceMappings[].FunctionArn"),
    "AWS::Lambda::Function": ("lambda", "list_functions", "Functions[].FunctionName"),
    "AWS::Logs::LogGroup": ("logs", "describe_log_groups", "logGroups[].logGroupName"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "list_secrets", "SecretList[].Name"),
    "AWS::SQS::Queue": ("sqs", "list_queues", "QueueUrls"),
}
# Parts of those above, which go with them; the key is looked at by itself.
PARTS = {
    "AWS::ApiGatewayV2::ApiMapping", "AWS::ApiGatewayV2::Stage", "AWS::AppConfig::ConfigurationProfile",
    "AWS::AppConfig::HostedConfigurationVersion", "AWS::KMS::Key", "AWS::Lambda::Alias", "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission", "AWS::Lambda::Version", "AWS::Logs::QueryDefinition", "AWS::SQS::QueuePolicy",
}


def named(stack):
    """By type: the names on the server that are those of `stack`. The application's own queue and rule are not."""
    ours = re.compile(rf"(^|[/:]){stack.prefix}([-/.]|$)")
    for kind, (service, operation, path) in LISTS.items():
        found = jmespath.search(path, getattr(stack.world.aws(service), operation)()) or []
        yield kind, {name for name in found if ours.search(name)}


def deployed_again(world):
    """Deploying again over what remains is refused, as AWS documents it, and takes nothing of it away"""
    delete(world.second)
    again = Stack(world, world.second.prefix, world.sandbox["INTERTIE_URL_REWRITES"])
    before = world.scan(again.name("integrations"))
    try:
        again.deploy()
    except Failed as error:
        world.report.gap("taken-names", False)
        expect(world.scan(again.name("integrations")) == before, "the integrations have changed")
        return re.sub(r"\s+", " ", str(error))[-300:]
    raise Lacking("taken-names")
