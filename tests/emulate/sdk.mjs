// Slack's own SDK, and a relay to Slack's sandbox that both it and the product go through.
//
// The first line of stdout has the relay's address. Then each line of stdin is an order in JSON, and is answered by a line:
//
// | order | does |
// |---|---|
// | `{"to":URL}` | the relay leads there from now on |
// | `{"token","method","arguments"}` | calls a method with the SDK: what it answered |
// | `{"token","paginate","arguments"}` | all pages of a list, as the SDK follows them |
// | `{"relayed":true}` | tells, and forgets, which calls of methods went through: method, path, content type, arguments |
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { buffer } from 'node:stream/consumers';

import { WebClient } from '@slack/web-api';

let to;
let relayed = [];
const HOP = ['connection', 'content-length', 'host', 'keep-alive', 'transfer-encoding'];
const relay = createServer(async (request, response) => {
  const { method, url } = request;
  const body = await buffer(request);
  if (url.startsWith('/api/')) {
    const arguments_ = Object.fromEntries(new URLSearchParams(String(body)));
    relayed.push({ method, path: url, content_type: request.headers['content-type'], arguments: arguments_ });
  }
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !HOP.includes(name)));
  const answer = await fetch(to + url, { method, headers, body: body.length ? body : undefined, redirect: 'manual' });
  const back = [...answer.headers].filter(([name]) => !HOP.includes(name));
  response.writeHead(answer.status, back).end(Buffer.from(await answer.arrayBuffer()));
});
await new Promise((listening) => relay.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${relay.address().port}`;

const say = (line) => console.log(JSON.stringify(line));
say({ url });
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  const client = order.token && new WebClient(order.token, { slackApiUrl: `${url}/api/` });
  if (order.to) {
    to = order.to;
    say({});
  } else if (order.method) {
    say(await client.apiCall(order.method, order.arguments).catch(({ data }) => data));
  } else if (order.paginate) {
    const pages = [];
    for await (const page of client.paginate(order.paginate, order.arguments)) pages.push(page);
    say(pages);
  } else {
    say(relayed);
    relayed = [];
  }
}
process.exit();
