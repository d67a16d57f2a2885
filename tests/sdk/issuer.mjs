// npm's `oidc-provider`, an OpenID provider that is not ours. It says its address, and answers each line with a token or with what else
// was asked for. Its users sign in as a person does: by the forms of its own pages, with any password.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { Provider } from "oidc-provider";

const CLIENT = { client_id: "app", client_secret: "app-secret", redirect_uris: ["http://127.0.0.1/callback"] };
const API = "urn:intertie";
const LIFE = 300;

// The package warns there of what a test wants: users in memory, and pages that take any password.
console.info = console.warn = () => {};

let keys, provider;
const server = createServer((request, response) => provider.callback()(request, response));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

async function key(alg, kid) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(privateKey)), alg, kid, use: "sig" } };
}

// A provider that publishes these keys, and signs with the first of its kind.
function publish(all) {
  keys = all;
  provider = new Provider(issuer, {
    clients: [CLIENT],
    jwks: { keys: all.map(({ jwk }) => jwk) },
    cookies: { keys: ["cookie-key"] },
    pkce: { required: () => false },
    extraTokenClaims: (_, token) => (token.accountId === "root" ? { groups: ["staff", "operators"] } : {}),
    features: {
      resourceIndicators: {
        defaultResource: () => API,
        getResourceServerInfo: (_, resource) => ({
          scope: "use",
          audience: resource,
          accessTokenTTL: LIFE,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: all[0].jwk.alg } },
        }),
        useGrantedResource: () => true,
      },
    },
  });
}

// The authorization code grant, by a client that keeps cookies and fills in forms.
async function signIn(user, resource) {
  const jar = new Map();
  const get = async (url, body) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const method = body ? "POST" : "GET";
    const response = await fetch(url, { method, body, redirect: "manual", headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(";")[0].split("=");
      value ? jar.set(name, value) : jar.delete(name);
    }
    return response;
  };
  const asked = { client_id: "app", response_type: "code", redirect_uri: CLIENT.redirect_uris[0], scope: "openid use", resource };
  let at = `${issuer}/auth?${new URLSearchParams(asked)}`;
  for (let steps = 0; steps < 12; steps += 1) {
    const response = await get(at);
    const to = response.headers.get("location");
    if (to?.startsWith(CLIENT.redirect_uris[0])) {
      const { code, error } = Object.fromEntries(new URL(to).searchParams);
      if (!code) throw new Error(error);
      return exchange(code, resource);
    }
    if (to) {
      at = new URL(to, issuer).href;
      continue;
    }
    const page = await response.text();
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1];
    const action = /action="([^"]+)"/.exec(page)?.[1];
    if (!prompt) throw new Error(`${response.status} ${page}`);
    const fields = prompt === "login" ? { prompt, login: user, password: "any" } : { prompt };
    const answer = await get(new URL(action, issuer).href, new URLSearchParams(fields));
    at = new URL(answer.headers.get("location"), issuer).href;
  }
  throw new Error("the sign-in does not end");
}

async function exchange(code, resource) {
  const body = { grant_type: "authorization_code", code, redirect_uri: CLIENT.redirect_uris[0], resource };
  const authorization = `Basic ${btoa(`${CLIENT.client_id}:${CLIENT.client_secret}`)}`;
  const response = await fetch(`${issuer}/token`, {
    method: "POST",
    headers: { authorization },
    body: new URLSearchParams(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer;
}

const orders = {
  // New keys, of which the first one signs; `keep` earlier ones stay published.
  rotate: async ({ alg, keep }) => {
    const kept = keys.slice(0, keep);
    publish([await key(alg, `${alg}-${Date.now()}`), ...kept]);
    return { kids: keys.map(({ jwk }) => jwk.kid) };
  },
  sign_in: ({ user, resource = API }) => signIn(user, resource),
  // A token with claims of another shape, signed with the provider's key.
  sign: async ({ claims }) => {
    const { privateKey, jwk } = keys[0];
    return { token: await new SignJWT(claims).setProtectedHeader({ alg: jwk.alg, kid: jwk.kid }).sign(privateKey) };
  },
};

publish([await key("RS256", "first")]);
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
say({ issuer, jwks: `${issuer}/jwks`, audience: API });
for await (const line of createInterface({ input: process.stdin })) {
  const { order, ...input } = JSON.parse(line);
  say(await orders[order](input).catch((error) => ({ error: String(error) })));
}
