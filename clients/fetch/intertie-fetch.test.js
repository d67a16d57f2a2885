// The adapter against a server that tells what came: `node --test clients/fetch/`.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { BASES, intertieFetch } from "./intertie-fetch.js";

let url, server, received;
before(async () => {
  server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method, url: path, headers } = request;
    received.push(`${method} ${path}`);
    if (path.endsWith("/moved")) return response.writeHead(307, { location: "/api/proxy/stripe/v1/here" }).end();
    response.end(JSON.stringify({ method, path, headers, body: Buffer.concat(chunks).toString("base64") }));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  url = `http://127.0.0.1:${server.address().port}/api/`;
});
after(() => server.close());

const STRIPE = "https://api.stripe.com";
const of = (options) => ((received = []), intertieFetch({ url, session: "s1", provider: "stripe", ...options }));
const told = async (answer) => {
  const { body, ...rest } = await (await answer).json();
  return { ...rest, body: Buffer.from(body, "base64") };
};

test("an address of the API leads through the proxy with path and query as they are, and the session token", async () => {
  const fetch = of({});
  const address = `${STRIPE}/v1/a%2Fb/c%20d/?limit=2&expand[]=data.x&q=%C3%A9+&empty=`;
  const call = await told(fetch(address, { headers: { Authorization: "Bearer sk_other", "Stripe-Version": "2025" } }));
  assert.equal(call.path, address.replace(STRIPE, "/api/proxy/stripe"));
  assert.equal(call.headers.authorization, "Bearer s1");
  assert.equal(call.headers["stripe-version"], "2025");
  assert.ok(!("intertie-account" in call.headers));
  assert.equal((await told(fetch(new URL(`${STRIPE}/v1/x`)))).path, "/api/proxy/stripe/v1/x");
});

test("every address that is listed leads to its own provider", async () => {
  for (const [provider, bases] of Object.entries(BASES)) {
    for (const base of bases) {
      const fetch = of({ provider: undefined, providers: Object.keys(BASES) });
      assert.equal((await told(fetch(`${base}/x?y=1`))).path, `/api/proxy/${provider}${new URL(`${base}/x`).pathname}?y=1`);
    }
  }
});

test("of several addresses on one host the longest counts, what none covers is refused, and a batch goes to the first", async () => {
  const host = "https://www.googleapis.com";
  const bases = { all: [`${host}/drive`], drive: [`${host}/drive/v3`] };
  const fetch = of({ provider: undefined, providers: ["google-calendar", "all", "drive"], bases });
  for (const [path, provider] of [
    ["calendar/v3/x", "google-calendar"],
    ["drive/v3", "drive"],
    ["drive/v3x", "all"],
    ["batch", "google-calendar"],
    ["batch/calendar/v3", "google-calendar"],
  ]) {
    assert.equal((await told(fetch(`${host}/${path}`))).path, `/api/proxy/${provider}/${path}`);
  }
  received = [];
  for (const path of ["calendars/primary/clear", "calendar/v3x", "batches", ""]) {
    await assert.rejects(fetch(`${host}/${path}`, { method: "POST" }), /www\.googleapis\.com is not an API of google-calendar.* at this path/);
  }
  assert.deepEqual(received, []);
});

test("any other address is refused by its name, and neither it nor the proxy is called", async () => {
  const session = () => assert.fail("no token is needed");
  const fetch = of({ session, fetch: () => assert.fail("nothing is sent") });
  for (const address of [
    "https://files.stripe.com/v1/files",
    "https://api.stripe.com.evil.example/v1",
    "http://api.stripe.com/v1",
    "https://api.stripe.com:444/v1",
    "https://api.stripe.com@evil.example/v1",
    "https://slack.com/api/auth.test",
    "http://169.254.169.254/latest",
    "data:text/plain,x",
    "blob:https://api.stripe.com/v1/x",
    `${url}integrations`,
    `${url}proxy/slack/auth.test`,
    `${url}proxy/stripe/../slack/auth.test`,
    `${url}proxy/stripe/%2e%2e/slack/auth.test`,
  ]) {
    const refused = { name: "TypeError", message: new RegExp(`${new URL(address).origin} is not an API of stripe`) };
    await assert.rejects(fetch(address), refused, address);
    await assert.rejects(fetch(new Request(new URL(address.replace("api.stripe.com@", "")))), refused, address);
  }
  await assert.rejects(fetch("/v1/customers"), { code: "ERR_INVALID_URL" });
});

test("an address of the proxy itself stays as it is", async () => {
  assert.equal((await told(of({})(`${url}proxy/stripe/v1/x?page=2`))).path, "/api/proxy/stripe/v1/x?page=2");
});

test("a session token is asked for at each call, and an account is named in UTF-8", async () => {
  let count = 0;
  const fetch = of({ session: async () => `fresh-${(count += 1)}`, account: "Café Łódź" });
  for (const token of ["fresh-1", "fresh-2"]) {
    const { headers } = await told(fetch(`${STRIPE}/v1/x`));
    assert.equal(headers.authorization, `Bearer ${token}`);
    assert.equal(Buffer.from(headers["intertie-account"], "latin1").toString(), "Café Łódź");
  }
  const own = of({ session: (own) => own });
  assert.equal((await told(own(`${STRIPE}/v1/x`, { headers: { Authorization: "token s2" } }))).headers.authorization, "Bearer s2");
  for (const session of ["", null, (own) => own]) await assert.rejects(of({ session })(`${STRIPE}/v1/x`), /no session token/);
  assert.deepEqual(received, []);
});

test("a Request passes with method, headers, body and signal, and what stands beside it counts", async () => {
  const request = () => new Request(`${STRIPE}/v1/x`, { method: "POST", body: "é", headers: { "Content-Type": "text/x", "X-A": "1" } });
  const fetch = of({});
  const call = await told(fetch(request()));
  assert.equal(call.method, "POST");
  assert.equal(call.body.toString(), "é");
  assert.equal(call.headers["content-type"], "text/x");
  assert.equal(call.headers["x-a"], "1");
  const other = await told(fetch(request(), { method: "PUT", body: "b", headers: { "X-B": "2" } }));
  assert.deepEqual([other.method, other.body.toString(), other.headers["x-a"], other.headers["x-b"]], ["PUT", "b", undefined, "2"]);
  for (const init of [{ body: undefined, method: undefined, headers: undefined }, { body: null }, null, undefined]) {
    const same = await told(fetch(request(), init));
    assert.deepEqual([same.method, same.body.toString(), same.headers["x-a"]], ["POST", "é", "1"], JSON.stringify(init));
  }
  assert.equal((await told(fetch(`${STRIPE}/v1/x`, null))).method, "GET");
  assert.equal((await told(fetch(new Request(`${STRIPE}/v1/x`)))).method, "GET");
  const signal = AbortSignal.abort();
  await assert.rejects(fetch(new Request(`${STRIPE}/v1/x`, { signal })), { name: "AbortError" });
  const used = request();
  await used.text();
  await assert.rejects(fetch(used), TypeError);
  assert.equal((await told(fetch(used, { body: "again" }))).body.toString(), "again");
});

test("bodies pass as fetch takes them: forms, files, bytes, streams", async () => {
  const fetch = of({});
  const send = (body, more) => told(fetch(`${STRIPE}/v1/x`, { method: "POST", body, ...more }));
  const form = new FormData();
  form.append("file", new Blob([Uint8Array.of(0, 255)]), "é.bin");
  const multipart = await send(form);
  assert.match(multipart.headers["content-type"], /^multipart\/form-data; boundary=/);
  assert.ok(multipart.body.includes(Buffer.from([0, 255])) && multipart.body.includes("é.bin"));
  assert.equal((await send(new URLSearchParams({ a: "é" }))).headers["content-type"], "application/x-www-form-urlencoded;charset=UTF-8");
  assert.deepEqual([...(await send(Uint8Array.of(0, 255))).body], [0, 255]);
  const stream = new Blob(["one", "two"]).stream();
  assert.equal((await send(stream, { duplex: "half" })).body.toString(), "onetwo");
  const asRequest = await told(fetch(new Request(`${STRIPE}/v1/x`, { method: "POST", body: form })));
  assert.match(asRequest.headers["content-type"], /^multipart\/form-data; boundary=/);
  assert.ok(asRequest.body.includes(Buffer.from([0, 255])));
});

test("a redirect that the proxy passes on is followed with the session token, or not, as the caller says", async () => {
  const fetch = of({});
  assert.equal((await told(fetch(`${STRIPE}/v1/moved`))).headers.authorization, "Bearer s1");
  assert.equal((await fetch(`${STRIPE}/v1/moved`, { redirect: "manual" })).status, 307);
  assert.equal((await fetch(new Request(`${STRIPE}/v1/moved`, { redirect: "manual" }))).status, 307);
});

test("a provider without known addresses is refused when the adapter is made", () => {
  assert.throws(() => of({ provider: "github" }), /"github" are not known; give them in "bases"/);
  assert.throws(() => of({ provider: "toString" }), /"toString" are not known/);
});
