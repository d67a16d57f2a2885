// npm's `emulate` as Slack and as Google, each on a free port, and beside them what gaps.md names.
//
// The first line of stdout has the addresses. Then each line of stdin is an order in JSON, and is answered by a line:
//
// | order | does |
// |---|---|
// | `{"apps":{"slack","google"},"signing_secret","events":URL}` | starts over, with these apps registered, and Slack's events going to URL, twice each |
// | `{"deliveries":true}` | tells which events Slack sent, and how they were answered |
//
// It ends with stdin.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { createEmulator, defineEmulator } from 'emulate';

const ADA = 'ada@example.com';
const TEAM = 'team@group.calendar.google.com';
// As which Google signs its ID tokens; an emulator believes to be there, and no longer tells its port.
const ISSUER = 'https://accounts.google.com';
const range = (count) => [...Array(count).keys()];
const minutes = (count) => new Date(Date.UTC(2026, 10, 23, 8) + count * 60_000).toISOString();

// More than a page of channels, messages and events, as the product asks for them.
const slackSeed = {
  strict_scopes: true,
  team: { name: 'Acme', domain: 'acme' },
  users: range(3).map((n) => ({ name: `user${n}`, real_name: `User ${n}`, is_admin: n === 0 })),
  channels: [
    ...range(1010).map((n) => ({ name: `channel${n}`, topic: `Topic ${n} – ü & <b>` })),
    { name: 'secret', is_private: true, topic: 'For a few' },
  ],
  tokens: [{ token: 'xoxp-admin', type: 'user', user: 'admin' }],
};
const googleSeed = {
  users: [{ email: ADA, name: 'Ada Lovelace' }],
  messages: range(30).map((n) => ({
    id: `msg_${n}`, user_email: ADA, from: 'Grace <grace@example.com>', to: ADA, subject: `Grüße ${n}`,
    body_text: `Message ${n}`, label_ids: n % 2 ? ['INBOX'] : ['INBOX', 'UNREAD'], date: minutes(n),
  })),
  calendars: [
    { id: ADA, user_email: ADA, summary: 'Ada', primary: true },
    { id: TEAM, user_email: ADA, summary: 'Team' },
  ],
  calendar_events: range(260).map((n) => ({
    id: `event${n}`, user_email: ADA, calendar_id: n % 100 ? ADA : TEAM, summary: `Event ${n}`, location: `Room ${n}`,
    start_date_time: minutes(n), end_date_time: minutes(n + 30), attendees: [{ email: 'grace@example.com' }],
  })),
};

// Slack's dispatcher has no door to the outside: a dispatcher of a custom emulator shows the class, and the class the instance.
let events;
const custom = defineEmulator({
  name: 'custom',
  state: () => ({}),
  setup({ webhooks }) {
    const prototype = Object.getPrototypeOf(webhooks);
    const { setHeaderFactory } = prototype;
    prototype.setHeaderFactory = function (factory) {
      events = this;
      return setHeaderFactory.call(this, factory);
    };
  },
});
await (await createEmulator({ service: custom, listen: false })).close();

const slack = await createEmulator({ service: 'slack', port: 0, seed: { slack: slackSeed } });
const port = await free();
const google = { ...await createEmulator({ service: 'google', port, seed: { google: googleSeed }, baseUrl: ISSUER }), url: `http://127.0.0.1:${port}` };

// What emulate's Google lacks, made of what it has, for the same caller.
const beside = createServer(async ({ method, url, headers: { authorization } }, response) => {
  const ask = async (path) => (await fetch(google.url + path, { headers: { authorization } })).json();
  const answer = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (`${method} ${url}` !== 'GET /profile') return answer(404, { error: { code: 404, message: `no ${method} ${url}` } });
  const { email } = await ask('/oauth2/v2/userinfo');
  const { historyId } = await ask('/gmail/v1/users/me/history?startHistoryId=0&maxResults=1');
  answer(200, { emailAddress: email, historyId });
});
await listening(beside);

const say = (line) => console.log(JSON.stringify(line));
say({ slack: slack.url.replace('localhost', '127.0.0.1'), google: google.url, beside: `http://127.0.0.1:${beside.address().port}` });
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  if (order.apps) {
    slackSeed.oauth_apps = [{ ...order.apps.slack, app_id: 'A0INTERTIE', name: 'Intertie', bot_name: 'intertie' }];
    slackSeed.signing_secret = order.signing_secret;
    googleSeed.oauth_clients = [{ ...order.apps.google, name: 'Intertie' }];
    slack.reset();
    google.reset();
    for (const _ of range(2)) events.register({ url: order.events, events: ['*'], active: true, owner: 'slack' });
    say({});
  } else {
    say(events.getDeliveries().map(({ payload, status_code }) => ({ id: payload.event_id, type: payload.event.type, status: status_code })));
  }
}
process.exit();

function listening(server) {
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server.address().port)));
}

async function free() {
  const server = createServer();
  const port = await listening(server);
  await new Promise((done) => server.close(done));
  return port;
}
