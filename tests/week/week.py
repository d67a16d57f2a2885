"""A stack that lives through time: its clock, its schedules, what its alarms watch, and what its users see."""

import collections
import datetime
import json
import pathlib
import time
import urllib.parse

from alarms import Alarms, moment, schedules
from stack import Clock, Refused, Stack

HOUR, DAY = 3600, 86400
# How long anything may take before it counts as lost, in real seconds.
PATIENCE = 60
# The component that a failed schedule counts for.
FUNCTIONS = {"dead-letters": "webhook-process", "refresh": "token-refresh"}
# What is counted here of what alarms watch.
DEAD = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
AGE = ("AWS/SQS", "ApproximateAgeOfOldestMessage")
ERRORS = ("AWS/Lambda", "Errors")
THROTTLES = ("AWS/Lambda", "Throttles")
API_ERRORS = ("AWS/ApiGateway", "5xx", "")
OURS = "Intertie"


class Failed(Exception):
    """A sentence that should be true is not."""


class Week:
    """The stack, from `begin` on."""

    def __init__(self, program, bootstraps, folder, begin):
        template = pathlib.Path("template.yaml").read_text()
        self.clock = Clock(folder / "clock", begin)
        self.due = schedules(template, begin)
        self.fired, self.sampled = collections.Counter(), begin
        self.busy_until = begin + HOUR
        # Whether the clock goes on by hours at once: then no message's age counts.
        self.leaps = False
        self.stack = Stack(program, bootstraps, folder, self.clock)
        self.prefix = self.stack.env["INTERTIE_PREFIX"]
        self.alarms = Alarms(self.stack.control("GET", "monitoring"), self.prefix)

    # ------------------------------------------------------------ time

    def until(self, end):
        """Lives until then: fires what is due at each moment, and lets it come to its end."""
        self.settle()
        while (at := min(schedule.at for schedule in self.due)) <= end:
            due = [schedule for schedule in self.due if schedule.at == at]
            names = [schedule.name for schedule in due if not self.rests(schedule.name, at)]
            for schedule in due:
                schedule.advance()
            if names:
                self.jump(at)
                for name in names:
                    self.fire(name)
                self.settle()
        self.jump(end)

    def rests(self, name, at):
        """Whether a schedule does not fire though it is due, so that a week fits into minutes: while nothing changes syncs begin
        every hour; a sweep of dead letters waits a second for some, and there are none, so that once a day shows that it goes."""
        every = {"incremental": 1 if at < self.busy_until else HOUR, "dead-letters": DAY}
        return at % every.get(name, 1) != 0

    def jump(self, to):
        """Nothing is at work, so that no lease and no deadline ends by the jump alone."""
        if to > self.clock.now():
            self.clock.to(to)
            if any(any(depth[:3]) for depth in self.sample().values()):
                self.settle()

    def fire(self, name):
        self.fired[name] += 1
        try:
            self.stack.control("POST", f"schedules/{name}/fire")
        except Refused as error:
            self.alarms.count((*ERRORS, FUNCTIONS.get(name, "sync-scheduler")), self.clock.now(), 1)
            print(f"{moment(self.clock.now())}: {error}")

    def settle(self):
        """Waits until nothing is under way: no webhook, and in the queues nothing but what is delayed or hidden for a while. The clock
        stands still meanwhile, so that no lease and no deadline ends by it; what is hidden comes as it goes on."""
        end = time.monotonic() + PATIENCE
        if any(any(depth[:3]) for depth in self.sample().values()):
            self.stack.wake()
        while not self.rest():
            if time.monotonic() > end:
                raise Failed(f"{moment(self.clock.now())}: the queues do not come to rest: {self.stack.depths()}")
            time.sleep(0.002)

    def rest(self):
        """Whether nothing was under way at one moment: the queues were at rest before the webhooks were counted, and nothing came since."""
        first = self.sample(at_rest=True)
        if any(queue.visible or queue.at_work for queue in first.values()) or self.stack.webhooks():
            return False
        return first == self.sample()

    def soon(self, what, check):
        """Waits, without a schedule, until `check` finds nothing missing. What is hidden meanwhile gets the time that it needs."""
        end = time.monotonic() + PATIENCE
        while missing := (self.settle() or check()):
            if time.monotonic() > end:
                self.fail(what, missing)
            if any(queue.in_flight or queue.delayed for queue in self.sample().values()):
                self.jump(self.clock.now() + 5)
            time.sleep(0.01)

    def fail(self, what, wrong):
        if wrong:
            raise Failed(f"{moment(self.clock.now())}: {what}: {wrong}")

    # ------------------------------------------------------------ what alarms watch

    def sample(self, at_rest=False):
        """Looks into the queues, and does not go on over a dead letter."""
        depths, now = self.stack.depths(at_rest), self.clock.now()
        for queue, depth in depths.items():
            if queue.endswith("-dead"):
                self.alarms.count((*DEAD, queue), now, sum(depth[:3]))
            # What is delayed is not late.
            elif depth.oldest_seconds and not self.leaps:
                came = now - depth.oldest_seconds
                for minute in range(int(max(self.sampled, came)), int(now) + 1, 60):
                    self.alarms.count((*AGE, queue), minute, minute - came)
        self.sampled = now
        dead = {name: sum(depth[:3]) for name, depth in depths.items() if name.endswith("-dead") and any(depth[:3])}
        self.fail("dead letters", dead)
        return depths

    def rung(self):
        """A sentence for each alarm that rang. To be asked once, at the end."""
        prefix = self.prefix + "-"
        for it in self.stack.control("GET", "metrics"):
            if (it["namespace"], it["name"]) == THROTTLES and it["total"]:
                self.alarms.count((*THROTTLES, it["dimensions"]["FunctionName"].removeprefix(prefix)), self.clock.now(), it["total"])
        for function, line in self.stack.lines():
            if line.get("level") == "ERROR" or line.get("type") == "platform.fault":
                self.alarms.count((*ERRORS, function.removeprefix(prefix)), time_of(line), 1)
            # Of metrics with a dimension of their own, alarms are on the sums.
            for directive in (it for it in line.get("_aws", {}).get("CloudWatchMetrics", ()) if it["Dimensions"] == [["stack"]]):
                for name in (metric["Name"] for metric in directive["Metrics"]):
                    self.alarms.count((directive["Namespace"], name, ""), line["_aws"]["Timestamp"] / 1000, sum(line[name]))
        return list(self.alarms.rung({DEAD, AGE, ERRORS, THROTTLES, API_ERRORS[:2]}, OURS))

    # ------------------------------------------------------------ the product, as its users see it

    def api(self, user, path):
        bearer = {"authorization": f"Bearer {self.stack.session(user)}"}
        status, _, text = self.stack.web.call("GET", self.stack.url + path, None, bearer)
        if status >= 500:
            self.alarms.count(API_ERRORS, self.clock.now(), 1)
        if status != 200:
            raise Failed(f"{path}: {status} {text:.500}")
        return json.loads(text)

    def sync_in_full(self, user, provider):
        bearer = {"authorization": f"Bearer {self.stack.session(user)}"}
        url = f"{self.stack.url}/integrations/{provider}/sync"
        status, _, text = self.stack.web.call("POST", url, {"type": "full"}, bearer)
        if status != 202:
            raise Failed(f"a full sync of {provider}: {status} {text:.500}")

    def status(self, user, provider):
        return self.api(user, f"/integrations/{provider}")["integrations"][0]

    def records(self, user, provider, stream):
        """What is kept, by id."""
        return {record["id"]: record["data"] for record in self.all_records(user, provider, stream=stream)}

    def all_records(self, user, provider, **of):
        after = {}
        while after is not None:
            query = urllib.parse.urlencode({"limit": 1000} | of | after)
            page = self.api(user, f"/integrations/{provider}/records?{query}")
            yield from page["records"]
            after = {"after": page["next"]} if page["next"] else None

    def connect_by_key(self, user, provider, key):
        bearer = {"authorization": f"Bearer {self.stack.session(user)}"}
        status, _, text = self.stack.web.call("POST", f"{self.stack.url}/connect/{provider}", {"api_key": key}, bearer)
        if status != 201:
            raise Failed(f"connecting {provider}: {status} {text:.500}")

    def connect(self, user, provider, account):
        """Through the provider's page, as a browser goes."""
        web, page = self.stack.web, {"accept": "text/html"}
        bearer = {"authorization": f"Bearer {self.stack.session(user)}"}
        _, headers, text = web.call("GET", f"{self.stack.url}/connect/{provider}", None, page | bearer)
        if "location" not in headers:
            raise Failed(f"connecting {provider}: {text:.500}")
        cookie = {"cookie": headers["set-cookie"].split(";")[0]}
        consent, _, query = headers["location"].partition("?")
        form = urllib.parse.urlencode(urllib.parse.parse_qsl(query) + [("decision", "allow"), ("account", account)])
        kind = {"content-type": "application/x-www-form-urlencoded"}
        _, headers, _ = web.call("POST", consent, form, kind)
        _, headers, text = web.call("GET", headers["location"], None, page | cookie)
        if "success=" not in headers.get("location", ""):
            raise Failed(f"connecting {provider}: {headers.get('location')} {text:.500}")


def time_of(line):
    """When a line of a log was written, in seconds."""
    text = line.get("timestamp") or line.get("time")
    return datetime.datetime.fromisoformat(text).timestamp() if text else 0
