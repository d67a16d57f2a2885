import createClient, { type Client } from 'openapi-fetch';
import { type Repeats, retrying } from './retrying.js';
import type { components, paths } from './schema.js';

export type { components, paths } from './schema.js';
export { type Repeats, retrying } from './retrying.js';

/** The schemas of the description, such as `Schemas['Integration']`. */
export type Schemas = components['schemas'];

export interface Options {
  /** The address of the API. */
  url: string;
  /** A session token, or what gives one for each call. */
  token: string | (() => string | Promise<string>);
  repeats?: Repeats;
  fetch?: (request: Request) => Promise<Response>;
}

/** An answer that is no success. */
export class IntertieError extends Error {
  override name = 'IntertieError';

  constructor(
    readonly status: number,
    /** Undefined if API Gateway answered in place of a function. */
    readonly problem?: Schemas['ProblemDetail'],
    message?: string,
  ) {
    super(problem?.message ?? message ?? `The API answered ${status}.`);
  }

  get kind(): Schemas['ProblemKind'] | undefined {
    return this.problem?.kind;
  }
}

/** All routes, typed by path: `client.GET('/integrations')`. */
export function intertie({ url, token, repeats, fetch = (request) => globalThis.fetch(request) }: Options): Client<paths> {
  const client = createClient<paths>({ baseUrl: url, fetch: retrying(fetch, repeats) });
  client.use({
    async onRequest({ request }) {
      request.headers.set('Authorization', `Bearer ${typeof token === 'string' ? token : await token()}`);
    },
  });
  return client;
}

/** The data of an answer; throws an {@link IntertieError} if there is none. */
export async function unwrap<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (response.ok) return data as T;
  const { error: problem, message } = (error ?? {}) as Partial<Schemas['Problem'] & Schemas['GatewayMessage']>;
  throw new IntertieError(response.status, problem, message);
}

/** All parts of a list: `load` gets the `next` of the part before, and gives one part. */
export async function* pages<Part extends { next: string | null }>(
  load: (after: string | undefined) => Promise<Part>,
): AsyncGenerator<Part, void, undefined> {
  let after: string | undefined;
  do {
    const part = await load(after);
    yield part;
    // What a list gives twice would be read for ever.
    if (part.next === after) return;
    after = part.next ?? undefined;
  } while (after !== undefined);
}
