// As much of GitHub's REST API as the SDK's script calls, and a list of what came: https://docs.github.com/en/rest, read 2026-11.
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const API = "https://api.github.com";
const issues = Array.from({ length: 5 }, (_, at) => ({ number: at + 1, title: `Issue ${at + 1}`, labels: [] }));
const received = [];
const faults = [];

// What a fault that was asked for at /_admin/faults answers, as in the sandbox.
function fault(request) {
  const found = faults.find((it) => it.times > 0 && `${request.method} ${request.url}`.includes(it.match));
  if (!found) return undefined;
  found.times -= 1;
  return [found.effect.status, found.effect.body, found.effect.headers];
}

function answer(request, url, body) {
  const { method, headers } = request;
  const etag = `W/"${issues.length}"`;
  switch (`${method} ${url.pathname}`) {
    case "GET /user":
      return [200, { login: "ada", id: 1, node_id: "U_ada" }];
    case "GET /repos/ada/engine/issues": {
      const [size, page] = [Number(url.searchParams.get("per_page") ?? 30), Number(url.searchParams.get("page") ?? 1)];
      const next = new URLSearchParams({ per_page: size, page: page + 1 });
      const link = page * size < issues.length ? { link: `<${API}/repositories/1/issues?${next}>; rel="next"` } : {};
      return [200, issues.slice((page - 1) * size, page * size), link];
    }
    case "GET /repositories/1/issues":
      return answer(request, new URL(`/repos/ada/engine/issues${url.search}`, API), body);
    case "POST /repos/ada/engine/issues": {
      const { title, labels } = JSON.parse(body);
      if (!title) return [422, { message: "Validation Failed", errors: [{ resource: "Issue", field: "title", code: "missing_field" }] }];
      issues.push({ number: issues.length + 1, title, labels: labels.map((name) => ({ name })) });
      return [201, issues.at(-1), { location: `${API}/repos/ada/engine/issues/${issues.length}` }];
    }
    case "GET /repos/ada/engine":
      return headers["if-none-match"] === etag ? [304, null, { etag }] : [200, { full_name: "ada/engine" }, { etag }];
    case "GET /repos/ada/engine/releases/1":
      return [200, { id: 1, upload_url: "https://uploads.github.com/repos/ada/engine/releases/1/assets{?name,label}" }];
    default:
      return [404, { message: "Not Found", documentation_url: "https://docs.github.com/rest", status: "404" }];
  }
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.url === "/_admin/faults") return faults.push(JSON.parse(Buffer.concat(chunks))), response.end();
  received.push({ call: `${request.method} ${request.url}`, headers: request.headers });
  const [status, body, headers] = fault(request) ?? answer(request, new URL(request.url, API), Buffer.concat(chunks).toString());
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", "x-github-request-id": "1", ...headers });
  response.end(body === null ? undefined : JSON.stringify(body));
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
say({ url: `http://127.0.0.1:${server.address().port}` });
// A line of input is answered by what came so far.
for await (const _ of createInterface({ input: process.stdin })) say(received);
