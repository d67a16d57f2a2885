import { assert, cell, fault, GREETING, refusal, seconds, session, stranger, url } from "./cells.mjs";

import bolt from "@slack/bolt";
import { intertieFetch } from "./intertie-fetch.js";

const onFailedAttempt = (error) => { if (error.statusCode) throw error; };
const retryConfig = { retries: 5, onFailedAttempt };
const app = new bolt.App({
  authorize: async () => ({ botToken: await freshSession() }),
  signingSecret: "unused: Intertie receives and verifies Slack's webhooks",
  clientOptions: { fetch: intertieFetch({ url, session: (own) => own, provider: "slack" }), retryConfig },
});

/** In an application: mints a session of the user that the event is for. */
async function freshSession() {
  return session;
}

/** Has the app process an event, as it comes from Intertie's bus. */
const process = (event) => {
  const body = { type: "event_callback", team_id: "T0SANDBOX", api_app_id: "A0SANDBOX01", event, authorizations: [] };
  return app.processEvent({ body, ack: async () => {} });
};
const said = [];
app.message(async ({ message, say, client }) => {
  const answer = await say({ text: message.text, metadata: { event_type: "order", event_payload: { number: "№ 17" } } });
  said.push(answer.message, await client.auth.test());
});
app.error(async (error) => said.push(error));

await cell("create", async () => {
  await process({ type: "message", channel: "C0RANDOM001", user: "U0ADA000001", text: GREETING, ts: "1.2", channel_type: "channel" });
  const [message, test] = said;
  assert.equal(message.text, GREETING);
  assert.equal(message.metadata.event_payload.number, "№ 17");
  assert.equal(test.team, "Acme");
});

await cell("list", async () => {
  const pages = [];
  for await (const page of app.client.paginate("users.list", { token: session, limit: 2 })) pages.push(page.members.length);
  assert.ok(pages.length > 1, pages);
});

await cell("error", async () => {
  await assert.rejects(app.client.conversations.info({ token: session, channel: "C0NONE" }), { code: "slack_webapi_platform_error" });
});

await cell("429", async () => {
  await fault("slack", "POST /api/conversations.info", { status: 429, headers: { "retry-after": "6" }, body: { ok: false, error: "ratelimited" } });
  assert.ok((await seconds(() => app.client.conversations.info({ token: session, channel: "C0GENERAL01" }))) > 6);
});

await cell("upload", async () => {
  const { files } = await app.client.filesUploadV2({ token: session, content: GREETING, filename: "a.txt" });
  assert.equal(files[0].files[0].size, Buffer.byteLength(GREETING));
});

await cell("refusal", () =>
  refusal({ provider: "slack" }, async (fetch) => {
    const app = new bolt.App({ token: stranger, signingSecret: "unused", deferInitialization: true, clientOptions: { fetch, retryConfig } });
    await app.init();
  }),
);
