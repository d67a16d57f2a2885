"""Schedules: their rules, what they lead to, and what becomes of one that fails."""

import json
import time

from report import expect, until

def scheduled(world):
    """Each rule's target runs with the rule's input; what no webhook delivered comes with a full sync"""
    quiet = world.order("stripe", "POST", "customers", {"email": "quiet@example.com", "silent": True})["id"]
    names = [name for name, it in world.first.processed()["Resources"].items() if it["Type"] == "AWS::Events::Rule"]
    rules = [world.first.resources[name].removeprefix(f"{world.first.prefix}-") for name in names]
    answers = {rule: world.first.invoke_rule(rule) for rule in sorted(rules)}
    world.first.json("POST", "/integrations/stripe/sync", {"type": "full"}, 202)
    until("the customer", lambda: quiet in world.first.records("stripe", "customers"))
    return ", ".join(f"{rule} {answer}" for rule, answer in answers.items())


def refreshed(world):
    """A token that ends soon is refreshed by the schedule, and the provider takes the new one"""
    stack, id = world.first, world.first.status("slack")["integration_id"]
    credential = next(item for item in world.scan(stack.name("credentials")) if item["integration_id"] == id)
    ends, due = (int(time.time()) + 1800) * 1000, int(time.time()) - 1
    world.aws("dynamodb").update_item(
        TableName=stack.name("credentials"),
        Key={name: {"S": credential[name]} for name in ("integration_id", "credential")},
        UpdateExpression="SET expires_at = :ends, due_at = :due",
        ExpressionAttributeValues={":ends": {"N": str(ends)}, ":due": {"N": str(due)}},
    )
    refreshes = lambda: sum(grant["refreshes"] for grant in world.order("slack", "GET", "grants"))
    before, answer = refreshes(), stack.invoke_rule("refresh")
    until("a refresh", lambda: refreshes() == before + 1)
    until("an empty queue", lambda: stack.depth("refreshes") == 0)
    expect(stack.json("GET", "/proxy/slack/auth.test")["ok"], "the new token is refused")
    return answer


EVERY_MINUTE = "watches"


def shorten_interval(world):
    """Makes a rule due every minute, as an operator may; the template's own are too slow to wait for."""
    events, name = world.aws("events"), world.first.name(EVERY_MINUTE)
    world.usual = events.describe_rule(Name=name)["ScheduleExpression"]
    events.put_rule(Name=name, ScheduleExpression="rate(1 minute)")


def fired(world):
    """A rule fires by itself when it is due, beside the one time that it was invoked here"""
    stack = world.first
    swept = lambda: [line for line in lines(stack, "sync-scheduler") if '"schedule":"Watches"' in line]
    until("a sweep", lambda: len(swept()) > 1, 90)
    world.aws("events").put_rule(Name=stack.name(EVERY_MINUTE), ScheduleExpression=world.usual)
    return swept()[-1]


def given_up(world):
    """An invocation by schedule that fails three times waits in a queue of its own, and is done by invoking the function again"""
    stack, functions, iam, sqs = world.first, world.aws("lambda"), world.aws("iam"), world.aws("sqs")
    target = world.aws("events").list_targets_by_rule(Rule=stack.name("watches"))["Targets"][0]
    denial = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "dynamodb:Query", "Resource": "*"}]}
    broken = {"RoleName": stack.resources["SyncSchedulerRole"], "PolicyName": "denied-by-mistake"}
    iam.put_role_policy(**broken, PolicyDocument=json.dumps(denial))
    functions.invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=target["Input"].encode())
    queue = stack.queue("failed-schedules")
    message = until("the given-up invocation", lambda: sqs.receive_message(QueueUrl=queue, VisibilityTimeout=1).get("Messages"))[0]
    failed = json.loads(message["Body"])
    expect(failed["requestPayload"] == json.loads(target["Input"]), f"it was given {failed['requestPayload']}")
    iam.delete_role_policy(**broken)
    done = functions.invoke(FunctionName=target["Arn"], Payload=json.dumps(failed["requestPayload"]).encode())
    expect("FunctionError" not in done, f"after the repair: {done['Payload'].read()}")
    return f"{failed['responsePayload'].get('errorType')}, {failed['requestContext']['approximateInvokeCount']} times"


def lines(stack, function):
    """The function's log."""
    logs = stack.world.aws("logs")
    found = logs.filter_log_events(logGroupName=f"/aws/lambda/{stack.name(function)}")["events"]
    return [event["message"] for event in found]
