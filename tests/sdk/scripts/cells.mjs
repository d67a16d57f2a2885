// What the scripts share: where they call, and how they say which cells of the table hold.
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { intertieFetch } from "./intertie-fetch.js";

export { assert };
export const url = process.env.INTERTIE_URL;
export const session = process.env.INTERTIE_SESSION;
/** A session of a user that connected nothing. */
export const stranger = process.env.INTERTIE_STRANGER;
export const GREETING = "Grüße, Łódź! 日本 🧵";

/** Says that a cell of the table holds, or what is wrong. One whose name is no column is a further claim. */
export async function cell(name, run) {
  const error = await run().then(() => undefined, (error) => error);
  console.log(JSON.stringify({ cell: name, error: error && (error.stack ?? String(error)) }));
}

/** The next call of this name gets this answer from the provider. */
export async function fault(provider, match, effect) {
  const to = `${JSON.parse(process.env.SANDBOXES)[provider]}/_admin/faults`;
  const asked = { match, times: 1, effect };
  const answer = await fetch(to, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(asked) });
  assert.ok(answer.ok, await answer.text());
}

/** The calls that a provider got. */
export async function calls(provider) {
  return (await fetch(`${JSON.parse(process.env.SANDBOXES)[provider]}/_admin/calls`)).json();
}

/** A stranger's call is sent once, and the SDK's error has the proxy's sentence. */
export async function refusal(options, run) {
  let calls = 0;
  const counted = (...call) => ((calls += 1), fetch(...call));
  await assert.rejects(run(intertieFetch({ url, session: stranger, fetch: counted, ...options })), (error) => {
    assert.match(inspect(error, { depth: 9 }), /is not connected/);
    return true;
  });
  assert.equal(calls, 1);
}

/** How long something took, in seconds. */
export async function seconds(run) {
  const began = Date.now();
  await run();
  return (Date.now() - began) / 1000;
}

/** A `fetch` that keeps what does not go to Intertie, and sends none of it. */
export function spy() {
  const left = [];
  const send = async (address, init) => {
    if (`${address}`.startsWith(`${url}/`)) return fetch(address, init);
    left.push({ address: `${address}`, authorization: new Headers(init.headers).get("authorization") });
    return new Response("{}", { status: 400 });
  };
  return { left, send };
}
