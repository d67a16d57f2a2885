// A `fetch` that leads calls of providers' APIs through Intertie's proxy, for SDKs that take a `fetch` and no base address.
//
// Always: the session token goes to Intertie and nowhere else. A call of any other address is refused before it is sent, so that an
// address in a provider's answer can't get the token. One file without dependencies, for Node.js 20 or later and for browsers.

/** The addresses of each provider's API, as its definition in Intertie lists them: calls, then uploads. */
export const BASES = {
  "slack": ["https://slack.com/api", "https://files.slack.com/upload/v1"],
  "stripe": ["https://api.stripe.com"],
  "google-calendar": ["https://www.googleapis.com/calendar/v3"],
  "gmail": ["https://gmail.googleapis.com/gmail/v1", "https://gmail.googleapis.com/upload/gmail/v1"]
};

/** What a `Request` says besides its address, headers and body. */
const OPTIONS = ["cache", "credentials", "integrity", "keepalive", "method", "mode", "redirect", "referrer", "referrerPolicy", "signal"];

/** See intertie-fetch.d.ts. */
export function intertieFetch({ url, session, provider, providers = [provider], account, bases = {}, fetch = globalThis.fetch }) {
  const proxy = new URL(`${url}`.replace(/\/*$/, "/proxy/")).href;
  const known = { ...BASES, ...bases };
  const all = providers.flatMap((id) => {
    if (!Object.hasOwn(known, id)) throw new TypeError(`intertieFetch: the addresses of "${id}" are not known; give them in "bases"`);
    return known[id].map((base) => ({ id, base: new URL(base) }));
  });

  /** The address at the proxy. */
  function led(address) {
    if (providers.some((id) => address.href.startsWith(`${proxy}${id}/`))) return address.href;
    // The origin of a `blob:` is that of the address inside it.
    const same = all.filter(({ base }) => base.protocol === address.protocol && base.origin === address.origin);
    const below = same.filter(({ base }) => `${address.pathname}/`.startsWith(base.pathname.replace(/\/*$/, "/")));
    const [longest] = below.sort((one, other) => other.base.pathname.length - one.base.pathname.length);
    // The proxy itself refuses batches. It would take any other path that is below no base for one that is.
    const found = longest ?? (/^\/batch(\/|$)/.test(address.pathname) ? same[0] : undefined);
    const where = same.length ? " at this path" : "";
    if (!found) throw new TypeError(`intertieFetch: ${address.origin} is not an API of ${providers.join(", ")}${where}, so the call was not sent`);
    return `${proxy}${found.id}${address.pathname}${address.search}`;
  }

  return async (input, given) => {
    const request = typeof input?.url === "string" ? input : undefined;
    // As for `fetch`: what is undefined, and a body of null, leave what the `Request` says.
    const said = ([name, value]) => value !== undefined && (name !== "body" || value !== null);
    const init = Object.fromEntries(Object.entries(given ?? {}).filter(said));
    const to = led(new URL(request?.url ?? input, globalThis.location?.href));
    const headers = new Headers(init.headers ?? request?.headers);
    const own = headers.get("authorization")?.split(" ").at(-1);
    const token = typeof session === "function" ? await session(own) : session;
    if (typeof token !== "string" || !token) throw new TypeError("intertieFetch: there is no session token");
    headers.set("authorization", `Bearer ${token}`);
    // Headers hold bytes: the proxy reads them as UTF-8.
    if (account !== undefined) headers.set("intertie-account", String.fromCharCode(...new TextEncoder().encode(account)));
    return fetch(to, { ...(request && (await parts(request, init))), ...init, headers });
  };
}

/** A `Request` as `fetch` takes it beside another address. Its body is read whole: not every browser can send it on as a stream. */
async function parts(request, init) {
  const options = Object.fromEntries(OPTIONS.map((name) => [name, request[name]]));
  const bare = "body" in init || ["GET", "HEAD"].includes(init.method ?? request.method);
  return bare ? options : { ...options, body: await request.arrayBuffer() };
}
