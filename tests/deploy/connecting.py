"""Connecting accounts, and what a signed-in user sees."""

import urllib.parse

from report import expect, until
from web import Browser, query

KEY = "rk_test_sandbox"


def stripe_by_key(world):
    """Stripe is connected by a key; a wrong one is refused"""
    stack = world.first
    stack.json("POST", "/connect/stripe", {"api_key": "rk_test_wrong"}, status=422)
    stack.json("POST", "/connect/stripe", {"api_key": KEY, "webhook_secret": "whsec_of_this_account"}, status=201)
    found = synced(stack, "stripe")
    return f"{found['account']['id']}, {len(stack.records('stripe', 'customers'))} customers"


def slack_by_consent(world):
    """Slack is connected through its consent page, by redirects and cookies; another browser's callback is refused"""
    stack = world.first
    callback = consent(stack, "slack", "T0SANDBOX")
    stranger = Browser(world.web).get(callback)
    expect(stranger.status == 400, f"another browser's callback: {stranger}")
    synced(stack, "slack")
    return f"{len(stack.records('slack', 'channels'))} channels"


def consent(stack, provider, account, user="ada"):
    """Connects through the provider's page. Returns the address that the provider led back to."""
    browser = stack.sign_in(user)
    begun = browser.get(f"{stack.url}/connect/{provider}")
    expect(begun.status == 302, f"/connect/{provider}: {begun}")
    page, fields = begun.location, query(begun.location)
    expect('id="allow"' in browser.get(page).text, "the consent page does not show")
    fields += [("decision", "allow"), ("account", account)]
    allowed = browser.post(page.split("?")[0], fields)
    expect("/callback?" in allowed.location, f"the consent page: {allowed}")
    back = browser.get(allowed.location)
    expect(back.location.endswith(f"?success={provider}"), f"the callback: {back}")
    return allowed.location


def synced(stack, provider, user="ada"):
    """The status of an integration, once its first full sync has ended."""
    def look():
        found = stack.status(provider, user)
        full = all(stream["last_full_sync"] for stream in found["streams"])
        return found if found["connected"] and full and not found["sync_in_progress"] else None

    return until(f"the first sync of {provider}", look)
