"""What the server does not do of a deploy, each looked for before it is made up for. gaps.md has the reasons; serve.py has what its
evaluator of rights lacks."""

import base64
import secrets

from botocore.exceptions import ClientError

from processes import ACCOUNT, REGION


def close(stack):
    """Makes up for everything after a deploy."""
    first = "session_key" not in stack.__dict__
    import_routes(stack)
    if first:
        store_session_key(stack)


# ---------------------------------------------------------------- the API's routes

def import_routes(stack):
    """Creates the routes that the API's OpenAPI body declares, one by one: what the body lacks is no route here either."""
    world, api = stack.world, stack.resources["Api"]
    client = world.aws("apigatewayv2")
    there = {route["RouteKey"]: route for route in client.get_routes(ApiId=api)["Items"]}
    wanted = dict(declared_routes(stack))
    if "openapi-body" not in world.report.seen:
        world.report.gap("openapi-body", not there)
    for key, uri in wanted.items():
        if key in there:
            integration = there[key]["Target"].removeprefix("integrations/")
            client.update_integration(ApiId=api, IntegrationId=integration, IntegrationUri=uri)
            continue
        made = client.create_integration(ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=uri, PayloadFormatVersion="2.0")
        client.create_route(ApiId=api, RouteKey=key, Target=f"integrations/{made['IntegrationId']}")
    for key in there.keys() - wanted.keys():
        client.delete_route(ApiId=api, RouteId=there[key]["RouteId"])
    stack.routes = wanted


def declared_routes(stack):
    """Route keys and what they invoke, of the OpenAPI body that SAM's transform made."""
    for path, methods in stack.processed()["Resources"]["Api"]["Properties"]["Body"]["paths"].items():
        for method, operation in methods.items():
            # SAM adds operations of its own, for CORS, that invoke nothing.
            if integration := operation.get("x-amazon-apigateway-integration", {}).get("uri"):
                name = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
                yield path if path == "$default" else f"{name} {path}", resolved(stack, integration)


def resolved(stack, uri):
    text, names = uri["Fn::Sub"], {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT} | stack.resources
    for name, value in names.items():
        text = text.replace(f"${{{name}}}", value)
    if "${" in text:
        raise ValueError(f"a route's integration is not understood: {text}")
    return text


def own_address(stack, url):
    """The API's own origin, as the functions know it from their requests: the server gives them no port."""
    if "execute-api" not in url:
        return url
    bare = url.rpartition(":")[0]
    stack.world.report.gap("own-address", bare.startswith("https://"))
    return bare


# ---------------------------------------------------------------- the session key

def store_session_key(stack):
    """A key in Base64, as GenerateSecretString makes it on AWS."""
    stack.session_key = base64.b64encode(secrets.token_bytes(48)).decode()
    made = stack.secret("session")
    stack.world.report.gap("exclude-punctuation", not made["key"].isalnum())
    stack.put_secret("session", made | {"key": stack.session_key})


# ---------------------------------------------------------------- redrive

def redrive(stack, queue):
    """`start-message-move-task --source-arn … --destination-arn …`, or what it does where the server lacks it: each message goes
    to the destination as it is, and then leaves its source."""
    sqs, report = stack.world.aws("sqs"), stack.world.report
    arn = lambda name: f"arn:aws:sqs:{REGION}:{ACCOUNT}:{stack.name(name)}"
    try:
        sqs.start_message_move_task(SourceArn=arn(f"{queue}-dead"), DestinationArn=arn(queue))
        report.gap("message-move-task", False)
    except ClientError as error:
        report.gap("message-move-task", error.response["Error"]["Code"] in ("InvalidAction", "UnsupportedOperation"))
    source, destination = stack.queue(f"{queue}-dead"), stack.queue(queue)
    while stack.depth(f"{queue}-dead"):
        asked = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
        for message in sqs.receive_message(QueueUrl=source, **asked).get("Messages", []):
            attributes = message.get("MessageAttributes", {})
            sqs.send_message(QueueUrl=destination, MessageBody=message["Body"], MessageAttributes=attributes)
            sqs.delete_message(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"])
