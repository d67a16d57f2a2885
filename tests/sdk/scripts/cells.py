"""What the scripts share: where they call, and how they say which cells of the table hold."""

import json
import os
import traceback
import urllib.request

url = os.environ["INTERTIE_URL"]
session = os.environ["INTERTIE_SESSION"]
stranger = os.environ["INTERTIE_STRANGER"]  # of a user that connected nothing
GREETING = "Grüße, Łódź! 日本 🧵"


def cell(name):
    """Runs what it decorates, and says that this cell of the table holds, or what is wrong. Another name is a further claim."""

    def run(check):
        error = None
        try:
            check()
        except Exception:
            error = traceback.format_exc()
        print(json.dumps({"cell": name} | ({"error": error} if error else {})), flush=True)

    return run


def fault(provider, match, effect):
    """The next call of this name gets this answer from the provider."""
    to = json.loads(os.environ["SANDBOXES"])[provider] + "/_admin/faults"
    body = json.dumps({"match": match, "times": 1, "effect": effect}).encode()
    urllib.request.urlopen(urllib.request.Request(to, body, {"Content-Type": "application/json"})).close()


def refused(kind, call):
    """The error of this kind that a call raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")
