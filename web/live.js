// A schedule's seats, live: by its stream of events, and where there is none to be had by asking again. Either way what is told
// is state, not history, so a lost connection loses nothing.

import { call, Refusal } from './api.js';

// A stream that is silent for so long is dead: the server gives a sign of life at least every 15 s.
const SILENCE = 20_000;

// How long until asking again, and until a stream is tried again after the server had none to give.
const PACE = 3_000;
const WITHOUT_STREAM = 30_000;

const LONGEST_PAUSE = 15_000;

// Tells `on.all(changes)` everything that is not free and `on.some(changes)` what changed, each `{concertSeatId, status}`;
// `on.lost(true)` when nothing comes and `on.lost(false)` when it does again; `on.ended(status)` when the token has, and
// `on.refused(error)` when it is none. Returns a function that ends it.
export function watch(schedule, token, on) {
  const path = `/api/v1/concerts/schedules/${schedule}`;
  const end = new AbortController();
  let wake = new AbortController();
  let streamFrom = 0;

  const heard = (tell, seats) => {
    if (end.signal.aborted) return;
    on.lost(false);
    if (tell) tell(seats);
  };

  // Follows a stream to its end; returns how long to wait until the next one.
  async function stream(signal) {
    const silence = new AbortController();
    let timer;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
    };
    try {
      alive();
      const both = AbortSignal.any([signal, silence.signal]);
      const response = await fetch(`${path}/events`, { headers: { token }, signal: both, cache: 'no-store' });
      if (!response.ok) throw new Refusal('REFUSED', '', response.status);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let [rest, retry] = ['', 1_000];
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        alive();
        heard();
        const events = (rest + part.value).split('\n\n');
        rest = events.pop();
        for (const event of events) {
          const field = (key) => event.split('\n').find((line) => line.startsWith(`${key}: `))?.slice(key.length + 2);
          retry = Number(field('retry') ?? retry);
          if (field('data')) heard(field('event') === 'seats' ? on.all : on.some, JSON.parse(field('data')).seats);
        }
      }
      return retry;
    } finally {
      clearTimeout(timer);
    }
  }

  async function ask(signal) {
    const { data } = await call('GET', `${path}/seat-map`, { token, once: true, signal });
    heard(on.all, data.seats.filter((seat) => seat.status !== 'FREE'));
    return PACE;
  }

  async function follow() {
    for (let failures = 0; !end.signal.aborted;) {
      wake = new AbortController();
      const signal = AbortSignal.any([end.signal, wake.signal]);
      let wait;
      try {
        if (Date.now() < streamFrom) {
          wait = await ask(signal);
        } else {
          wait = await stream(signal);
          // It may have ended with the token, of which asking is no failure.
          const { data } = await call('GET', '/api/v1/queues/token/rank', { token, once: true, signal });
          if (data.status !== 'ACTIVE') return on.ended(data.status);
        }
        failures = 0;
      } catch (error) {
        if (end.signal.aborted) return;
        const status = error instanceof Refusal ? error.status : 0;
        // What a stream is refused for, asking says; and there may be answers where there is no stream.
        if (error.code === 'REFUSED') streamFrom = Date.now() + WITHOUT_STREAM;
        else if (status >= 400 && status < 500 && status !== 429) return on.refused(error);
        else if (!wake.signal.aborted) on.lost(true);
        failures += 1;
        wait = error.code === 'REFUSED' || wake.signal.aborted ? 0 : Math.min(500 * 2 ** failures, LONGEST_PAUSE);
      }
      await rest(wait * (0.75 + Math.random() / 2));
    }
    return undefined;
  }

  const rest = (ms) => new Promise((done) => {
    const timer = setTimeout(done, ms);
    for (const { signal } of [wake, end]) signal.addEventListener('abort', () => { clearTimeout(timer); done(); }, { once: true });
  });

  // After a sleep, or on another network, a stream may look open and be dead.
  const again = () => { if (document.visibilityState === 'visible') wake.abort(); };
  const listening = { signal: end.signal };
  addEventListener('online', again, listening);
  addEventListener('pageshow', (event) => { if (event.persisted) again(); }, listening);
  document.addEventListener('visibilitychange', again, listening);
  follow();
  return () => end.abort();
}
