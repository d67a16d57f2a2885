import { assert, calls, cell, fault, GREETING, refusal, seconds, session, spy, url } from "./cells.mjs";

import { WebClient } from "@slack/web-api";
import { intertieFetch } from "./intertie-fetch.js";

const onFailedAttempt = (error) => { if (error.statusCode) throw error; };
const retryConfig = { retries: 5, onFailedAttempt };
const slack = new WebClient(session, { fetch: intertieFetch({ url, session, provider: "slack" }), retryConfig });

await cell("list", async () => {
  const names = [];
  for await (const page of slack.paginate("conversations.list", { limit: 2 })) names.push(page.channels.map(({ name }) => name));
  assert.ok(names.length > 1, names);
  assert.ok(names.flat().includes("general"), names);
});

await cell("create", async () => {
  const metadata = { event_type: "order", event_payload: { number: "№ 17" } };
  const posted = await slack.chat.postMessage({ channel: "C0GENERAL01", text: GREETING, metadata });
  assert.equal(posted.message.text, GREETING);
  assert.deepEqual(posted.message.metadata, metadata);
  assert.ok(posted.response_metadata.scopes.includes("chat:write"));
});

await cell("error", async () => {
  const refused = { code: "slack_webapi_platform_error", data: { ok: false, error: "channel_not_found", response_metadata: {} } };
  await assert.rejects(slack.conversations.info({ channel: "C0NONE" }), ({ code, data }) => {
    assert.equal(code, refused.code);
    assert.equal(data.error, refused.data.error);
    return true;
  });
});

await cell("429", async () => {
  await fault("slack", "POST /api/conversations.info", { status: 429, headers: { "retry-after": "6" }, body: { ok: false, error: "ratelimited" } });
  const waits = [];
  slack.on("rate_limited", (wait) => waits.push(wait));
  const took = await seconds(() => slack.conversations.info({ channel: "C0GENERAL01" }));
  assert.deepEqual(waits, [6]);
  assert.ok(took > 6, took);
});

await cell("upload", async () => {
  const file = Buffer.from([0, 255, 13, 10, ...Buffer.from(GREETING)]);
  const { files } = await slack.filesUploadV2({ channel_id: "C0GENERAL01", file, filename: "Łódź.bin", title: GREETING });
  assert.equal(files[0].files[0].title, GREETING);
  assert.equal(files[0].files[0].size, file.length);
});

const simple = new WebClient(session, { slackApiUrl: `${url}/proxy/slack/` });

await cell("the address alone is enough for methods, also with a token of the call's own", async () => {
  assert.equal((await simple.auth.test()).team, "Acme");
  assert.equal((await new WebClient(undefined, { slackApiUrl: `${url}/proxy/slack/` }).auth.test({ token: session })).team, "Acme");
});

await cell("without the adapter a file would leave with the session token", async () => {
  const { left, send } = spy();
  const watched = new WebClient(session, { slackApiUrl: `${url}/proxy/slack/`, fetch: send, retryConfig: { retries: 0 } });
  await assert.rejects(watched.filesUploadV2({ file: Buffer.from("a"), filename: "a.txt" }));
  assert.match(left[0].address, /^https:\/\/files\.slack\.com\/upload\/v1\//);
  assert.equal(left[0].authorization, `Bearer ${session}`);
});

await cell("refusal", () =>
  refusal({ provider: "slack" }, (fetch) => new WebClient(session, { fetch, retryConfig }).auth.test()),
);

await cell("a message whose outcome is unknown is not posted again", async () => {
  await fault("slack", "POST /api/chat.postMessage", { close: true, after: true });
  const posted = async () => (await calls("slack")).filter(({ path }) => path === "/api/chat.postMessage").length;
  const before = await posted();
  await assert.rejects(slack.chat.postMessage({ channel: "C0SALES0001", text: "Once" }), { statusCode: 502 });
  assert.equal(await posted(), before + 1);
});
