"""What a connected stack does: routes, pages, actions, the proxy, watches."""

import fnmatch
import json
import re

import connecting
from processes import ACCOUNT, REGION
from report import expect, until
from stack import APPLICATION
from web import Browser

ADDRESS = "ada@example.com"


def endpoint_followed(world):
    """The functions find AWS by AWS_ENDPOINT_URL alone, as SDKs do"""
    environments = [dict(line.partition("=")[::2] for line in world.processes.environment(pid)) for pid in world.processes.running()]
    found = [(it["AWS_LAMBDA_FUNCTION_NAME"], [name for name in it if name.startswith("AWS_ENDPOINT_URL")])
             for it in environments if "AWS_LAMBDA_FUNCTION_NAME" in it]
    idle = set(world.first.functions()) - {function for function, _ in found}
    expect(not idle, f"{sorted(idle)} do not run")
    wrong = [it for it in found if it[1] != ["AWS_ENDPOINT_URL"]]
    expect(not wrong, f"they have {wrong}")
    return f"{len(found)} environments of {len(world.first.functions())} functions"


def alive(world):
    """GET /livez answers without a session, and with an empty body"""
    answer = world.web.call("GET", f"{world.first.url}/livez")
    expect((answer.status, answer.text) == (200, ""), f"it answers {answer}")


def routes_allowed(world):
    """API Gateway may invoke what each route names, by the permissions of the template"""
    stack, functions = world.first, world.aws("lambda")
    policies = {}
    for key, uri in stack.routes.items():
        target = uri.split("/functions/")[1].removesuffix("/invocations")
        if target not in policies:
            policies[target] = json.loads(functions.get_policy(FunctionName=target)["Policy"])["Statement"]
        method, _, path = ("*", "", "/$default") if key == "$default" else key.partition(" ")
        method = "*" if method == "ANY" else method
        # By the route and by a request, so that it holds whichever API Gateway names:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html#apigateway-permissions
        for asked in (path, re.sub(r"\{\w+\}", "a", re.sub(r"\{\w+\+\}", "a/b", path))):
            call = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{stack.resources['Api']}/$default/{method}{asked}"
            expect(any(permits(it, call) for it in policies[target]), f"{key}: no permission of {target} is for {call}")
    return f"{len(stack.routes)} routes, {len(policies)} functions"


def permits(statement, call):
    pattern = statement["Condition"]["ArnLike"]["AWS:SourceArn"] if "ArnLike" in statement.get("Condition", {}) else ""
    ours = statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
    return ours and fnmatch.fnmatchcase(call, pattern)


def status_page(world):
    """The status page shows to a signed-in browser and to no other; a token signs in once"""
    stack, token = world.first, world.first.token(seconds=50)
    browser = Browser(world.web)
    first, again = (browser.post(f"{stack.url}/session", {"token": token}, APPLICATION) for _ in range(2))
    expect((first.status, again.status) == (303, 401), f"a token that signs in twice is answered {first.status}, {again.status}")
    page = browser.get(f"{stack.url}/settings/integrations")
    expect(page.status == 200 and "Acme" in page.text, f"the page is {page}")
    cookies = list(browser.cookies[stack.url])
    expect(cookies and all(name.startswith("__Host-") for name in cookies), f"the cookies are {cookies}")
    style = browser.get(f"{stack.url}/settings/assets/style.css")
    expect(style.status == 200 and style.headers["content-type"].startswith("text/css"), f"the style is {style}")
    stranger = Browser(world.web).get(f"{stack.url}/settings/integrations")
    expect(stranger.status == 401, f"without a session it is {stranger.status}")


def action_once(world):
    """An action under an Idempotency-Key is carried out once, and its answer is given again"""
    body, key = {"channel": "C0GENERAL01", "text": "deployed"}, {"idempotency-key": "deploy-1"}
    first, again = (world.first.json("POST", "/actions/slack/post_message", body, headers=key) for _ in range(2))
    posted = [message for message in world.order("slack", "GET", "messages") if message["text"] == "deployed"]
    expect(first == again and len(posted) == 1, f"{first}, {again}; posted {len(posted)} times")
    other = world.first.call("POST", "/actions/slack/post_message", body | {"text": "another"}, headers=key)
    expect(other.status == 409, f"the key with another input: {other}")


def proxied(world):
    """The proxy calls Slack and Stripe with the user's tokens; a path that leaves the API is refused"""
    stack = world.first
    expect(stack.json("GET", "/proxy/slack/auth.test")["team_id"] == "T0SANDBOX", "auth.test is another's")
    found = stack.json("GET", "/proxy/stripe/v1/customers?limit=2")["data"]
    expect(len(found) == 2, f"{len(found)} customers")
    expect(stack.call("GET", "/proxy/slack/../admin").status == 422, "a path that leaves the API is taken")


def calendar_watched(world):
    """A change in a watched calendar is pushed to the API, and an incremental sync brings it"""
    connecting.consent(world.first, "google-calendar", ADDRESS)
    connecting.synced(world.first, "google-calendar")
    watches = world.order("google", "GET", "channels")
    expect(watches, "nothing is watched")
    full = stream(world.first, "google-calendar", "events")["last_full_sync"]
    made = world.order("google", "POST", "events/primary", {"summary": "Deployed"})
    id = f"{ADDRESS}/{made['id']}"
    until("the event", lambda: id in world.first.records("google-calendar", "events"))
    pushes = [push for push in world.order("google", "GET", "deliveries") if push["path"] == "/webhooks/google-calendar"]
    expect(pushes and all(push["status"] == 200 for push in pushes), f"the pushes were answered {pushes}")
    expect(stream(world.first, "google-calendar", "events")["last_full_sync"] == full, "it was a full sync")
    return f"{len(watches)} watches, {len(pushes)} pushes"


def mail_pushed(world):
    """A message is pushed to the API under a token of Google's, and comes; a push for another audience is refused"""
    stack = world.first
    connecting.consent(stack, "gmail", ADDRESS)
    connecting.synced(stack, "gmail")
    made = world.order("google", "POST", "messages", {"subject": "Grüße aus Köln"})
    until("the message", lambda: made["id"] in stack.records("gmail", "messages"))
    forged = world.order("google", "POST", "send", {"claims": {"aud": "https://evil.example"}})
    expect(forged["status"] == 400, f"the forged push is answered {forged}")


def stream(stack, provider, name):
    return next(it for it in stack.status(provider)["streams"] if it["name"] == name)
