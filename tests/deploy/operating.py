"""What an operator changes in a running stack: parameters, keys, secrets."""

import json

from botocore.exceptions import ClientError

import webhooks
from report import Failed, expect, until
from stack import USER
from web import query

DOMAIN = "integrations.example.com"


def updated(world):
    """An update with other parameters is in force: a domain, a timeout, concurrency, receives, protection, a key of the operator's"""
    stack, functions, iam = world.first, world.aws("lambda"), world.aws("iam")
    all = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    stack.deploy(
        DomainName=DOMAIN, CertificateArn=world.aws("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"],
        HttpTimeoutSeconds="7", MaxReceiveCount="3", WebhooksMaximumConcurrency="9", WebhookIngestReservedConcurrency="20",
        TokenKeyArn=world.aws("kms").create_key(Description="the operator's")["KeyMetadata"]["Arn"], DeletionProtection="true",
        PermissionsBoundaryArn=iam.create_policy(PolicyName="boundary", PolicyDocument=json.dumps(all))["Policy"]["Arn"],
    )
    expect(stack.url == f"https://{DOMAIN}", f"the output Url is {stack.url}")
    asked = dict(query(stack.sign_in().get(f"{stack.url}/connect/slack").location)).get("redirect_uri")
    expect(asked == f"https://{DOMAIN}/auth/slack/callback", f"Slack is to lead back to {asked}")
    ingest, process = stack.name("webhook-ingest"), f"{stack.name('webhook-process')}:live"
    asked_for = {"QueueUrl": stack.queue("webhooks"), "AttributeNames": ["RedrivePolicy"]}
    redrive = world.aws("sqs").get_queue_attributes(**asked_for)["Attributes"]["RedrivePolicy"]
    mapping = functions.list_event_source_mappings(FunctionName=process)["EventSourceMappings"][0]
    table = world.aws("dynamodb").describe_table(TableName=stack.name("records"))["Table"]
    role = iam.get_role(RoleName=stack.resources["WebhookIngestRole"])["Role"]
    found = {
        # Of the published version, which is what the API invokes.
        "timeout": functions.get_function_configuration(FunctionName=ingest, Qualifier="live")["Timeout"],
        "most": mapping["ScalingConfig"]["MaximumConcurrency"],
        "receives": int(json.loads(redrive)["maxReceiveCount"]),
        "protected": str(table["DeletionProtectionEnabled"]).lower(),
    }
    wanted = {"timeout": 7, "most": 9, "receives": 3, "protected": "true"}
    expect(found == wanted, f"in force are {found}")
    reserved = functions.get_function_concurrency(FunctionName=ingest)
    world.report.gap("ignored-properties", "ReservedConcurrentExecutions" not in reserved)
    world.report.gap("ignored-properties", "PermissionsBoundary" not in role)
    return ", ".join(f"{name} {value}" for name, value in found.items())


def key_replaced(world):
    """A token moves to the operator's key when it is used, and does not need the earlier one any more"""
    stack, kms, former = world.first, world.aws("kms"), world.first.resources["TokenKey"]
    integration = stack.status("slack")["integration_id"]
    context = {"app": stack.prefix, "purpose": "credential", "user": USER, "integration": integration}
    stored = lambda: next(it["data_key"] for it in world.scan(stack.name("credentials")) if it["integration_id"] == integration)
    unwrapping = lambda data_key: kms.decrypt(CiphertextBlob=data_key, EncryptionContext=context)["KeyId"]
    before = stored()
    expect(unwrapping(before).endswith(former), f"before the call {unwrapping(before)} wraps the data key")
    stack.json("GET", "/proxy/slack/auth.test")
    # The answer alone proves nothing: a function keeps data keys in memory for minutes, by how they are wrapped.
    after = stored()
    expect(after != before, "the stored data key is as before")
    kms.disable_key(KeyId=former)
    try:
        by = unwrapping(after)
        expect(by == stack.parameters["TokenKeyArn"], f"{by} wraps the data key")
        stack.json("GET", "/proxy/slack/auth.test")
        try:
            unwrapping(before)
        except kms.exceptions.DisabledException:
            return
        raise Failed("the disabled key unwraps")
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
    for secret in ("the-new-one", old):
        until("both secrets verify", lambda: webhooks.slack(stack, body, secret).status == 200, 15)
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


def rights_suffice(world):
    """Each function was seen to use rights, and none was refused; the server refuses an unknown key and a wrong signature"""
    for key in (world.variables["AWS_ACCESS_KEY_ID"], "AKIAUNKNOWN000000000"):
        try:
            world.aws("sqs", key, "another secret").list_queues()
        except ClientError as error:
            expect(error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, f"a wrong signature is answered {error}")
        else:
            raise Failed("a wrong signature is accepted")
    rights = [json.loads(line) for line in world.processes.rights.read_text().splitlines()]
    unseen = set(world.first.functions()) - {right["function"] for right in rights}
    expect(not unseen, f"no rights were seen of {sorted(unseen)}")
    refused = [right for right in rights if not right["allowed"]]
    expect(not refused, f"refused: {refused[:5]}")
    return f"{len(rights)} rights of {len({right['function'] for right in rights})} functions"
