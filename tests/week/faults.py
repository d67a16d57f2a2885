"""What goes wrong: webhooks are lost, calls fail, functions are killed, cursors are forgotten."""

import time

LOST, FAILING = 0.2, 0.05
KILLED = ("sync-worker", "webhook-process")
# How a call fails: what is answered, or that nothing is, in equal parts. None is one too many, in the provider's own words.
EFFECTS = (
    {"status": 500, "body": {"error": {"message": "a fault"}}},
    {"status": 503, "headers": {"retry-after": "2"}},
    None,
    {"close": True},
    {"close": True, "after": True},
)
GOOGLES = {"domain": "usageLimits", "reason": "rateLimitExceeded", "message": "Slow down"}
TOO_MANY = {
    "SLACK": {"status": 429, "headers": {"retry-after": "30"}, "body": {"ok": False, "error": "ratelimited"}},
    "STRIPE": {"status": 429, "body": {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Slow down"}}},
    "GOOGLE": {
        "status": 429,
        "headers": {"retry-after": "90"},
        "body": {"error": {"code": 429, "message": "Slow down", "errors": [GOOGLES]}},
    },
}
# Longer than a call waits.
TOO_LATE = {"hang_ms": 11000}


class Faults:
    """Those of a stack. `counts` counts them, and `done` has the moments of those that are few, as `stamp` writes them."""

    def __init__(self, stack, vendors, random, counts, stamp):
        self.stack, self.vendors, self.random, self.counts, self.stamp = stack, vendors, random, counts, stamp
        self.done = []

    def begin(self):
        chance = lambda of: {"of": of, "seed": self.random.getrandbits(32)}
        for vendor in self.vendors:
            self.stack.sandbox(vendor, "POST", "deliveries/lose", {"chance": chance(LOST)})
            for effect in EFFECTS:
                fault = {"match": "", "effect": effect or TOO_MANY[vendor], "chance": chance(FAILING / len(EFFECTS))}
                self.stack.sandbox(vendor, "POST", "faults", fault)

    def end(self):
        self.count_kills()
        self.stack.control("PUT", "faults", [])
        for vendor in self.vendors:
            struck = self.stack.sandbox(vendor, "GET", "faults")
            self.counts["calls that failed"] += sum(fault["struck"] for fault in struck)
            self.stack.sandbox(vendor, "DELETE", "faults")
            self.stack.sandbox(vendor, "POST", "deliveries/lose", {})

    def kill_now(self):
        """In the middle of an invocation, if there is one in a moment."""
        time.sleep(self.random.random() * 0.05)
        name = self.random.choice(KILLED)
        self.counts["kills"] += self.stack.control("POST", f"functions/{name}/kill")["killed"]
        self.note(f"{name} killed")

    def kill_soon(self):
        """Right before or after one of the next calls of AWS takes effect."""
        self.count_kills()
        effect = self.random.choice(("kill_before", "kill_after"))
        fault = {"function": self.random.choice(KILLED), "at": self.random.randint(1, 40), "effect": effect}
        self.stack.control("PUT", "faults", [fault])
        self.note(fault)

    def count_kills(self):
        self.counts["kills"] += sum(armed["seen"] >= armed["fault"]["at"] for armed in self.stack.control("GET", "faults"))

    def forget_cursors(self):
        """Gmail's history and the sync tokens of all calendars."""
        self.counts["cursors forgotten"] += 2
        self.stack.sandbox("GOOGLE", "POST", "history_floor", {})
        self.stack.sandbox("GOOGLE", "POST", "expire_sync_tokens", {})
        self.note("cursors forgotten")

    def no_answer(self):
        """The next call of a provider gets its answer too late."""
        self.counts["timeouts"] += 1
        self.stack.sandbox(self.random.choice(self.vendors), "POST", "faults", {"match": "", "effect": TOO_LATE})

    def note(self, what):
        self.done.append(f"{self.stamp()} {what}")
