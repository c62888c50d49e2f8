// Calls to the service, as docs/client.md has them: what can be repeated is, when the server says or with growing pauses.

const MOST_TRIES = 8;
const PATIENCE = 30_000;

// A refusal: `code` is the contract's; `OFFLINE` if there was no answer.
export class Refusal extends Error {
  constructor(code, message, status = 0, requestId = '') {
    super(message);
    Object.assign(this, { code, status, requestId });
  }
}

// Who the visitor is. Where a gateway knows, it says so itself; where nobody does (`onsale dev`), the browser makes up a number.
export const visitor = {
  demo: document.querySelector('meta[name=visitor]')?.content === 'demo',
  get id() {
    // Without scripts it was told who it is.
    const told = document.cookie.match(/(?:^|; )onsale_visitor=(\d+)/)?.[1];
    return Number(stored('onsale.visitor')) || this.become(told ?? undefined);
  },
  // Becomes another visitor, with nothing that the one before had kept.
  become(id = 1 + Math.floor(Math.random() * 1e9)) {
    for (const key of Object.keys(localStorage)) if (key.startsWith('onsale.')) localStorage.removeItem(key);
    document.cookie = `onsale_visitor=${id}; path=/; samesite=lax`;
    store('onsale.visitor', id);
    return Number(id);
  },
};

// What is kept in the browser; without storage (some private windows) a reload forgets it.
const memory = new Map();
export function stored(name) {
  try {
    return localStorage.getItem(name) ?? memory.get(name) ?? null;
  } catch {
    return memory.get(name) ?? null;
  }
}
export function store(name, value) {
  try {
    if (value == null) localStorage.removeItem(name);
    else localStorage.setItem(name, String(value));
  } catch {
    // It stays in memory.
  }
  if (value == null) memory.delete(name);
  else memory.set(name, String(value));
}

// The Idempotency-Key of an intention, such as `pay:12,13`: kept until it is answered, so that a reload repeats the same.
export function keyFor(intention) {
  const name = `onsale.key.${intention}`;
  const key = stored(name) ?? crypto.getRandomValues(new Uint32Array(4)).join('-');
  store(name, key);
  return key;
}
export const answered = (intention) => store(`onsale.key.${intention}`, null);

export const pause = (ms, signal) =>
  new Promise((done, stop) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', () => (clearTimeout(timer), stop(signal.reason)), { once: true });
  });

// Makes a call. Returns `{ data, headers, status }`, or throws a Refusal.
//   token      sent as the header `token`
//   user       true: sent as who the visitor is, where the browser has to say so
//   bearer     an operator's token
//   body       sent as JSON; `form` as a form
//   intention  what this is to do: sent under its Idempotency-Key until it is answered
//   once       true: not tried again
//   signal     an AbortSignal
//   headers    others
export async function call(method, path, options = {}) {
  const { token, user, bearer, body, form, intention, once, signal } = options;
  const headers = new Headers(options.headers);
  if (token) headers.set('token', token);
  if (user && visitor.demo) headers.set('userId', visitor.id);
  if (bearer) headers.set('authorization', `Bearer ${bearer}`);
  if (body !== undefined) headers.set('content-type', 'application/json');
  if (intention) headers.set('idempotency-key', keyFor(intention));
  const sent = body === undefined ? form && new URLSearchParams(form) : JSON.stringify(body);
  const begun = performance.now();
  for (let tries = 1; ; tries += 1) {
    const last = once || tries >= MOST_TRIES;
    let wait;
    try {
      return await ask(method, path, { headers, body: sent, signal });
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      if (refusal.code === 'OFFLINE') wait = 200 * 2 ** (tries - 1) * (0.5 + Math.random());
      else if (refusal.retryAfter != null) wait = refusal.retryAfter * 1000 * (1 + Math.random() / 2);
      else if (refusal.code === 'INTERNAL' && tries === 1) wait = 500;
      const over = wait === undefined || last || performance.now() - begun + wait > PATIENCE;
      // What may have been done keeps its key, and is repeated under it.
      if (intention && refusal.code !== 'OFFLINE' && refusal.retryAfter == null && refusal.status < 500) answered(intention);
      if (over) throw refusal;
    }
    await pause(wait, signal);
  }

  async function ask(method, path, request) {
    let response, answer;
    try {
      const patience = AbortSignal.timeout(10_000);
      const either = signal ? AbortSignal.any([signal, patience]) : patience;
      response = await fetch(path, { method, ...request, signal: either, cache: 'no-cache', credentials: 'same-origin' });
      answer = await response.json();
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new Refusal('OFFLINE', String(error), 0);
    }
    if (response.ok && answer.result === 'SUCCESS') {
      if (intention) answered(intention);
      return { data: answer.data, headers: response.headers, status: response.status };
    }
    const { code = 'INTERNAL', message = '' } = answer.error ?? {};
    const refusal = new Refusal(code, message, response.status, response.headers.get('x-request-id') ?? '');
    const after = response.headers.get('retry-after');
    refusal.retryAfter = after === null ? null : Number(after);
    throw refusal;
  }
}
