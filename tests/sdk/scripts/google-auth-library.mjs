import { assert, cell, fault, GREETING, refusal, session, url } from "./cells.mjs";

import { OAuth2Client } from "google-auth-library";
import { intertieFetch } from "./intertie-fetch.js";

const client = new OAuth2Client({
  transporterOptions: { fetchImplementation: intertieFetch({ url, session, providers: ["gmail", "google-calendar"] }) },
});
client.setCredentials({ access_token: session });

const CALENDAR = "https://www.googleapis.com/calendar/v3/calendars/primary/events";
const GMAIL = "https://gmail.googleapis.com/gmail/v1/users/me";

await cell("list", async () => {
  const pages = [];
  let pageToken;
  do {
    const { data } = await client.request({ url: `${GMAIL}/messages`, params: { maxResults: 2, pageToken } });
    pages.push(data.messages.length);
    pageToken = data.nextPageToken;
  } while (pageToken);
  assert.ok(pages.length > 1, pages);
});

let event;
await cell("create", async () => {
  const day = { date: "2026-12-01" };
  const data = { summary: GREETING, start: day, end: day, extendedProperties: { private: { order: "№ 17" } } };
  event = (await client.request({ url: CALENDAR, method: "POST", data })).data;
  assert.equal(event.summary, GREETING);
  assert.equal(event.extendedProperties.private.order, "№ 17");
});

await cell("error", async () => {
  await assert.rejects(client.request({ url: CALENDAR, method: "POST", data: {} }), { status: 400, message: /Missing start time/ });
});

await cell("404", async () => {
  await assert.rejects(client.request({ url: `${CALENDAR}/none5` }), { status: 404 });
});

await cell("429", async () => {
  const error = { code: 429, message: "Too many.", errors: [{ reason: "rateLimitExceeded" }] };
  await fault("google", "GET /gmail/v1/users/me/profile", { status: 429, headers: { "retry-after": "1" }, body: { error } });
  assert.equal((await client.request({ url: `${GMAIL}/profile` })).data.emailAddress, "ada@example.com");
});

await cell("conditional", async () => {
  const validateStatus = (status) => status === 304;
  const { status } = await client.request({ url: `${CALENDAR}/${event.id}`, headers: { "If-None-Match": event.etag }, validateStatus });
  assert.equal(status, 304);
});

await cell("upload", async () => {
  const sent = await client.request({
    url: "https://gmail.googleapis.com/upload/gmail/v1/users/me/messages/send?uploadType=media",
    method: "POST",
    headers: { "Content-Type": "message/rfc822" },
    data: Buffer.from(`To: grace@example.com\r\nSubject: Hello\r\n\r\n${GREETING}\r\n`),
  });
  assert.deepEqual(sent.data.labelIds, ["SENT"]);
});

await cell("a host that is not the providers' gets no session token", async () => {
  await assert.rejects(client.request({ url: "https://www.google.com/x" }), /www\.google\.com is not an API of gmail/);
});

await cell("refusal", () =>
  refusal({ provider: "gmail" }, (fetchImplementation) => {
    const client = new OAuth2Client({ transporterOptions: { fetchImplementation } });
    client.setCredentials({ access_token: session });
    return client.request({ url: `${GMAIL}/profile` });
  }),
);
