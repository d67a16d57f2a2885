import { assert, calls, cell, fault, GREETING, refusal, session, url } from "./cells.mjs";

import Stripe from "stripe";
import { intertieFetch } from "./intertie-fetch.js";

const stripe = new Stripe(session, {
  httpClient: Stripe.createFetchHttpClient(intertieFetch({ url, session, provider: "stripe" })),
});

await cell("list", async () => {
  const ids = [];
  for await (const { id } of stripe.customers.list({ limit: 2 })) ids.push(id);
  assert.ok(ids.length >= 5 && new Set(ids).size === ids.length, ids);
});

await cell("create", async () => {
  const made = await stripe.customers.create({ name: GREETING, metadata: { order: "№ 17", plan: "a&b=c+d" } });
  const read = await stripe.customers.retrieve(made.id);
  assert.equal(read.name, GREETING);
  assert.deepEqual({ ...read.metadata }, { order: "№ 17", plan: "a&b=c+d" });
});

await cell("expand", async () => {
  const subscription = await stripe.subscriptions.create({
    customer: "cus_Seed0000000001",
    items: [{ price: "price_sandbox" }],
    payment_behavior: "default_incomplete",
    expand: ["latest_invoice.confirmation_secret"],
  });
  assert.match(subscription.latest_invoice.confirmation_secret.client_secret, /_secret_/);
});

await cell("idempotency", async () => {
  const create = (description) => stripe.customers.create({ description }, { idempotencyKey: "stripe-node-1" });
  const [first, second] = [await create("one"), await create("one")];
  assert.equal(first.id, second.id);
  assert.equal(second.lastResponse.idempotencyKey, "stripe-node-1");
  await assert.rejects(create("another"), { type: "StripeIdempotencyError", statusCode: 400 });
});

await cell("error", async () => {
  const { id } = await stripe.customers.create({ metadata: { decline: "1" } });
  const order = { customer: id, items: [{ price: "price_sandbox" }] };
  const refused = { type: "StripeCardError", code: "card_declined", statusCode: 402, requestId: /^req_/ };
  await assert.rejects(stripe.subscriptions.create(order), refused);
});

await cell("404", async () => {
  const refused = { type: "StripeInvalidRequestError", code: "resource_missing", statusCode: 404 };
  await assert.rejects(stripe.customers.retrieve("cus_none"), refused);
});

await cell("429", async () => {
  const error = { type: "invalid_request_error", code: "rate_limit", message: "Too many." };
  await fault("stripe", "GET /v1/customers/cus_Seed0000000002", { status: 429, body: { error } });
  assert.equal((await stripe.customers.retrieve("cus_Seed0000000002")).name, "Grace Hopper");
});

await cell("the version that the SDK pins counts, and the account that it names", async () => {
  const customer = await stripe.customers.retrieve("cus_Seed0000000001", {}, { stripeAccount: "acct_named" });
  assert.equal(customer.lastResponse.apiVersion, stripe.getApiField("version"));
  const named = (await calls("stripe")).filter(({ headers }) => headers["stripe-account"] === "acct_named");
  assert.deepEqual(named.map(({ path }) => path), ["/v1/customers/cus_Seed0000000001"]);
});

await cell("a file is refused by the host's name", async () => {
  const file = { data: Buffer.from("a"), name: "a.txt" };
  const refused = ({ detail }) => /files\.stripe\.com is not an API of stripe/.test(detail.message);
  await assert.rejects(stripe.files.create({ purpose: "dispute_evidence", file }, { maxNetworkRetries: 0 }), refused);
});

await cell("refusal", () =>
  refusal({ provider: "stripe" }, (fetch) => {
    return new Stripe(session, { httpClient: Stripe.createFetchHttpClient(fetch) }).customers.list();
  }),
);
