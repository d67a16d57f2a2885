"""What an operator does to a running stack: parameters, keys, secrets, releases, a second stack, the end."""

import json
import re
import threading

from botocore.exceptions import ClientError

import connecting
import webhooks
from bus import Listener
from report import Failed, Lacking, expect, until
from stack import Stack
from web import query

DOMAIN = "integrations.example.com"


def updated(world):
    """An update with other parameters is in force: a domain, a timeout, concurrency, receives, protection, a key of the operator's"""
    stack, kms, functions, boundary = world.first, world.aws("kms"), world.aws("lambda"), {"Effect": "Allow", "Action": "*", "Resource": "*"}
    key = kms.create_key(Description="the operator's")["KeyMetadata"]["Arn"]
    limit = world.aws("iam").create_policy(PolicyName="boundary", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [boundary]}))
    stack.deploy(
        DomainName=DOMAIN, CertificateArn=world.aws("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"],
        HttpTimeoutSeconds="7", MaxReceiveCount="3", WebhooksMaximumConcurrency="9", WebhookIngestReservedConcurrency="20",
        TokenKeyArn=key, PermissionsBoundaryArn=limit["Policy"]["Arn"], DeletionProtection="true",
    )
    expect(stack.url == f"https://{DOMAIN}", f"the output Url is {stack.url}")
    asked = dict(query(stack.sign_in().get(f"{stack.url}/connect/slack").location)).get("redirect_uri")
    expect(asked == f"https://{DOMAIN}/auth/slack/callback", f"Slack is to lead back to {asked}")
    ingest, process = stack.name("webhook-ingest"), f"{stack.name('webhook-process')}:live"
    policy = world.aws("sqs").get_queue_attributes(QueueUrl=stack.queue("webhooks"), AttributeNames=["RedrivePolicy"])["Attributes"]
    table = world.aws("dynamodb").describe_table(TableName=stack.name("records"))["Table"]
    role = world.aws("iam").get_role(RoleName=stack.resources["WebhookIngestRole"])["Role"]
    found = {
        # Of the published version, which is what the API invokes.
        "timeout": functions.get_function_configuration(FunctionName=ingest, Qualifier="live")["Timeout"],
        "most": functions.list_event_source_mappings(FunctionName=process)["EventSourceMappings"][0]["ScalingConfig"]["MaximumConcurrency"],
        "receives": int(json.loads(policy["RedrivePolicy"])["maxReceiveCount"]),
        "protected": str(table["DeletionProtectionEnabled"]).lower(),
    }
    wanted = {"timeout": 7, "most": 9, "receives": 3, "protected": "true"}
    expect(found == wanted, f"in force are {found}")
    world.report.gap("ignored-properties", "ReservedConcurrentExecutions" not in functions.get_function_concurrency(FunctionName=ingest))
    world.report.gap("ignored-properties", "PermissionsBoundary" not in role)
    return ", ".join(f"{name} {value}" for name, value in found.items())


def key_replaced(world):
    """A token moves to the operator's key when it is used, and does not need the earlier one any more"""
    stack, kms, former = world.first, world.aws("kms"), world.first.resources["TokenKey"]
    stack.json("GET", "/proxy/slack/auth.test")
    kms.disable_key(KeyId=former)
    try:
        stack.json("GET", "/proxy/slack/auth.test")
    finally:
        kms.enable_key(KeyId=former)


def context_required(world):
    """The token key gives its data keys to no role without the encryption context of this stack"""
    stack, iam = world.first, world.aws("iam")
    role = next(it for it in stack.processed()["Resources"]["OauthCallbackRole"]["Properties"]["Policies"])["PolicyName"]
    document = iam.get_role_policy(RoleName=stack.resources["OauthCallbackRole"], PolicyName=role)["PolicyDocument"]
    client = world.aws("kms", *world.user("as-oauth-callback", document))
    ask = lambda context: client.generate_data_key(KeyId=stack.resources["TokenKeyAlias"], KeySpec="AES_256", **context)
    ask({"EncryptionContext": {"purpose": "credential", "app": stack.prefix}})
    for wrong in ({}, {"EncryptionContext": {"purpose": "credential", "app": "another"}}):
        try:
            ask(wrong)
        except client.exceptions.ClientError as error:
            expect(error.response["Error"]["Code"] == "AccessDeniedException", f"{wrong}: {error}")
        else:
            raise Failed(f"the key was used with {wrong}")


def secret_rotated(world):
    """A webhook secret and the session key are replaced in Secrets Manager without a deploy"""
    stack = world.first
    body = json.dumps({"type": "url_verification", "challenge": "rotated", "token": "x"})
    value, old = stack.secret("slack"), world.webhook_secret("slack")
    stack.put_secret("slack", value | {"webhook_secrets": ["the-new-one", old]})
    taken = [until("the new secret", lambda: webhooks.slack(stack, body, secret).status == 200, 15) for secret in ("the-new-one", old)]
    stack.put_secret("slack", value | {"webhook_secrets": ["the-new-one"]})
    until("the end of the old secret", lambda: webhooks.slack(stack, body, old).status == 400, 15)
    stack.put_secret("slack", value)
    former, session = stack.token(), stack.secret("session")
    stack.put_secret("session", {"key": "bmV3".ljust(64, "A"), "previous": [session["key"]]})
    bearer = {"authorization": f"Bearer {former}"}
    expect(stack.web.call("GET", f"{stack.url}/integrations", None, bearer).status == 200, "the former key's token is refused")
    until("the new key", lambda: stack.call("GET", "/integrations").status == 200, 15)
    stack.put_secret("session", session)
    until("the first key again", lambda: stack.call("GET", "/integrations").status == 200, 15)
    return f"{len(taken)} secrets verified at once"


def rights_suffice(world):
    """No call of a function was refused: each role has what its function needs, and the server checks signatures and rights"""
    for key in (world.variables["AWS_ACCESS_KEY_ID"], "AKIAUNKNOWN000000000"):
        try:
            world.aws("sqs", key, "another secret").list_queues()
        except ClientError as error:
            expect(error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, f"a stranger is answered {error}")
        else:
            raise Failed("a stranger is let in")
    rights = [json.loads(line) for line in world.processes.rights.read_text().splitlines()]
    refused = [right for right in rights if not right["allowed"]]
    expect(not refused, f"refused: {refused[:5]}")
    return f"{len(rights)} rights of {len({right['function'] for right in rights})} functions"


# ---------------------------------------------------------------- releases

RELEASE = re.compile(r"(Release:\n\s+Intertie: \{Version: )([0-9.]+)")


def released(world):
    """Another release is deployed, and the former again, with messages in flight: nothing is lost or done twice"""
    stack, text = world.first, (world.package / "template.yaml").read_text()
    former = RELEASE.search(text)[2]
    other = world.package / "another.yaml"
    other.write_text(RELEASE.sub(r"\g<1>9.9.9", text))
    seen, sender = {}, Sender(stack)
    before = live(stack)
    with sender:
        for template, version in ((other, "9.9.9"), (None, former)):
            stack.deploy(template)
            expect(stack.outputs["Version"] == version, f"the output is {stack.outputs['Version']}")
            told = {it["FunctionVersion"]: it["Description"] for it in live(stack).values()}
            expect(all(version in text for text in told.values()), f"the functions say {told}")
            seen[version] = live(stack)
    expect(all(seen["9.9.9"][name]["FunctionVersion"] != before[name]["FunctionVersion"] for name in before), "the alias did not move")
    sent = [f"evt_flight_{at}" for at in range(sender.sent)]
    expect(sender.refused == [], f"deliveries were refused: {sender.refused[:3]}")
    until("an empty queue", lambda: stack.depth("webhooks") == 0, 60)
    claims = {event: stack.claim(webhooks.key(event)) for event in sent}
    wrong = {event: claim for event, claim in claims.items() if not claim or (claim["state"], claim["effects"]) != ("done", "1")}
    expect(not wrong, f"{len(wrong)} of {len(sent)}: {list(wrong.items())[:3]}")
    heard = until("all events on the queue", lambda: (ids := world.heard.ids()) and all(event in ids for event in sent) and ids)
    twice = [event for event in sent if heard[event] > 1]
    expect(not twice, f"{twice} came twice")
    return f"{len(sent)} deliveries during two updates"


def live(stack):
    """Of each function: what the alias `live` names, and that version's description."""
    functions, found = stack.world.aws("lambda"), {}
    for logical in stack.functions():
        name = stack.resources[logical]
        alias = functions.get_alias(FunctionName=name, Name="live")
        version = functions.get_function_configuration(FunctionName=name, Qualifier=alias["FunctionVersion"])
        found[name] = alias | {"Description": version["Description"]}
    return found


class Sender(threading.Thread):
    """Delivers webhooks one after the other, each another event, until it is left."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.sent, self.refused, self.over = stack, 0, [], threading.Event()

    def run(self):
        # Its own address: while the stack is updated it is asked by the same name as before.
        while not self.over.wait(0.1):
            answer = webhooks.stripe(self.stack, webhooks.customer(f"evt_flight_{self.sent}", "flight@example.com", "cus_flight"))
            self.sent += 1
            if answer.status != 200:
                self.refused.append(str(answer))

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self.over.set()
        self.join(30)


# ---------------------------------------------------------------- beside each other, and the end

def second_beside(world):
    """A second stack beside the first: each has its own users, records, events and keys"""
    first, second = world.first, world.second
    second.deploy()
    second.configure()
    heard = Listener(second)
    expect(second.status("stripe")["state"] == "never_connected", "it knows the first stack's user")
    bearer = {"authorization": f"Bearer {first.token()}"}
    expect(second.web.call("GET", f"{second.url}/integrations", None, bearer).status == 401, "the first stack's token is taken")
    second.json("POST", "/connect/stripe", {"api_key": connecting.KEY}, status=201)
    connecting.synced(second, "stripe")
    expect(webhooks.stripe(second, webhooks.customer("evt_second", "second@example.com", "cus_second")).status == 200, "it is not taken")
    until("evt_second", lambda: heard.count(id="evt_second"))
    expect("cus_second" in second.records("stripe", "customers"), "it is no record")
    expect("cus_second" not in first.records("stripe", "customers"), "it is a record of the first stack")
    expect(world.heard.count(id="evt_second") == 0, "the first stack's bus told of it")
    return f"{len(second.resources)} resources"


def erased(world):
    """A user is erased: grants are given back, and nothing of the user's is left"""
    stack = world.first
    ids = {stack.status(provider)["integration_id"] for provider in ("slack", "stripe", "google-calendar", "gmail")}
    stack.json("DELETE", "/users/ada", status=202, user="admin", role="admin")
    until("the end of the erasure", lambda: stack.json("GET", "/users/ada", user="admin", role="admin")["state"] == "erased", 60)
    left = [(table, item) for table in ("integrations", "credentials", "webhook-secrets", "records", "syncs")
            for item in world.scan(stack.name(table)) if (item.get("integration_id") in ids or item.get("user_id") == "ada")
            # That of the erasure, so that no late sync begins; it has no more than the id, and expires.
            and not (item.get("item") == "lease" and "expires_at" in item)]
    expect(not left, f"{len(left)} items are left, such as {left[:1]}")
    active = [grant for vendor in ("slack", "google") for grant in world.order(vendor, "GET", "grants") if grant["state"] == "active"]
    expect(not active, f"grants are left: {active}")


def deleted(world):
    """Deleting the second stack keeps what can't be had again, and nothing else"""
    stack, cloud = world.second, world.aws("cloudformation")
    template = stack.processed()["Resources"]
    # SAM keeps versions for aliases of former ones; they go with their function.
    kept = sorted(name for name, it in template.items()
                  if it.get("DeletionPolicy", "Delete") != "Delete" and it["Type"] != "AWS::Lambda::Version")
    cloud.delete_stack(StackName=stack.prefix)
    until("the deletion", lambda: not any(it["StackName"] == stack.prefix for it in cloud.list_stacks(StackStatusFilter=ALIVE)["StackSummaries"]), 60)
    there = {
        "tables": [name for name in world.aws("dynamodb").list_tables()["TableNames"] if name.startswith(stack.prefix)],
        "secrets": [it["Name"] for it in world.aws("secretsmanager").list_secrets()["SecretList"] if it["Name"].startswith(stack.prefix)],
        "queues": [url for url in world.aws("sqs").list_queues(QueueNamePrefix=f"{stack.prefix}-").get("QueueUrls", [])],
        "functions": [it["FunctionName"] for it in world.aws("lambda").list_functions()["Functions"] if it["FunctionName"].startswith(stack.prefix)],
        "logs": [it["logGroupName"] for it in world.aws("logs").describe_log_groups()["logGroups"] if f"/{stack.prefix}-" in it["logGroupName"]],
        "roles": [it["RoleName"] for it in world.aws("iam").list_roles()["Roles"] if it["RoleName"].startswith(f"{stack.prefix}-")],
        "rules": [it["Name"] for it in world.aws("events").list_rules()["Rules"] if it["Name"].startswith(stack.prefix)],
        "alarms": [it["AlarmName"] for it in world.aws("cloudwatch").describe_alarms()["MetricAlarms"] if it["AlarmName"].startswith(stack.prefix)],
        "APIs": [it["Name"] for it in world.aws("apigatewayv2").get_apis()["Items"] if it["Name"] == stack.prefix],
    }
    key = world.aws("kms").describe_key(KeyId=stack.resources["TokenKey"])["KeyMetadata"]["KeyState"]
    names = {stack.resources[name] for name in kept} - {stack.resources["TokenKey"]}
    found = {name for group in there.values() for name in group}
    expect("TokenKey" in kept and key == "Enabled", f"the token key is {key}")
    expect(found == names, f"kept but not declared: {sorted(found - names)}; declared but gone: {sorted(names - found)}")
    return ", ".join(kept)


ALIVE = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_FAILED", "ROLLBACK_COMPLETE"]


def deployed_again(world):
    """Deploying again over what remains is refused, as AWS documents it, and takes nothing of it away"""
    again = Stack(world, world.second.prefix, world.sandbox["INTERTIE_URL_REWRITES"])
    before = world.scan(again.name("integrations"))
    try:
        again.deploy()
    except Failed as error:
        world.report.gap("taken-names", False)
        expect(world.scan(again.name("integrations")) == before, "the integrations have changed")
        return re.sub(r"\s+", " ", str(error))[-300:]
    raise Lacking("taken-names")
