import stripe
from cells import GREETING, cell, fault, refused, session, stranger, url

from stripe import StripeClient

proxy = f"{url}/proxy/stripe"
client = StripeClient(session, base_addresses={"api": proxy, "connect": proxy, "files": proxy, "meter_events": proxy})


@cell("list")
def _():
    ids = [customer.id for customer in client.v1.customers.list({"limit": 2}).auto_paging_iter()]
    assert len(ids) >= 5 and len(set(ids)) == len(ids), ids


@cell("create")
def _():
    made = client.v1.customers.create({"name": GREETING, "metadata": {"order": "№ 17", "plan": "a&b=c+d"}})
    read = client.v1.customers.retrieve(made.id)
    assert read.name == GREETING and read.metadata.to_dict() == {"order": "№ 17", "plan": "a&b=c+d"}, read


@cell("expand")
def _():
    order = {"customer": "cus_Seed0000000001", "items": [{"price": "price_sandbox"}], "payment_behavior": "default_incomplete"}
    subscription = client.v1.subscriptions.create(order | {"expand": ["latest_invoice.confirmation_secret"]})
    assert "_secret_" in subscription.latest_invoice.confirmation_secret.client_secret


@cell("idempotency")
def _():
    def create(description):
        return client.v1.customers.create({"description": description}, {"idempotency_key": "stripe-python-1"})

    first, second = create("one"), create("one")
    assert first.id == second.id and second.last_response.headers["idempotent-replayed"] == "true"
    assert refused(stripe.IdempotencyError, lambda: create("another")).http_status == 400


@cell("error")
def _():
    declined = client.v1.customers.create({"metadata": {"decline": "1"}})
    order = {"customer": declined.id, "items": [{"price": "price_sandbox"}]}
    error = refused(stripe.CardError, lambda: client.v1.subscriptions.create(order))
    assert (error.code, error.http_status, error.request_id[:4]) == ("card_declined", 402, "req_"), error


@cell("404")
def _():
    error = refused(stripe.InvalidRequestError, lambda: client.v1.customers.retrieve("cus_none"))
    assert (error.code, error.http_status) == ("resource_missing", 404), error


@cell("429")
def _():
    error = {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many."}
    fault("stripe", "GET /v1/customers/cus_Seed0000000003", {"status": 429, "body": {"error": error}})
    assert client.v1.customers.retrieve("cus_Seed0000000003").name == "Katherine Johnson"


@cell("no address of the SDK is Stripe's own")
def _():
    assert set(client._requestor._options.base_addresses.values()) == {proxy}


@cell("refusal")
def _():
    lost = StripeClient(stranger, base_addresses={"api": proxy})
    error = refused(stripe.StripeError, lambda: lost.v1.customers.list())
    assert error.http_status == 409 and "is not connected" in error.user_message, error
