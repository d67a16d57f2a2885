"""Seven days in minutes: story.py PROGRAM BOOTSTRAPS FOLDER [DAYS].

Of Ada's calendars one can't be watched; from Monday noon on one is forbidden and one fails, ten of her messages can't be read, and
Grace's domain blocks the app. From Saturday noon on all but the first works again. All the while what can be read changes, told by
pushes or not, and is looked for in the records.
"""

import collections
import itertools
import pathlib
import signal
import sys
import time
import urllib.parse

from alarms import moment
from stack import LIBRARY, Refused
from week import DAY, HOUR, Failed, Week, time_of

# A Monday, 6:00 UTC, the week of a leap day.
BEGIN = 1835330400
BREAKS, MENDS = BEGIN + 6 * HOUR, BEGIN + 5 * DAY + 6 * HOUR
# At these hours of a day something changes.
CHANGES = (7.5, 10.5, 13.5, 16.5)
# In its next slot, 22.5 minutes later at most, an integration is synced: that brings what no push told.
ROUND = 25 * 60
ADA, GRACE, ACME = "ada@example.com", "grace@example.com", "T0SANDBOX"
TEAM, HOLIDAYS = "team@group.calendar.google.com", "en.uk#holiday@group.v.calendar.google.com"
FORBIDDEN, FAILING = "forbidden@group.calendar.google.com", "failing@group.calendar.google.com"
READABLE, WATCHED = (ADA, TEAM, HOLIDAYS), (ADA, TEAM)
GOOGLE = ("google-calendar", "gmail")
# What a change sends if it is told: of each watched calendar that is read, of the two others, and of the mailbox.
PUSHES = 2 * len(WATCHED) + 2 + 2
# Calls in a day of an integration with a blocked domain; polling alone would be 96.
MOST_BLOCKED = 12
# A token of an hour is renewed every 41 to 45 minutes; Slack's of 12 hours every 9 to 10.
RENEWALS = {"GOOGLE": (24, 40), "SLACK": (2, 4)}


class Story(Week):
    """What happens in the week, and what must hold."""

    def __init__(self, program, bootstraps, folder, days):
        super().__init__(program, bootstraps, folder, BEGIN)
        self.days, self.serial = days, itertools.count(1)
        self.unreadable, self.kept, self.seen, self.calls = set(), {}, {}, collections.Counter()

    def live(self):
        self.begin()
        happenings = {BREAKS: self.breaks, MENDS: self.mends}
        for day in range(self.days):
            happenings[BEGIN + (day + 1) * DAY] = self.day_is_over
            for at in (BEGIN // DAY * DAY + day * DAY + int(hour * HOUR) for hour in CHANGES):
                happenings |= {at: self.change, at + ROUND: self.current}
        for at in sorted(at for at in happenings if at <= BEGIN + self.days * DAY):
            self.until(at)
            happenings[at]()
        self.end()

    def google(self, method, path, body=None):
        return self.stack.sandbox("GOOGLE", method, path, body)

    # ------------------------------------------------------------ what happens

    def begin(self):
        for calendar in (FORBIDDEN, FAILING):
            self.google("POST", "calendars", {"calendar_id": calendar, "summary": calendar.split("@")[0].title()})
        for calendar in (HOLIDAYS, FORBIDDEN, FAILING):
            self.event(calendar, told=False)
        for user, provider, account in self.integrations():
            self.connect(user, provider, account)
        self.until(BEGIN + HOUR)
        self.current((*READABLE, FORBIDDEN, FAILING))

    def integrations(self):
        yield from (("ada", provider, ADA) for provider in GOOGLE)
        yield from (("grace", provider, GRACE) for provider in GOOGLE)
        yield "ada", "slack", ACME

    def breaks(self):
        self.google("POST", f"calendars/{quoted(FORBIDDEN)}", {"list": "forbidden"})
        self.google("POST", f"calendars/{quoted(FAILING)}", {"list": "failing"})
        mails = [self.google("POST", "messages", {"subject": "Unreadable", "silent": True}) for _ in range(10)]
        self.unreadable = {mail["id"] for mail in mails}
        self.google("POST", "unreadable", {"ids": sorted(self.unreadable)})
        self.google("POST", "account", {"account": GRACE, "blocked": True})
        self.kept = {calendar: self.events_kept([calendar]) for calendar in (FORBIDDEN, FAILING)}

    def mends(self):
        for calendar in (FORBIDDEN, FAILING):
            self.google("POST", f"calendars/{quoted(calendar)}", {"list": "willing"})
        self.google("POST", "unreadable", {"ids": []})
        self.google("POST", "account", {"account": GRACE, "blocked": False})
        self.kept = {}
        # What was refused for good only full syncs ask for, and the stream's hour of the week may have passed.
        for provider in GOOGLE:
            self.sync_in_full("ada", provider)

    def event(self, calendar, told=True, **fields):
        fields = {"summary": f"Event {next(self.serial)}"} | fields
        return self.google("POST", f"events/{quoted(calendar)}", fields | {"silent": not told})

    def change(self):
        """Events and messages come, change and go. Every second time pushes tell of it, and nothing waits for the schedule."""
        turn, self.busy_until = next(self.serial), self.clock.now() + HOUR
        told = self.clock.now() % DAY / HOUR < 12
        before = self.taken()
        for calendar in (HOLIDAYS, FORBIDDEN, FAILING):
            self.event(calendar, told)
        for calendar in WATCHED:
            path = f"events/{quoted(calendar)}/{self.event(calendar, told)['id']}"
            if turn % 3:
                self.google("POST", path, {"summary": f"Moved {turn}", "silent": not told})
            else:
                self.google("DELETE", path, {"silent": not told})
        mail = self.google("POST", "messages", {"subject": f"Mail {turn}", "silent": not told})
        self.google("POST", f"messages/{mail['id']}", {"labelIds": ["INBOX"], "silent": not told})
        if told:
            self.soon("pushes that were not taken", lambda: max(0, before + PUSHES - self.taken()))
            self.soon("no push brought an event", lambda: self.events_differ(WATCHED))
            self.soon("no push brought a message", self.mail_differs)

    def taken(self):
        """How many pushes were answered with 200."""
        return sum(sent["status"] == 200 for sent in self.google("GET", "deliveries"))

    # ------------------------------------------------------------ what is true, and what is kept of it

    def events_kept(self, calendars):
        found = self.records("ada", "google-calendar", "events").items()
        return {id: data["summary"] for id, data in found if id.rpartition("/")[0] in calendars}

    def events_differ(self, calendars):
        lists = {calendar: self.google("GET", f"events/{quoted(calendar)}") for calendar in calendars}
        there = {
            f"{calendar}/{event['id']}": event["summary"]
            for calendar, events in lists.items()
            for event in events
            if event["status"] != "cancelled"
        }
        return differ(self.events_kept(calendars), there)

    def mail_differs(self):
        there = {mail["id"]: mail["labelIds"] for mail in self.google("GET", "messages")}
        found = {id: data["label_ids"] for id, data in self.records("ada", "gmail", "messages").items()}
        readable = lambda mails: {id: labels for id, labels in mails.items() if id not in self.unreadable}
        return differ(readable(found), readable(there))

    # ------------------------------------------------------------ what must hold

    def current(self, calendars=READABLE):
        """A round after the latest change what can be read is current, and what can't be is as it was."""
        self.fail("events that can be read", self.events_differ(calendars))
        self.fail("messages that can be read", self.mail_differs())
        for calendar, kept in self.kept.items():
            self.fail(f"{calendar} is not as it was read last", differ(self.events_kept([calendar]), kept))

    def day_is_over(self):
        self.current()
        broken = BREAKS < self.clock.now() < MENDS
        for user, provider, _ in self.integrations():
            status = self.status(user, provider)
            at, before = status["last_sync"], self.seen.get((user, provider), "")
            blocked = user == "grace" and broken
            if (at > before) == blocked and before:
                self.fail(f"last_sync of {user}'s {provider}", f"{before}, then {at}; blocked: {blocked}")
            self.seen[user, provider] = at
            self.told(user, provider, status, broken)
        self.count_calls(broken)

    def told(self, user, provider, status, broken):
        """The status says what can't be read, and what can't be watched."""
        told = [stream["error"] for stream in status["streams"] if stream["error"]]
        if provider == "slack":
            right = not told and not status["error"] and not status["degraded"]
        elif user == "grace" and broken:
            right = "administrators" in (status["error"] or "") and status["degraded"] and status["streams"][0]["next_try"]
        elif status["error"] or status["degraded"]:
            right = MENDS <= self.clock.now() < MENDS + DAY
        elif user == "ada" and broken and provider == "google-calendar":
            right = len(told) == 1 and "Forbidden" in told[0] and "Failing" in told[0]
        elif user == "ada" and broken and provider == "gmail":
            right = len(told) == 1 and told[0].startswith("10 messages can't be read")
        else:
            right = not told or self.clock.now() < MENDS + DAY
        if not right or (provider == "google-calendar" and user == "ada" and status["watching"] != {"active": 4, "of": 5}):
            self.fail(f"what {user} is told of {provider}", status)

    def count_calls(self, broken):
        """No token was too old for any call of the day, and the blocked integration hardly calls."""
        blocked = collections.Counter()
        for vendor in RENEWALS:
            for call in self.stack.sandbox(vendor, "GET", "calls"):
                self.calls[vendor] += 1
                if call["status"] == 401:
                    self.fail("a token was refused", call)
                if call["status"] == 403 and quoted(FORBIDDEN) not in call["path"]:
                    blocked[call["path"].split("/")[1]] += 1
            self.stack.sandbox(vendor, "DELETE", "calls")
        if broken and max(blocked.values(), default=0) > MOST_BLOCKED:
            self.fail("calls of a blocked domain in a day", dict(blocked))

    def end(self):
        """What was broken is whole again, watches and tokens live, and each spell was told once."""
        if self.days == 7:
            self.unreadable = set()
            self.current((*READABLE, FORBIDDEN, FAILING))
        self.change_once_more()
        open_until = {channel["calendar"]: channel["expiration"] for channel in self.google("GET", "channels")}
        wanted = {*WATCHED, FORBIDDEN, FAILING, GRACE}
        alive = {calendar for calendar, until in open_until.items() if time_of({"time": until}) > self.clock.now()}
        self.fail("calendars that are not watched at the end", wanted - alive)
        for vendor, (least, most) in RENEWALS.items():
            for grant in self.stack.sandbox(vendor, "GET", "grants"):
                if grant["reused"] or not least * self.days <= grant["refreshes"] <= most * self.days:
                    self.fail(f"refreshes of a grant at {vendor}", grant)
        self.fail("tokens refreshed by other functions than token-refresh, so too late", [
            (function, line) for function, line in self.stack.lines()
            if line.get("message") == "refreshed" and not function.endswith("token-refresh")
        ][:3])
        refused = [sent for sent in self.google("GET", "deliveries") if sent["status"] != 200]
        self.fail("pushes that were not taken", refused[:3])
        spells = collections.Counter(
            (event["detail"]["user_id"], event["detail"]["provider"], event["detail-type"].removeprefix("integration."))
            for event in self.stack.events()
            if event["detail-type"] in ("integration.degraded", "integration.recovered")
        )
        words = ("degraded", "recovered") if self.days == 7 else ("degraded",)
        expected = {("grace", provider, word): 1 for provider in GOOGLE for word in words}
        if spells != expected:
            self.fail("spells told on the bus", dict(spells))
        self.fail("alarms", self.rung())

    def change_once_more(self):
        self.event(ADA)
        self.google("POST", "messages", {"subject": "The last"})
        self.soon("no push brought the last event", lambda: self.events_differ(WATCHED))
        self.soon("no push brought the last message", self.mail_differs)


def differ(found, expected):
    """What is in one of them only, or differs, a few of each; nothing if they are equal."""
    wrong = {
        "missing": sorted(expected.keys() - found.keys())[:5],
        "too many": sorted(found.keys() - expected.keys())[:5],
        "different": [(id, found[id], expected[id]) for id in found.keys() & expected.keys() if found[id] != expected[id]][:5],
    }
    return {name: items for name, items in wrong.items() if items}


def quoted(text):
    return urllib.parse.quote(text, safe="")


def main():
    program, bootstraps, folder = map(pathlib.Path, sys.argv[1:4])
    days = int(sys.argv[4]) if len(sys.argv) > 4 else 7
    if LIBRARY is None:
        sys.exit("tests/week needs libfaketime, Debian's package faketime")
    # However it ends, the stack is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    begun, wrong, left = time.monotonic(), [], []
    story = Story(program, bootstraps, folder, days)
    try:
        story.live()
    except (Failed, Refused) as error:
        wrong.append(str(error))
    finally:
        left = story.stack.stop()
    if left:
        wrong.append(f"processes are left: {left}")
    done = collections.Counter(line.get("message") for _, line in story.stack.lines())
    words = ("swept", "synced", "refreshed", "applied")
    print(f"{days} days, to {moment(story.clock.now())}, in {time.monotonic() - begun:.0f} s")
    print(f"schedules fired: {dict(story.fired)}; calls of providers: {dict(story.calls)}")
    print("in the logs:", ", ".join(f"{done[word]} {word}" for word in words))
    print("\n".join(wrong) if wrong else "no dead letter, no alarm, all that can be read is current")
    sys.exit(1 if wrong else 0)


main()
