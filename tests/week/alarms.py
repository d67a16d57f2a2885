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
    """What the alarms watch, as points in time. A metric is known by namespace, name and the function or queue that it is of."""

    def __init__(self, monitoring, prefix):
        """`monitoring` is what the stack's controls tell of its template."""
        self.points = collections.defaultdict(list)
        self.alarms = []
        for it in (resource["properties"] | {"id": resource["logical_id"]} for resource in monitoring if resource["kind"] == "AWS::CloudWatch::Alarm"):
            # Schedules rest here where that saves time, so that they are missed by intention.
            if it["TreatMissingData"] == "breaching":
                continue
            if it["ComparisonOperator"] != "GreaterThanThreshold":
                raise SystemExit("an alarm compares in another way than this week does")
            owner = [of["Value"].removeprefix(prefix + "-") for of in it["Dimensions"] if of["Name"] in ("FunctionName", "QueueName")]
            self.alarms.append({
                "name": it["id"],
                "metric": (it["Namespace"], it["MetricName"], "".join(owner)),
                "add": {"Sum": sum, "Maximum": max}[it["Statistic"]],
                "period": it["Period"],
                "periods": it["EvaluationPeriods"],
                "most": it.get("DatapointsToAlarm", it["EvaluationPeriods"]),
                "threshold": it["Threshold"],
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


def moment(at):
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%a %H:%M")
