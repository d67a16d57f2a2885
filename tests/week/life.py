"""What happens at the providers: random changes, and what is true after them. Each provider here knows of Intertie only which fields of its
objects a record has."""

import urllib.parse

ADA, TEAM, HOLIDAYS = "ada@example.com", "team@group.calendar.google.com", "en.uk#holiday@group.v.calendar.google.com"
# Google watches no calendar of holidays.
WATCHED = (ADA, TEAM)
# Objects of a kind are at most about so many: beyond that more are ended than made.
MOST = 30


class Life:
    """One provider's. `sandbox` calls its controls."""

    vendor, provider, account = None, None, None
    # Whether a webhook's body names its object.
    named = True

    def __init__(self, sandbox, random):
        self.call, self.random = sandbox, random
        self.serial = 0
        # Records that only a full run can bring up to date.
        self.only_by_full_run = set()

    def change(self):
        """One change: the key of its record, `stream/id`, and what happened. Nothing if there is nothing to change."""
        raise NotImplementedError

    def truth(self):
        """The fields of each object that there is, by the key of its record; all of the fields that can change here."""
        raise NotImplementedError

    def number(self):
        self.serial += 1
        return self.serial

    def word(self):
        return f"w{self.number()}"

    def more(self, there):
        """Whether another object is made now, and none of those that are there is changed."""
        return self.random.random() < (0.5 if len(there) < MOST / 2 else 0.2 if len(there) < MOST else 0.02)


class Slack(Life):
    vendor, provider, account = "SLACK", "slack", "T0SANDBOX"

    def change(self):
        return self.channel() if self.random.random() < 0.6 else self.user()

    def channel(self):
        there = [channel for channel in self.call("GET", "channels") if not channel["is_general"]]
        if not there or self.more(there):
            fields = {"id": f"C0NEW{self.number():06}", "name": self.word(), "is_private": self.random.random() < 0.3}
            self.call("POST", "channels", fields)
            return f"channels/{fields['id']}", "created"
        channel = self.random.choice(there)
        key, path, happens = f"channels/{channel['id']}", f"channels/{channel['id']}", self.random.randrange(10)
        if happens < 2:
            self.call("DELETE", path)
            return key, "deleted"
        fields = {"is_archived": not channel["is_archived"]} if happens < 4 else {"is_member": not channel["is_member"]}
        if happens >= 6:
            fields = {"name": self.word()} if happens < 8 else {"topic": {"value": self.word(), "creator": "U0ADA000001", "last_set": 1}}
        self.call("POST", path, fields)
        return key, fields

    def user(self):
        there = self.call("GET", "users")
        if self.more(there):
            user = self.call("POST", "users", {"id": f"U0NEW{self.number():06}", "name": self.word()})
            return f"users/{user['id']}", "created"
        user = self.random.choice(there)
        fields = self.random.choice([
            {"deleted": not user["deleted"]}, {"real_name": self.word()}, {"is_restricted": not user["is_restricted"]},
        ])
        self.call("POST", f"users/{user['id']}", fields)
        return f"users/{user['id']}", fields

    def truth(self):
        there = {}
        for it in self.call("GET", "channels"):
            # A private channel shows itself to its members only.
            if it["is_member"] or not it["is_private"]:
                fields = {name: it[name] for name in ("name", "is_archived", "is_member", "is_private", "previous_names")}
                there[f"channels/{it['id']}"] = fields | {"topic": it["topic"]["value"]}
        for it in self.call("GET", "users"):
            fields = {name: it[name] for name in ("name", "real_name", "is_restricted")}
            there[f"users/{it['id']}"] = fields | {"deactivated": it["deleted"]}
        return there


class Stripe(Life):
    vendor, provider, account = "STRIPE", "stripe", "acct_local"
    KINDS = ("customers", "subscriptions", "payment_intents")
    FIELDS = {
        "customers": ("name", "email", "address", "delinquent", "metadata"),
        "subscriptions": ("customer", "status", "cancel_at_period_end", "canceled_at", "ended_at", "metadata"),
        "payment_intents": ("status", "amount", "amount_received", "latest_charge", "metadata", "cancellation_reason"),
    }

    def change(self):
        kind = self.random.choice(self.KINDS)
        there = [it for it in self.call("GET", kind) if not it.get("deleted")]
        going = [it for it in there if it.get("status") not in ("succeeded", "canceled")]
        if not going or self.more(going):
            fields = {"metadata": {"word": self.word()}}
            fields |= {"customer": "cus_Seed0000000001"} if kind == "subscriptions" else {}
            it = self.call("POST", kind, fields)
            return f"{kind}/{it['id']}", "created"
        it = self.random.choice(going)
        key, path = f"{kind}/{it['id']}", f"{kind}/{it['id']}"
        if self.random.random() < 0.2:
            self.call("DELETE", path)
            ended = [key]
            if kind == "customers":
                ended += [f"subscriptions/{of['id']}" for of in self.call("GET", "subscriptions") if of["customer"] == it["id"]]
            self.only_by_full_run -= set(ended)
            return key, "deleted"
        fields = self.random.choice({
            "customers": [{"name": self.word()}, {"address": {"city": self.word(), "country": "GB"}}, {"delinquent": not it.get("delinquent")}],
            "subscriptions": [{"status": "past_due"}, {"status": "active"}, {"cancel_at_period_end": not it.get("cancel_at_period_end")}],
            "payment_intents": [
                {"status": "processing"}, {"status": "requires_action"}, {"metadata": {"word": self.word()}},
                {"status": "succeeded", "amount_received": it.get("amount"), "latest_charge": f"ch_{self.word()}"},
                {"status": "canceled", "cancellation_reason": "abandoned", "canceled_at": 1},
            ],
        }[kind])
        self.call("POST", path, fields)
        # Of a payment only its states are told.
        if kind == "payment_intents" and fields.get("status", it["status"]) == it["status"]:
            self.only_by_full_run.add(key)
            return key, f"{fields}, which no event tells of"
        self.only_by_full_run.discard(key)
        return key, fields

    def truth(self):
        return {
            f"{kind}/{it['id']}": {name: it[name] for name in self.FIELDS[kind]}
            for kind in self.KINDS for it in self.call("GET", kind) if not it.get("deleted")
        }


class Calendar(Life):
    vendor, provider, account = "GOOGLE", "google-calendar", ADA
    CALENDARS = (ADA, TEAM, HOLIDAYS)
    named = False

    def change(self):
        calendar = self.random.choice(self.CALENDARS)
        all = self.call("GET", f"events/{quoted(calendar)}")
        there = [event for event in all if event["status"] != "cancelled"]
        trash = [event for event in all if event["status"] == "cancelled" and event.get("summary")]
        path = lambda event: f"events/{quoted(calendar)}/{event['id']}"
        if trash and self.random.random() < 0.1:
            event = self.random.choice(trash)
            # One that was moved or never was whole has nothing to be restored to.
            self.call("POST", f"{path(event)}/restore", {})
            return f"events/{calendar}/{event['id']}", "restored"
        if not there or self.more(there):
            fields = {"id": f"event{self.number():06}", "summary": self.word()}
            single = [event for event in there if not event.get("recurringEventId")]
            if single and self.random.random() < 0.2:
                when = {"dateTime": "2028-03-01T09:00:00Z", "timeZone": "UTC"}
                status = self.random.choice(("cancelled", "confirmed"))
                fields |= {"recurringEventId": self.random.choice(single)["id"], "originalStartTime": when, "status": status}
            self.call("POST", f"events/{quoted(calendar)}", fields)
            return f"events/{calendar}/{fields['id']}", "created"
        event = self.random.choice(there)
        key = f"events/{calendar}/{event['id']}"
        happens = self.random.randrange(10)
        if happens < 3:
            self.call("DELETE", path(event), {})
            return key, "deleted"
        if happens == 3:
            to = self.random.choice([other for other in self.CALENDARS if other != calendar])
            self.call("POST", f"{path(event)}/move", {"destination": to})
            return key, f"moved to {to}"
        fields = {"summary": self.word()} if happens < 8 else {"start": {"date": "2028-12-24"}, "end": {"date": "2028-12-25"}}
        self.call("POST", path(event), fields)
        return key, fields

    def truth(self):
        there = {}
        for calendar in self.CALENDARS:
            for event in self.call("GET", f"events/{quoted(calendar)}"):
                if event["status"] != "cancelled":
                    fields = {"summary": event.get("summary"), "calendar": calendar, "recurring_event_id": event.get("recurringEventId")}
                    date = event["start"].get("date") if "start" in event else None
                    there[f"events/{calendar}/{event['id']}"] = fields | ({"start": {"date": date}} if date else {})
        return there


class Gmail(Life):
    vendor, provider, account = "GOOGLE", "gmail", ADA
    LABELS = (["INBOX"], ["INBOX", "UNREAD", "STARRED"], ["INBOX", "TRASH"], ["SPAM"], ["INBOX", "UNREAD"])
    named = False

    def change(self):
        there = self.call("GET", "messages")
        if not there or self.more(there):
            mail = self.call("POST", "messages", {"id": f"message{self.number():06}", "subject": self.word()})
            return f"messages/{mail['id']}", "created"
        id = self.random.choice(there)["id"]
        if self.random.random() < 0.2:
            self.call("DELETE", f"messages/{id}", {})
            return f"messages/{id}", "deleted"
        labels = self.random.choice(self.LABELS)
        self.call("POST", f"messages/{id}", {"labelIds": labels})
        return f"messages/{id}", labels

    def truth(self):
        return {
            f"messages/{mail['id']}": {"label_ids": mail["labelIds"], "thread_id": mail["threadId"]}
            for mail in self.call("GET", "messages") if not {"TRASH", "SPAM"} & set(mail["labelIds"])
        }


LIVES = (Slack, Stripe, Calendar, Gmail)


def watched(call):
    """Which calendar or mailbox a call begins to watch, if it does."""
    parts = urllib.parse.unquote(call["path"].split("?")[0]).split("/")
    if call["method"] != "POST" or parts[-1] != "watch":
        return None
    return parts[-3] if parts[-2] == "events" else parts[-2]


def quoted(text):
    return urllib.parse.quote(text, safe="")
