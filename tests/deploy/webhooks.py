"""Webhooks: from a signature to the application's queue, and what is given up and taken up again."""

import hashlib
import hmac
import json
import time

from slack_sdk.signature import SignatureVerifier

from report import expect, until

ACCOUNT = "acct_local"


def applied(world):
    """A signed Stripe webhook becomes a record, and an event on the bus that a rule leads to the application's queue"""
    event = customer("evt_once", "ada@example.com")
    answer = stripe(world.first, event)
    expect((answer.status, answer.text) == (200, "Received"), f"answered {answer}")
    until("evt_once", lambda: (world.first.claim(key("evt_once")) or {}).get("state") == "done")
    record = world.first.records("stripe", "customers").get("cus_deploy")
    expect(record and record["email"] == "ada@example.com", f"the record is {record}")
    until("evt_once on the queue", lambda: world.listener.count(id="evt_once"))
    event = [line for line in world.listener.events if line["detail"]["id"] == "evt_once"][0]
    return f"{event['source']} {event['detail-type']}"


def repeated(world):
    """The same delivery twice more is applied once"""
    for _ in range(2):
        expect(stripe(world.first, customer("evt_once", "ada@example.com")).status == 200, "a repeated delivery is refused")
    until("an empty queue", lambda: world.first.depth("webhooks") == 0)
    claim = world.first.claim(key("evt_once"))
    expect(claim == {"state": "done", "attempts": "1", "effects": "1"}, f"the idempotency record says {claim}")
    expect(world.listener.count(id="evt_once") == 1, "it is on the bus again")
    return "1 attempt, 1 effect, 1 × on the bus"


def forged(world):
    """What is forged or too old is 400, and nothing of it is stored"""
    for secret, at in (("whsec_guessed", None), (None, time.time() - 600)):
        answer = stripe(world.first, customer("evt_forged", "mallory@example.com"), secret, at)
        expect(answer.status == 400, f"answered {answer}")
    expect(world.first.depth("webhooks") == 0 and not world.first.claim(key("evt_forged")), "something of it is stored")


def slack_signed(world):
    """A body signed by Slack's own SDK is taken, one signed with another secret is not"""
    body = json.dumps({"type": "url_verification", "challenge": "from-the-sdk", "token": "x"})
    answer = slack(world.first, body, world.webhook_secret("slack"))
    expect((answer.status, answer.text) == (200, "from-the-sdk"), f"answered {answer}")
    expect(slack(world.first, body, "another").status == 400, "another secret is taken")


def slack_event(world):
    """What Slack sends by itself, when a channel is made, becomes a record"""
    made = world.order("slack", "POST", "channels", {"name": "deployed"})
    until("the channel", lambda: made["id"] in world.first.records("slack", "channels"))


def dead_letter(world):
    """A genuine delivery that is no event is dead-lettered with its reason, and listed with it"""
    expect(stripe(world.first, '{"hello":"deploy"}').status == 200, "it is not accepted")
    message = until("the dead letter", lambda: dead(world.first))[0]
    attributes = {name: it["StringValue"] for name, it in message["MessageAttributes"].items()}
    expect(attributes["Reason"] == "not_an_event", f"it says {attributes}")
    listed = world.first.json("GET", "/deliveries?state=dead", role="admin")["deliveries"]
    expect(listed and listed[0]["reason"] == "not_an_event", f"GET /deliveries says {listed}")
    sqs = world.aws("sqs")
    sqs.delete_message(QueueUrl=world.first.queue("webhooks-dead"), ReceiptHandle=message["ReceiptHandle"])
    return f"{attributes['Reason']}: {attributes['Detail']}"


def redriven(world):
    """What was dead-lettered over damage is applied once after repair and redrive; redriving again changes nothing"""
    stack, dynamo, sqs = world.first, world.aws("dynamodb"), world.aws("sqs")
    table, broken = stack.name("idempotency"), {"key": {"S": key("evt_broken")}}
    dynamo.put_item(TableName=table, Item=broken | {"state": {"S": "rubbish"}, "body_hash": {"S": "x"}})
    expect(stripe(stack, customer("evt_broken", "grace@example.com")).status == 200, "it is not accepted")
    letter = until("the dead letter", lambda: dead(stack))[0]
    dynamo.delete_item(TableName=table, Key=broken)
    for again in (False, True, True):
        if again:
            # As a redrive leaves it that breaks off between sending a message and deleting it.
            sqs.send_message(QueueUrl=stack.queue("webhooks-dead"), MessageBody=letter["Body"])
        world.redrive(stack, "webhooks")
        until("the end of the redrive", lambda: stack.depth("webhooks-dead") + stack.depth("webhooks") == 0)
        claim = stack.claim(key("evt_broken"))
        expect(claim == {"state": "done", "attempts": "1", "effects": "1"}, f"the idempotency record says {claim}")
    expect(until("evt_broken on the queue", lambda: world.listener.count(id="evt_broken")) == 1, "it is on the bus again")
    return f"{letter['MessageAttributes']['Reason']['StringValue']}; redriven three times: 1 effect, 1 × on the bus"


# ---------------------------------------------------------------- what is sent

def key(event):
    return f"stripe#{ACCOUNT}#{event}"


def customer(event, email, customer="cus_deploy"):
    """A Stripe event: a customer has changed."""
    data = {"id": customer, "object": "customer", "email": email, "livemode": False}
    created = int(time.time())
    return json.dumps({"id": event, "object": "event", "type": "customer.updated", "created": created, "data": {"object": data}})


def stripe(stack, body, secret=None, at=None):
    """As Stripe signs: https://docs.stripe.com/webhooks?verify=verify-manually"""
    at, secret = int(at or time.time()), secret or stack.world.webhook_secret("stripe")
    signature = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json; charset=utf-8", "stripe-signature": f"t={at},v1={signature}"}
    return stack.web.call("POST", f"{stack.url}/webhooks/stripe", body, headers)


def slack(stack, body, secret):
    headers = {"content-type": "application/json", "x-slack-request-timestamp": str(int(time.time()))}
    signature = SignatureVerifier(secret).generate_signature(timestamp=headers["x-slack-request-timestamp"], body=body)
    return stack.web.call("POST", f"{stack.url}/webhooks/slack", body, headers | {"x-slack-signature": signature})


def dead(stack, queue="webhooks"):
    """Messages of a dead-letter queue, hidden for a moment."""
    sqs = stack.world.aws("sqs")
    return sqs.receive_message(
        QueueUrl=stack.queue(f"{queue}-dead"), MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=1
    ).get("Messages")
