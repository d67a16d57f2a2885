// When a call is repeated, and how long it waits: against answers that are given in turn.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pages, retrying } from 'intertie';

/** Calls with these answers in turn; the statuses that came back, the number of calls, and the waits in seconds. */
async function run(method, answers, headers = {}) {
  const waits = [];
  const bodies = [];
  const fetch = async (request) => {
    bodies.push(await request.text());
    const answer = answers[bodies.length - 1];
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const sleep = async (milliseconds) => waits.push(milliseconds / 1000);
  const body = method === 'POST' ? 'body' : undefined;
  const request = new Request('http://localhost/', { method, headers, body });
  const outcome = await retrying(fetch, { sleep })(request).then(({ status }) => status, (error) => error.message);
  assert.ok(bodies.every((it) => it === (body ?? '')), 'each attempt has the whole body');
  return [outcome, bodies.length, waits];
}

const answer = (status, wait) => new Response(null, { status, headers: wait === undefined ? {} : { 'Retry-After': wait } });
const broken = () => new Error('broken');

test('what was not done is repeated after the time that is asked for', async () => {
  assert.deepEqual(await run('POST', [answer(429, '7'), answer(200)]), [200, 2, [7]]);
  assert.deepEqual(await run('GET', [answer(500, '10'), answer(502, '1'), answer(200)]), [200, 3, [10, 1]]);
  assert.deepEqual(await run('POST', [answer(429, '31'), answer(200)]), [429, 1, []]);
});

test('what may have been done is repeated only where that is safe', async () => {
  for (const failed of [() => answer(502), () => answer(503, '1'), () => answer(500, '1'), broken]) {
    for (const headers of [{}, { 'Idempotency-Key': 'order-1' }]) {
      assert.equal((await run('POST', [failed(), answer(200)], headers))[1], 1);
    }
    assert.equal((await run('DELETE', [failed(), answer(200)]))[0], 200);
  }
  for (const status of [400, 401, 404, 409, 422, 500]) {
    assert.deepEqual(await run('GET', [answer(status), answer(200)]), [status, 1, []]);
  }
});

test('attempts end', async () => {
  const [outcome, calls, waits] = await run('GET', [1, 2, 3, 4].map(() => answer(503)));
  assert.deepEqual([outcome, calls, waits.length], [503, 4, 3]);
  assert.ok(waits[0] > 0.3 && waits[2] < 2.6, `${waits}`);
});

test('a list is read to its end, and not for ever', async () => {
  const lists = { undefined: { next: 'a' }, a: { next: 'b' }, b: { next: null } };
  const read = async (list) => {
    let count = 0;
    for await (const _ of pages(async (after) => list(after))) count++;
    return count;
  };
  assert.equal(await read((after) => lists[String(after)]), 3);
  assert.equal(await read(() => ({ next: 'same' })), 2);
});
