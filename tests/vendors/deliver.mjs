// Deliveries as the vendors' own SDKs sign them, posted to the stack at INTERTIE_URL; its secrets, by provider, are in
// WEBHOOK_SECRETS. Fails if an answer is not the one expected.
//
// | call | posts | expects |
// |---|---|---|
// | `node deliver.mjs genuine` | each as it is, and prints it, a line of JSON each | 200 |
// | `node deliver.mjs respelled` | each with any byte of the headers flipped that leaves it the same signature | 200 |
// | `node deliver.mjs flipped` | each with any other byte flipped, of the body and of the headers that prove it | 400 |
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';

import { Webhooks } from '@octokit/webhooks';
import { Webhook } from 'standardwebhooks';
import Stripe from 'stripe';

const SECRETS = JSON.parse(process.env.WEBHOOK_SECRETS);
const BITS = [0, 1, 2, 3, 4, 5, 6, 7];
const CALLERS = 8;
const agent = new Agent({ keepAlive: true, maxSockets: CALLERS });

const TAKEN = '200 Received';
// Not only 400: that is also the answer to a body that was verified, and then was no JSON.
const REFUSED = '400 Webhook signature verification failed';

const SIGNED_BY = {
  stripe: (payload, secret) => ({ 'stripe-signature': Stripe.webhooks.generateTestHeaderString({ payload, secret }) }),
  github: async (payload, secret) => ({ 'x-hub-signature-256': await new Webhooks({ secret }).sign(payload) }),
  'standard-webhooks': (payload, secret) => {
    const [id, now] = ['msg_p5jXN8AQM9LWM0D4loKWxJek', new Date()];
    return {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now / 1000)),
      'webhook-signature': new Webhook(secret).sign(id, now, payload),
    };
  },
};

// Of Stripe's form, which is as good as any to the others.
const event = (id, customer) =>
  `{"id":"${id}","object":"event","type":"customer.updated","created":1700000000,"data":{"object":${customer}}}`;
const customer = (name) => JSON.stringify({ id: 'cus_1', object: 'customer', name });
const BODIES = [
  event('evt_1', customer('Ada')),
  event('evt_2', customer('Zoë Шевченко 文 😀 \u2028 \ufffd \ufffe')),
  // Signed is what was written, not what it says.
  event('evt_3', '{ "id" :"cus_1",\r\n\t"object":"customer", "name": "\\u0041\\/\\ud83d\\ude00", "balance": -1.50e+2 }\n'),
  event('evt_4', customer('0123456789abcdef'.repeat(118))),
];
const SMALLEST = { stripe: '{"id":"evt_0","type":"ping","created":0}', github: '{}', 'standard-webhooks': '{}' };

const deliveries = [];
for (const [provider, sign] of Object.entries(SIGNED_BY)) {
  for (const payload of [SMALLEST[provider], ...BODIES]) {
    deliveries.push({ provider, headers: await sign(payload, SECRETS[provider]), body: Buffer.from(payload) });
  }
}

switch (process.argv[2]) {
  case 'genuine':
    await post(deliveries, TAKEN);
    deliveries.forEach(({ provider, body }) => console.log(JSON.stringify({ provider, body: String(body) })));
    break;
  case 'respelled':
    await post(deliveries.flatMap(withAHeaderFlipped).filter(({ same }) => same), TAKEN);
    break;
  case 'flipped':
    await post(deliveries.flatMap(withTheBodyFlipped), REFUSED);
    await post(deliveries.flatMap(withAHeaderFlipped).filter(({ same }) => !same), REFUSED);
    break;
  default:
    throw new Error('genuine, respelled or flipped?');
}

// Each byte in turn, with each of its bits; in the large body with one of them, which is another at the next byte.
function withTheBodyFlipped(delivery) {
  return [...delivery.body.keys()].flatMap((at) =>
    (delivery.body.length < 1000 ? BITS : [at % 8]).map((bit) => {
      const body = Buffer.from(delivery.body);
      body[at] ^= 1 << bit;
      return { ...delivery, body, changed: `bit ${bit} of byte ${at}` };
    }));
}

// Each character in turn, and of each every bit that leaves one that a header may have.
function withAHeaderFlipped(delivery) {
  return Object.entries(delivery.headers).flatMap(([name, value]) => {
    const hex = value.match(/(?<==)[0-9a-f]{64}$/)?.index ?? value.length;
    return [...value].flatMap((character, at) =>
      BITS
        .map((bit) => String.fromCharCode(character.charCodeAt() ^ (1 << bit)))
        .filter((flipped) => flipped >= ' ' && flipped <= '~')
        .map((flipped) => ({
          ...delivery,
          headers: { ...delivery.headers, [name]: value.slice(0, at) + flipped + value.slice(at + 1) },
          // A hexadecimal digit is the same in both cases. That is all: Base64 is read in its one spelling, unused bits of its
          // last character included, and these headers have no entry that is ignored.
          same: at >= hex && flipped === character.toUpperCase(),
          changed: `${character} at ${at} of ${name} to ${flipped}`,
        })));
  });
}

// All of them at once; the agent lets CALLERS through.
async function post(changed, expected) {
  await Promise.all(changed.map(async (delivery) => {
    const { provider, body, headers } = delivery;
    const answer = await new Promise((resolve, reject) => {
      const options = { agent, method: 'POST', headers: { 'content-type': 'application/json', ...headers } };
      const call = request(`${process.env.INTERTIE_URL}/webhooks/${provider}`, options, resolve);
      call.on('error', reject).end(body);
    });
    const told = `${answer.statusCode} ${await text(answer)}`;
    assert.equal(told, expected, `${provider}, ${delivery.changed ?? 'as it is'}: ${JSON.stringify(headers)} ${body}`);
  }));
  console.error(`  ${changed.length} × ${expected}`);
}
