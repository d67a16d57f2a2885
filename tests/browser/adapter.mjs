// The `fetch` adapter in a page of an application: another origin than Intertie's, which `AllowedOrigins` names.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

// The application: an empty page, and the adapter as it is copied.
export async function application(folder) {
  const files = {
    '/': ['text/html', '<!doctype html><title>App</title><link rel="icon" href="data:,">'],
    '/intertie-fetch.js': ['text/javascript', readFileSync(join(folder, 'intertie-fetch.js'))],
  };
  const server = createServer((request, response) => {
    const [type, body] = files[request.url] ?? ['text/plain', ''];
    response.writeHead(200, { 'content-type': type }).end(body);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { origin: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

// Calls Stripe's API from a page of the application: pages of a list, a form, a `Request`, and a host that is refused.
export async function callFrom(page, origin, stack) {
  const env = Object.fromEntries(readFileSync(join(stack, 'env'), 'utf8').split('\n').map((line) => line.split(/=(.*)/s)));
  const asked = { url: unquoted(env.INTERTIE_URL), session: unquoted(env.INTERTIE_SESSION), provider: 'stripe' };
  const headers = { authorization: `Bearer ${asked.session}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ api_key: 'rk_test_sandbox' });
  assert.equal((await fetch(`${asked.url}/connect/stripe`, { method: 'POST', headers, body })).status, 201);
  await page.goto(origin);
  const seen = await page.evaluate(async (asked) => {
    const { intertieFetch } = await import('/intertie-fetch.js');
    const fetch = intertieFetch(asked);
    const customers = 'https://api.stripe.com/v1/customers';
    const form = { method: 'POST', body: new URLSearchParams({ name: 'Zoë' }), headers: { 'Idempotency-Key': 'browser-1' } };
    return {
      listed: (await (await fetch(`${customers}?limit=2`)).json()).data.length,
      made: (await (await fetch(customers, form)).json()).name,
      again: (await (await fetch(new Request(customers, form))).json()).name,
      refused: await fetch('https://files.stripe.com/v1/files').catch((error) => error.message),
    };
  }, asked);
  assert.match(seen.refused, /files\.stripe\.com is not an API of stripe/);
  assert.deepEqual({ ...seen, refused: '' }, { listed: 2, made: 'Zoë', again: 'Zoë', refused: '' });
  console.log('  a page of another origin calls Stripe by the adapter');
}

function unquoted(value) {
  return value.replace(/^(['"])(.*)\1$/, '$2');
}
