import { Readable } from "node:stream";
import { assert, cell, fault, GREETING, refusal, session, spy, url } from "./cells.mjs";

import { google } from "googleapis";
import { intertieFetch } from "./intertie-fetch.js";

google.options({ fetchImplementation: intertieFetch({ url, session, providers: ["gmail", "google-calendar"] }) });
const gmail = google.gmail("v1");
const calendar = google.calendar("v3");

const start = { dateTime: "2026-12-01T09:00:00Z" };
const end = { dateTime: "2026-12-01T10:00:00Z" };
const mail = `To: grace@example.com\r\nSubject: =?UTF-8?B?${Buffer.from(GREETING).toString("base64")}?=\r\n\r\nHello\r\n`;
const subject = async (id) => {
  const { data } = await gmail.users.messages.get({ userId: "me", id, format: "raw" });
  return Buffer.from(data.raw, "base64url").toString();
};

await cell("list", async () => {
  const pages = [];
  let pageToken;
  do {
    const { data } = await gmail.users.messages.list({ userId: "me", maxResults: 2, pageToken });
    pages.push(data.messages.map(({ id }) => id));
    pageToken = data.nextPageToken;
  } while (pageToken);
  assert.ok(pages.length > 1 && new Set(pages.flat()).size === pages.flat().length, pages);
});

let event;
await cell("create", async () => {
  const extendedProperties = { private: { order: "№ 17" } };
  const made = await calendar.events.insert({ calendarId: "primary", requestBody: { summary: GREETING, start, end, extendedProperties } });
  event = (await calendar.events.get({ calendarId: "primary", eventId: made.data.id })).data;
  assert.equal(event.summary, GREETING);
  assert.deepEqual(event.extendedProperties, extendedProperties);
});

await cell("error", async () => {
  const refused = { status: 400, message: /Missing start time/ };
  await assert.rejects(calendar.events.insert({ calendarId: "primary", requestBody: { summary: "a" } }), refused);
});

await cell("404", async () => {
  await assert.rejects(calendar.events.get({ calendarId: "primary", eventId: "none5" }), { status: 404 });
});

await cell("429", async () => {
  const error = { code: 429, message: "Too many.", errors: [{ reason: "rateLimitExceeded" }] };
  await fault("google", "GET /gmail/v1/users/me/labels", { status: 429, headers: { "retry-after": "6" }, body: { error } });
  assert.ok((await gmail.users.labels.list({ userId: "me" })).data.labels.length > 0);
});

await cell("conditional", async () => {
  const { status } = await calendar.events.get(
    { calendarId: "primary", eventId: event.id },
    { headers: { "If-None-Match": event.etag } },
  );
  assert.equal(status, 304);
});

await cell("upload", async () => {
  const media = (body) => ({ mimeType: "message/rfc822", body });
  const alone = await gmail.users.messages.send({ userId: "me", media: media(mail) });
  const streamed = await gmail.users.messages.send({ userId: "me", media: media(Readable.from([mail])) });
  const { threadId } = alone.data;
  const multipart = await gmail.users.messages.send({ userId: "me", requestBody: { threadId }, media: media(Readable.from([mail])) });
  for (const { data } of [alone, streamed, multipart]) assert.ok((await subject(data.id)).includes(mail.split("\r\n")[1]));
});

await cell("the SDK's own base option drops the path of the proxy", async () => {
  const { left, send } = spy();
  const gmail = google.gmail({ version: "v1", rootUrl: `${url}/proxy/gmail/`, fetchImplementation: send });
  await assert.rejects(gmail.users.labels.list({ userId: "me" }), { status: 404 });
  await assert.rejects(gmail.users.messages.send({ userId: "me", media: { mimeType: "message/rfc822", body: mail } }));
  assert.match(left[0].address, /^https:\/\/gmail\.googleapis\.com\/upload\//);
});

await cell("refusal", () =>
  refusal({ provider: "gmail" }, (fetchImplementation) => {
    return google.gmail({ version: "v1", fetchImplementation }).users.labels.list({ userId: "me" });
  }),
);
