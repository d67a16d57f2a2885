/** How calls are repeated. */
export interface Repeats {
  /** How often a call is made at most. 4 unless given. */
  attempts?: number;
  /** The longest wait before a further attempt, in seconds. An answer that asks for more is passed on. 30 unless given. */
  longest?: number;
  /** Waits for milliseconds. */
  sleep?: (milliseconds: number) => Promise<unknown>;
}

type Fetch = (request: Request) => Promise<Response>;

/** Methods that may be repeated: RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

/**
 * Repeats calls where that is safe: after 429, which nothing was done for; and after 500 with `Retry-After`, 502, 503 and a broken
 * connection if the method is idempotent. `Retry-After` says how long it waits. Under an `Idempotency-Key` an action whose outcome is
 * unknown runs again, so that whether to repeat that is the caller's to decide.
 */
export function retrying(fetch: Fetch, { attempts = 4, longest = 30, sleep = pause }: Repeats = {}): Fetch {
  return async (request) => {
    const safe = IDEMPOTENT.has(request.method);
    for (let attempt = 1; ; attempt++) {
      // A body can be read once: the last attempt has the original.
      const last = attempt >= attempts;
      let wait: number | undefined;
      try {
        const response = await fetch(last ? request : request.clone());
        wait = seconds(response, safe, attempt);
        if (last || wait === undefined || wait > longest) return response;
        await response.body?.cancel();
      } catch (error) {
        if (last || !safe || request.signal.aborted) throw error;
        wait = growing(attempt);
      }
      await sleep(wait * 1000);
      request.signal.throwIfAborted();
    }
  };
}

/** The seconds until a further attempt makes sense; none if it makes no sense, or is not safe. */
function seconds(response: Response, safe: boolean, attempt: number): number | undefined {
  const asked = response.headers.get('Retry-After');
  const passes = response.status === 502 || response.status === 503 || (response.status === 500 && asked !== null);
  if (response.status !== 429 && !(safe && passes)) return undefined;
  if (asked === null) return growing(attempt);
  const wait = /^\d+$/.test(asked) ? Number(asked) : (Date.parse(asked) - Date.now()) / 1000;
  return Number.isNaN(wait) ? growing(attempt) : Math.max(0, wait);
}

/** Half a second, doubled each time, with jitter. */
function growing(attempt: number): number {
  return 0.25 * 2 ** attempt * (0.75 + Math.random() / 2);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
