"""template.yaml's alarms and schedules, and which of the alarms would have rung."""

import collections
import datetime
import re

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
UNITS = {"minute": 60, "hour": 3600, "day": 86400}


class Schedule:
    """A schedule and when it fires next."""

    def __init__(self, name, expression, begin):
        self.name, self.expression, self.at = name, expression, begin
        self.advance()

    def advance(self):
        """To the next time after this one."""
        if rate := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", self.expression):
            self.at += int(rate[1]) * UNITS[rate[2]]
        elif cron := re.fullmatch(r"cron\((\d+) (\d+) \? \* ([A-Z]{3}) \*\)", self.expression):
            time = datetime.datetime.fromtimestamp(self.at, datetime.UTC)
            wanted = time.replace(hour=int(cron[2]), minute=int(cron[1]), second=0, microsecond=0)
            wanted += datetime.timedelta(days=(DAYS.index(cron[3]) - time.weekday()) % 7)
            self.at = int((wanted if wanted > time else wanted + datetime.timedelta(days=7)).timestamp())
        else:
            raise SystemExit(f"this week can't tell when {self.expression} is due")


def schedules(template, begin):
    found = re.findall(r"Name: !Sub '\$\{Prefix\}-([a-z-]+)', Schedule: '([^']+)'", template)
    if len(found) != template.count("Type: Schedule"):
        raise SystemExit("template.yaml writes its schedules in another way than this week reads them")
    return [Schedule(name, expression, begin) for name, expression in found]


class Alarms:
    """What the alarms watch, as points in time. A metric is known by namespace, name and dimensions."""

    def __init__(self, template):
        self.points = collections.defaultdict(list)
        self.alarms = []
        for block in re.split(r"\n(?=  \w+:\n)", template):
            if "Type: AWS::CloudWatch::Alarm" not in block:
                continue
            field = lambda name, default=None: (re.search(rf"^      {name}: (.*)$", block, re.M) or [None, default])[1]
            if field("ComparisonOperator") != "GreaterThanThreshold":
                raise SystemExit("an alarm compares in another way than this week does")
            periods = int(field("EvaluationPeriods"))
            self.alarms.append({
                "name": re.search(r"\n? *(\w+):\n", block)[1],
                "metric": (field("Namespace"), field("MetricName"), whose(field("Dimensions"))),
                "add": {"Sum": sum, "Maximum": max}[field("Statistic")],
                "period": int(field("Period")),
                "periods": periods,
                "most": int(field("DatapointsToAlarm", periods)),
                "threshold": float(field("Threshold")),
            })

    def count(self, metric, at, value):
        self.points[metric].append((at, value))

    def rung(self, known, ours):
        """A sentence for each alarm that rang. `known` are the namespaces and names that were counted, beside all of `ours`."""
        for alarm in self.alarms:
            if alarm["metric"][:2] not in known and alarm["metric"][0] != ours:
                raise SystemExit(f"nothing counted what {alarm['name']} watches: {alarm['metric']}")
            periods = collections.defaultdict(list)
            for at, value in self.points[alarm["metric"]]:
                periods[int(at // alarm["period"])].append(value)
            breaching = {at for at, values in periods.items() if alarm["add"](values) > alarm["threshold"]}
            for at in sorted(breaching):
                if sum(at + further in breaching for further in range(alarm["periods"])) >= alarm["most"]:
                    values = [alarm["add"](periods[at + further]) for further in range(alarm["periods"]) if at + further in periods]
                    yield f"{alarm['name']} rang at {moment(at * alarm['period'])}: {values}"
                    break


def whose(dimensions):
    """The function or queue that a dimension names; nothing for those of the whole stack."""
    if function := re.search(r"FunctionName, Value: !Sub '\$\{Prefix\}-([a-z-]+)'", dimensions or ""):
        return function[1]
    owner = re.search(r"(\w+?)(DeadLetterQueue|Queue)\b(\.QueueName)?[}\]]", dimensions or "")
    if not owner:
        return ""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", owner[1]).lower()
    return name + "-dead" if owner[2] == "DeadLetterQueue" else name


def moment(at):
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%a %H:%M")
