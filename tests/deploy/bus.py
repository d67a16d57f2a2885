"""A rule and a queue of the application's on a stack's bus."""

import collections
import json

from processes import ACCOUNT, REGION


class Listener:
    """Receives every event on the bus of `stack`."""

    def __init__(self, stack):
        self.world, name = stack.world, f"application-of-{stack.prefix}"
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{stack.outputs['EventBusName']}/{name}"
        policy = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }]}
        made = self.world.aws("sqs").create_queue(QueueName=name, Attributes={"Policy": json.dumps(policy)})
        self.url, self.events = made["QueueUrl"], []
        events, bus = self.world.aws("events"), stack.outputs["EventBusName"]
        pattern = json.dumps({"source": [{"prefix": "intertie"}]})
        events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "application", "Arn": arn}])
        self.end = lambda: (events.remove_targets(Rule=name, EventBusName=bus, Ids=["application"]),
                            events.delete_rule(Name=name, EventBusName=bus))

    def received(self):
        """Every event so far, as EventBridge hands them to a queue."""
        sqs = self.world.aws("sqs")
        while found := sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            self.events += [json.loads(message["Body"]) for message in found]
            entries = [{"Id": str(at), "ReceiptHandle": message["ReceiptHandle"]} for at, message in enumerate(found)]
            sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
        return self.events

    def count(self, **wanted):
        """How many events have these fields in their detail."""
        return sum(all(event["detail"].get(name) == value for name, value in wanted.items()) for event in self.received())

    def ids(self):
        """How often each event came."""
        return collections.Counter(event["detail"]["id"] for event in self.received())
