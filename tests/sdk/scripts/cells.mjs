// What the scripts share: where they call, and how they say which cells of the table hold.
import assert from "node:assert/strict";

export { assert };
export const url = process.env.INTERTIE_URL;
export const session = process.env.INTERTIE_SESSION;
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
