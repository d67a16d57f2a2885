"""Days of random life in minutes: day.py PROGRAM BOOTSTRAPS FOLDER [--seed N] [--days N].

All four providers change at random moments. A fifth of the webhooks is lost, a twentieth of the calls fails, bootstraps are killed, also in
the middle of an invocation, cursors are forgotten, watches and tokens run out. When the faults are over, the next slots must bring all
that an incremental sync can, and the weekly full runs the rest: then the records are those of the providers' lists, and field by field
those that a second user gets who connects the same account at the end.
"""

import argparse
import collections
import pathlib
import random
import signal
import sys
import time

import life
from alarms import moment
from faults import Faults
from stack import LIBRARY, Refused
from week import DAY, HOUR, Failed, Week

# A Monday, 6:00 UTC.
BEGIN = 1835330400
SLOT = 15 * 60
# Moments of a day at which something changes, and how much then.
MOMENTS, AT_ONCE = 60, 5
KILLS, CURSORS = 16, 2
# A new watch lives for so long: it is renewed several times a day.
WATCH_LIFE = 12 * HOUR
# After the last fault: a message of a killed sync is hidden for 30 minutes, and what was refused pauses.
LATEST = 3 * HOUR
# In the quiet week schedules fire that rarely.
QUIET = 12 * HOUR
# A token of an hour is refreshed at least every 50 minutes; Slack's of 12 hours every 10 to 11.
REFRESHES = {"GOOGLE": 24, "SLACK": 2}
USERS = ("ada", "bob")
KEY = "sk_test_sandbox"
# Alarms that may ring, because functions are killed.
OF_KILLS = ("SyncWorkerErrorsAlarm", "WebhookProcessErrorsAlarm")


class Days(Week):
    """What happens in the days, and what must hold at their end."""

    def __init__(self, program, bootstraps, folder, seed, days):
        self.counts, self.history = collections.Counter(), collections.defaultdict(list)
        self.days, self.seed, self.random = days, seed, random.Random(seed)
        super().__init__(program, bootstraps, folder, BEGIN)
        # What is drawn for one provider does not depend on what another one answers.
        self.lives = [kind(self.caller(kind.vendor), random.Random(f"{seed} {kind.provider}")) for kind in life.LIVES]
        self.vendors = sorted({kind.vendor for kind in life.LIVES})
        self.faults = Faults(self.stack, self.vendors, self.random, self.counts, self.stamp)

    def caller(self, vendor):
        return lambda method, path, body=None: self.stack.sandbox(vendor, method, path, body)

    def live(self):
        self.stack.control("GET", "usage")
        self.stack.sandbox("GOOGLE", "POST", "watches/life", {"seconds": WATCH_LIFE})
        for user in USERS:
            self.connect_all(user)
        self.until(BEGIN + SLOT)
        self.soon("first syncs that are not true", lambda: self.differences(USERS))
        self.faults.begin()
        end = BEGIN + self.days * DAY
        for at, happens in self.plan(int(self.clock.now()) + 60, end):
            self.until(at)
            happens()
        self.until(end)
        self.faults.end()
        self.renewed()
        self.slots_bring_what_they_can()
        self.full_runs_bring_the_rest()
        self.second_reader()
        self.watched()
        self.healthy()
        self.explained()

    def connect_all(self, user):
        for each in self.lives:
            if each.vendor == "STRIPE":
                self.connect_by_key(user, each.provider, KEY)
            elif user != "bob" or each.vendor == "SLACK":
                self.connect(user, each.provider, each.account)

    def rests(self, name, at):
        every = {"dead-letters": 6 * HOUR}
        return at % (QUIET if self.leaps else every.get(name, 1)) != 0

    # ------------------------------------------------------------ what happens

    def plan(self, begin, end):
        """Moments, and what happens at each."""
        days = (end - begin) / DAY
        faults = [(self.kill_amid, KILLS // 2), (self.faults.kill_soon, KILLS // 2), (self.faults.forget_cursors, CURSORS)]
        kinds = [(self.change, MOMENTS), *faults]
        moments = [
            (self.random.randrange(begin, end), place, happens)
            for place, (happens, each_day) in enumerate(kinds)
            for _ in range(max(1, round(each_day * days)))
        ]
        # A timeout takes ten real seconds.
        moments.append((self.random.randrange(begin, end), len(kinds), self.faults.no_answer))
        return [(at, happens) for at, _, happens in sorted(moments, key=lambda each: each[:2])]

    def change(self):
        """A few changes, one right after the other."""
        for _ in range(self.random.randint(1, AT_ONCE)):
            each = self.random.choice(self.lives)
            try:
                key, what = each.change()
            except Refused:
                continue
            self.counts["changes"] += 1
            self.note(f"{each.provider}/{key}", what)

    def kill_amid(self):
        """In the middle of what a change leads to."""
        self.change()
        self.faults.kill_now()

    def note(self, key, what):
        self.history[key].append(f"{self.stamp()} {what}")

    def stamp(self):
        return time.strftime("%d %H:%M:%S", time.gmtime(self.clock.now()))

    # ------------------------------------------------------------ what must hold

    def kept(self, user, each):
        return {
            f"{record['stream']}/{record['id']}": record["data"]
            for record in self.all_records(user, each.provider)
        }

    def differences(self, users, without=lambda each: ()):
        """What the records of these users have otherwise than the provider's lists, with all that happened to the object."""
        wrong = []
        for each in self.lives:
            there, excused = each.truth(), without(each)
            for user in users:
                if user == "bob" and each.vendor == "GOOGLE":
                    continue
                kept = self.kept(user, each)
                for key in sorted((there.keys() | kept.keys()) - set(excused)):
                    if key not in kept or key not in there:
                        wrong.append(self.told(user, each, key, "is missing" if key not in kept else "is not there any more"))
                        continue
                    is_equal = lambda name, value: kept[key].get(name) == value
                    fields = {name: (kept[key].get(name), value) for name, value in there[key].items() if not is_equal(name, value)}
                    if fields:
                        wrong.append(self.told(user, each, key, f"has {fields}"))
        return wrong

    def told(self, user, each, key, what):
        """A divergence with the object's history. Lost webhooks that name no object are counted only."""
        id = key.rpartition("/")[2]
        lost = [sent for sent in self.stack.sandbox(each.vendor, "GET", "deliveries") if sent.get("lost") is not None]
        of_this = [sent["at"] for sent in lost if id in sent["lost"]] if each.named else f"{len(lost)} in all"
        happened = "; ".join(map(str, self.history[f"{each.provider}/{key}"])) or "nothing"
        return f"{user}'s {each.provider} {key} {what}; happened: {happened}; webhooks lost: {of_this}"

    def slots_bring_what_they_can(self):
        """Counts the time that it took."""
        begun = self.clock.now()
        without = lambda each: each.only_by_full_run
        while wrong := self.differences(USERS, without):
            if self.clock.now() > begun + LATEST:
                self.fail("what incremental syncs should have brought", "\n".join(["", *wrong]))
            self.until(self.clock.now() + SLOT / 3)
        self.counts["minutes until all was equal"] = round((self.clock.now() - begun) / 60)

    def full_runs_bring_the_rest(self):
        """In the week that follows each stream has its hour."""
        self.counts["records for full runs only"] = len(self.differences(USERS))
        self.stack.sandbox("GOOGLE", "POST", "watches/life", {})
        self.leaps = True
        self.until(self.clock.now() + 7 * DAY + QUIET)
        self.leaps = False
        self.until(self.clock.now() + SLOT)
        self.fail("what full runs should have brought", "\n".join(["", *wrong]) if (wrong := self.differences(USERS)) else None)

    def second_reader(self):
        """Another user reads the same accounts for the first time: the records are the same, each field of them."""
        self.connect_all("eve")
        self.soon("a first sync that is not true", lambda: self.differences(("eve",)))
        for each in self.lives:
            fresh = self.kept("eve", each)
            for user in USERS:
                if user == "bob" and each.vendor == "GOOGLE":
                    continue
                kept = self.kept(user, each)
                other = [
                    self.told(user, each, key, f"is {kept.get(key)}, and {fresh.get(key)} as eve reads it")
                    for key in sorted(kept.keys() | fresh.keys()) if kept.get(key) != fresh.get(key)
                ]
                self.fail("records that a fresh read has otherwise", "\n".join(["", *other]) if other else None)
                self.counts["records compared"] += len(kept)

    def watched(self):
        """All that can be watched is."""
        now, at = self.clock.now(), lambda watch: life_until(watch)
        channels = {it["calendar"] for it in self.stack.sandbox("GOOGLE", "GET", "channels") if at(it) > now}
        self.fail("calendars that are not watched", set(life.WATCHED) - channels)
        self.fail("a mailbox that is not watched", not any(at(it) > now for it in self.stack.sandbox("GOOGLE", "GET", "watches")))

    def renewed(self):
        """Each watch was renewed while it lived, and each token before its end."""
        begun = collections.Counter(life.watched(call) for call in self.calls("GOOGLE") if call["status"] == 200)
        del begun[None]
        self.counts["watches begun"] = sum(begun.values())
        wrong = {watch: begun[watch] for watch in (*life.WATCHED, "me") if begun[watch] <= self.days * DAY // WATCH_LIFE}
        self.fail("watches that were not renewed often enough", wrong)
        for vendor, each_day in REFRESHES.items():
            grants = self.stack.sandbox(vendor, "GET", "grants")
            self.counts["refreshes"] += sum(grant["refreshes"] for grant in grants)
            rarely = [grant for grant in grants if grant["refreshes"] < each_day * self.days]
            self.fail(f"grants at {vendor} that were not refreshed often enough", rarely)

    def calls(self, vendor):
        return self.stack.sandbox(vendor, "GET", "calls")

    def healthy(self):
        """No integration shows a failure, and none was lost."""
        for user in (*USERS, "eve"):
            for each in self.lives:
                if user != "bob" or each.vendor != "GOOGLE":
                    status = self.status(user, each.provider)
                    wrong = status["error"] or status["degraded"] or [it for it in status["streams"] if it["error"]]
                    self.fail(f"the status of {user}'s {each.provider}", wrong and status)
        for vendor in ("GOOGLE", "SLACK"):
            reused = [grant for grant in self.stack.sandbox(vendor, "GET", "grants") if grant["reused"]]
            self.fail(f"refresh tokens that were used twice at {vendor}", reused)

    def explained(self):
        """Alarms ring for what was done here, and for nothing else."""
        rung = self.rung()
        self.fail("alarms", [words for words in rung if not words.startswith(OF_KILLS)])
        print("alarms, because functions were killed:", ", ".join(words.split(" ")[0] for words in rung) or "none")
        killed = lambda line: line.get("type") == "platform.fault" and "exited" in str(line).lower()
        errors = [(name, line) for name, line in self.stack.lines() if line.get("level") == "ERROR" or line.get("type") == "platform.fault"]
        self.fail("errors in the logs that no kill explains", [it for it in errors if not killed(it[1])][:3])
        self.fail("functions that ended more often than they were killed", max(0, len(errors) - self.counts["kills"]))

    def report(self):
        """What it took."""
        usage = self.stack.control("GET", "usage")
        units = lambda name: round(sum(it[name] for it in usage["dynamodb"]))
        by_service = collections.Counter()
        for it in usage["calls"]:
            by_service[it["service"]] += it["calls"]
        done = collections.Counter(line.get("message") for _, line in self.stack.lines())
        sent = [it for vendor in self.vendors for it in self.stack.sandbox(vendor, "GET", "deliveries")]
        queues = {name: depth.sent for name, depth in self.stack.depths().items() if depth.sent}
        print("provider calls:", {vendor.lower(): len(self.calls(vendor)) for vendor in self.vendors})
        print(f"AWS calls: {dict(by_service)}; DynamoDB: {units('read_units')} read and {units('write_units')} write units, {units('items')} items")
        print("queue messages:", queues)
        print("webhooks:", sum(it["attempt"] <= 1 for it in sent), "sent,", sum("lost" in it for it in sent), "lost,",
              sum(it["status"] == 200 for it in sent), "received")
        print("in the logs:", ", ".join(f"{done[word]} {word}" for word in ("swept", "synced", "refreshed", "applied")))
        print("counted:", dict(self.counts))


def life_until(watch):
    return time.mktime(time.strptime(watch["expiration"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone


def main():
    parser = argparse.ArgumentParser()
    for name in ("program", "bootstraps", "folder"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=1)
    options = parser.parse_args()
    if LIBRARY is None:
        sys.exit("tests/week needs libfaketime, Debian's package faketime")
    # However it ends, the stack is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    begun, wrong = time.monotonic(), []
    days = Days(options.program, options.bootstraps, options.folder, options.seed, options.days)
    try:
        days.live()
    except (Failed, Refused) as error:
        wrong += [str(error), "kills and cursors:", *days.faults.done]
    finally:
        try:
            days.report()
        finally:
            left = days.stack.stop()
    if left:
        wrong.append(f"processes are left: {left}")
    print(f"seed {options.seed}: {options.days} days, to {moment(days.clock.now())}, in {time.monotonic() - begun:.0f} s")
    print("\n".join(wrong) if wrong else "the records are the providers' truth, no dead letter, no alarm but for kills")
    sys.exit(1 if wrong else 0)


main()
