import { assert, cell, fault, GREETING, refusal, session, url } from "./cells.mjs";

import { intertieFetch } from "./intertie-fetch.js";

const fetch = intertieFetch({ url, session, providers: ["stripe", "gmail", "google-calendar"] });

const STRIPE = "https://api.stripe.com/v1";
const CALENDAR = "https://www.googleapis.com/calendar/v3/calendars/primary/events";
const post = (fields, headers) => ({ method: "POST", body: new URLSearchParams(fields), headers });

await cell("list", async () => {
  const ids = [];
  for (let page = { has_more: true }; page.has_more; ids.push(...page.data.map(({ id }) => id))) {
    const after = ids.length ? `&starting_after=${ids.at(-1)}` : "";
    page = await (await fetch(`${STRIPE}/customers?limit=2${after}`)).json();
  }
  assert.ok(ids.length >= 5 && new Set(ids).size === ids.length, ids);
});

await cell("create", async () => {
  const made = await (await fetch(`${STRIPE}/customers`, post({ name: GREETING, "metadata[order]": "№ 17" }))).json();
  assert.equal(made.name, GREETING);
  assert.deepEqual(made.metadata, { order: "№ 17" });
});

await cell("expand", async () => {
  const order = { customer: "cus_Seed0000000001", "items[0][price]": "price_sandbox", "expand[]": "latest_invoice" };
  const made = await (await fetch(`${STRIPE}/subscriptions`, post(order))).json();
  assert.equal(made.latest_invoice.object, "invoice");
});

await cell("idempotency", async () => {
  const create = () => fetch(`${STRIPE}/customers`, post({ description: "one" }, { "Idempotency-Key": "fetch-1" }));
  const [first, second] = [await create(), await create()];
  assert.equal((await first.json()).id, (await second.json()).id);
  assert.equal(second.headers.get("idempotent-replayed"), "true");
});

await cell("error", async () => {
  const refused = await fetch(`${STRIPE}/subscriptions`, post({ customer: "cus_Seed0000000001" }));
  assert.equal(refused.status, 400);
  assert.equal((await refused.json()).error.code, "parameter_missing");
});

await cell("404", async () => {
  const missing = await fetch(`${STRIPE}/customers/cus_none`);
  assert.equal(missing.status, 404);
  assert.equal((await missing.json()).error.code, "resource_missing");
});

await cell("429", async () => {
  const effect = (wait) => ({ status: 429, headers: { "retry-after": wait }, body: { error: { code: "rate_limit" } } });
  await fault("stripe", "GET /v1/customers/cus_Seed0000000004", effect("1"));
  assert.equal((await fetch(`${STRIPE}/customers/cus_Seed0000000004`)).status, 200);
});

await cell("conditional", async () => {
  const day = { date: "2026-12-01" };
  const body = JSON.stringify({ summary: GREETING, start: day, end: day });
  const made = await (await fetch(CALENDAR, { method: "POST", body, headers: { "Content-Type": "application/json" } })).json();
  const again = await fetch(`${CALENDAR}/${made.id}`, { headers: { "If-None-Match": made.etag } });
  assert.equal(again.status, 304);
  assert.equal(again.headers.get("etag"), made.etag);
});

await cell("upload", async () => {
  const to = "https://gmail.googleapis.com/upload/gmail/v1/users/me/messages/send?uploadType=media";
  const body = new Blob([`To: grace@example.com\r\nSubject: Hello\r\n\r\n${GREETING}\r\n`]);
  const request = new Request(to, { method: "POST", body, headers: { "Content-Type": "message/rfc822" } });
  assert.deepEqual((await (await fetch(request)).json()).labelIds, ["SENT"]);
});

await cell("Link", async () => {
  const bases = { github: ["https://api.github.com"] };
  const fetch = intertieFetch({ url, session, provider: "github", bases });
  const first = await fetch("https://api.github.com/repos/ada/engine/issues?per_page=2");
  const [, next] = /<([^>]+)>; rel="next"/.exec(first.headers.get("link"));
  const numbers = (await (await fetch(next)).json()).map(({ number }) => number);
  assert.deepEqual(numbers, [3, 4]);
});

await cell("the account that is named counts, by a name beyond ASCII too", async () => {
  const named = (account) => intertieFetch({ url, session, provider: "stripe", account })(`${STRIPE}/account`);
  assert.equal((await (await named("acct_local")).json()).id, "acct_local");
  // What can't be read is 422.
  assert.equal((await named("Café Łódź")).status, 404);
});

await cell("a batch is refused, and does not leave", async () => {
  const type = { "Content-Type": "multipart/mixed; boundary=b" };
  const refused = await fetch("https://gmail.googleapis.com/batch/gmail/v1", { method: "POST", body: "--b--", headers: type });
  assert.equal(refused.status, 422);
  assert.match((await refused.json()).error.message, /^A batch does not pass to Gmail/);
});

await cell("refusal", () =>
  refusal({ provider: "stripe" }, async (fetch) => {
    const answer = await fetch(`${STRIPE}/customers`);
    assert.equal(answer.status, 409);
    throw (await answer.json()).error;
  }),
);
