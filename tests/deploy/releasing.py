"""A release: the same bootstraps under another version, while webhooks come in."""

import re
import threading

import webhooks
from report import expect, until

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
            seen[version] = live(stack)
            descriptions = {name: it["Description"] for name, it in seen[version].items()}
            expect(all(version in text for text in descriptions.values()), f"the descriptions are {descriptions}")
    same = [name for name in before if seen["9.9.9"][name]["FunctionVersion"] == before[name]["FunctionVersion"]]
    expect(not same, f"the alias did not move: {same}")
    sent = [f"evt_flight_{at}" for at in range(sender.sent)]
    expect(sender.refused == [], f"deliveries were refused: {sender.refused[:3]}")
    until("an empty queue", lambda: stack.depth("webhooks") == 0, 60)
    claims = {event: stack.claim(webhooks.key(event)) for event in sent}
    wrong = {event: claim for event, claim in claims.items() if not claim or (claim["state"], claim["effects"]) != ("done", "1")}
    expect(not wrong, f"{len(wrong)} of {len(sent)}: {list(wrong.items())[:3]}")
    received = until("all events on the queue", lambda: (ids := world.listener.ids()) and all(event in ids for event in sent) and ids)
    twice = [event for event in sent if received[event] > 1]
    expect(not twice, f"{twice} came twice")
    return f"{len(sent)} deliveries during two updates"


def live(stack):
    """Of each function: what the alias `live` names, and that version's description."""
    functions, found = stack.world.aws("lambda"), {}
    for name in stack.functions():
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
        while not self.over.wait(0.1):
            answer = webhooks.stripe(self.stack, webhooks.customer(f"evt_flight_{self.sent}", "flight@example.com", "cus_flight"))
            self.sent += 1
            if answer.status != 200:
                self.refused.append(str(answer))

    def __enter__(self):
        self.start()

    def __exit__(self, failed, *_):
        self.over.set()
        if not failed:
            self.join(10)
            expect(not self.is_alive(), "a delivery is still not answered")
