/** The addresses of each provider's API, as its definition in Intertie lists them. */
export declare const BASES: Readonly<Record<string, readonly string[]>>;

export interface IntertieFetchOptions {
  /** Where Intertie is: `https://api.example.com`. */
  url: string | URL;
  /**
   * The user's session token, or what gives a fresh one for each call. It gets the token that the SDK itself sends: `(own) => own`
   * is for an SDK that is given session tokens in place of the provider's.
   */
  session: string | ((own?: string) => string | undefined | Promise<string | undefined>);
  /** The provider whose API may be called. */
  provider?: string;
  /** Several of them, in place of `provider`. */
  providers?: readonly string[];
  /** The id or name of the account, where the user has several at a provider. */
  account?: string;
  /** The addresses of providers that you added to Intertie: `{ github: ["https://api.github.com"] }`. */
  bases?: Readonly<Record<string, readonly string[]>>;
  /** What sends: the global `fetch` unless given. */
  fetch?: typeof globalThis.fetch;
}

/**
 * A `fetch` that sends calls of a provider's API to Intertie's proxy, path and query unchanged, with the session token as their
 * `Authorization`. It rejects with a `TypeError` for any other address, and nothing is sent.
 *
 * @throws {TypeError} if a provider's addresses are not known.
 */
export declare function intertieFetch(options: IntertieFetchOptions): typeof globalThis.fetch;
