import { assert, cell, fault, GREETING, refusal, seconds, session, spy, url } from "./cells.mjs";

import { Octokit } from "octokit";
import { intertieFetch } from "./intertie-fetch.js";

const bases = { github: ["https://api.github.com"] };
const retry = { doNotRetry: [400, 401, 403, 404, 405, 409, 410, 413, 422, 451, 502] };
const octokit = new Octokit({ request: { fetch: intertieFetch({ url, session, provider: "github", bases }) }, retry });

const engine = { owner: "ada", repo: "engine" };
const log = { debug() {}, info() {}, warn() {}, error() {} };

await cell("list", async () => {
  const issues = await octokit.paginate(octokit.rest.issues.listForRepo, { ...engine, per_page: 2 });
  assert.deepEqual(issues.slice(0, 5).map(({ number }) => number), [1, 2, 3, 4, 5]);
});

await cell("Link", async () => {
  const simple = new Octokit({ auth: session, baseUrl: `${url}/proxy/github` });
  const first = await simple.rest.issues.listForRepo({ ...engine, per_page: 2 });
  assert.match(first.headers.link, new RegExp(`^<${url}/proxy/github/repositories/1/issues\\?per_page=2&page=2>; rel="next"$`));
  for (const client of [simple, octokit]) {
    assert.ok((await client.paginate("GET /repos/{owner}/{repo}/issues", { ...engine, per_page: 2 })).length >= 5);
  }
});

await cell("create", async () => {
  const { status, data, headers } = await octokit.rest.issues.create({ ...engine, title: GREETING, labels: ["№ 17"] });
  assert.equal(status, 201);
  assert.deepEqual([data.title, data.labels[0].name], [GREETING, "№ 17"]);
  assert.ok(headers.location.startsWith(`${url}/proxy/github/repos/ada/engine/issues/`), headers.location);
});

await cell("error", async () => {
  const refused = { name: "HttpError", status: 422, message: /Validation Failed: .*missing_field/ };
  await assert.rejects(octokit.rest.issues.create({ ...engine, title: "" }), refused);
});

await cell("404", async () => {
  await assert.rejects(octokit.rest.repos.get({ owner: "ada", repo: "none" }), { status: 404, message: /^Not Found/ });
});

await cell("429", async () => {
  const body = { message: "You have exceeded a secondary rate limit." };
  await fault("github", "GET /user", { status: 429, headers: { "retry-after": "6" }, body });
  const answers = [];
  const led = intertieFetch({ url, session, provider: "github", bases });
  const fetch = async (...call) => (answers.push(await led(...call)), answers.at(-1));
  const watched = new Octokit({ log, request: { fetch } });
  const took = await seconds(async () => assert.equal((await watched.rest.users.getAuthenticated()).data.login, "ada"));
  // Of its two plugins that repeat, one does not look at the header.
  assert.deepEqual(answers.map(({ status, headers }) => [status, headers.get("retry-after")]), [[429, "6"], [200, null]]);
  assert.ok(took >= 1, took);
});

await cell("conditional", async () => {
  const { headers } = await octokit.rest.repos.get(engine);
  await assert.rejects(octokit.rest.repos.get({ ...engine, headers: { "if-none-match": headers.etag } }), { status: 304 });
});

await cell("an upload is refused by the host's name, and would leave without the adapter", async () => {
  const upload = async (client) => {
    const { data } = await client.rest.repos.getRelease({ ...engine, release_id: 1 });
    return client.rest.repos.uploadReleaseAsset({ ...engine, release_id: 1, url: data.upload_url, name: "a.txt", data: "a" });
  };
  const client = (options) => new Octokit({ log, retry: { enabled: false }, ...options });
  await assert.rejects(upload(client({ request: { fetch: intertieFetch({ url, session, provider: "github", bases }) } })), /uploads\.github\.com is not an API of github/);
  const { left, send } = spy();
  await assert.rejects(upload(client({ auth: session, baseUrl: `${url}/proxy/github`, request: { fetch: send } })));
  assert.match(left[0].address, /^https:\/\/uploads\.github\.com\//);
  assert.equal(left[0].authorization, `bearer ${session}`);
});

await cell("refusal", () =>
  refusal({ provider: "github", bases }, (fetch) => new Octokit({ log, request: { fetch }, retry }).rest.users.getAuthenticated()),
);

await cell("a write whose outcome is unknown is not sent again", async () => {
  await fault("github", "POST /repos/ada/engine/issues", { status: 502, body: { message: "Server Error" } });
  await assert.rejects(octokit.rest.issues.create({ ...engine, title: "Once" }), { status: 502 });
});
