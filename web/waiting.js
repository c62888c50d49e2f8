// A place in a queue, followed: by a stream of events, and where there is none by asking at the pace that the server says.
// What is shown is concert.js' affair; this tells it what is known.

import { Refusal, call, pause, store, stored } from './api.js';

// A stream that is silent for so long is dead: the server gives a sign of life at least every 15 s.
const SILENCE = 20_000;

// Its first words come at once, or the line that the browser has kept for it leads nowhere any more: it may keep several.
const FIRST_SILENCE = 6_000;

// How long to ask instead after the server had no stream to give.
const WITHOUT_STREAM = 30_000;

// While one chooses, its stream is the seats' own: browsers open few connections to a server.
const CHOOSING_PACE = 5_000;

const LONGEST_PAUSE = 15_000;

// A place in the queue of a concert. `tell(view)` is called with the rank's answer, its `status` also `NONE` (no place yet) or
// `CLOSING` (nobody new is given one), whenever something is new; `view.offline` says that nothing was heard of late, and what
// is told is as it was.
export function place({ concert, queue, tell }) {
  const name = `onsale.token.${queue}`;
  let view = { status: 'NONE' };
  let stop = new AbortController();
  let wake = new AbortController();
  let heard = 0;
  let streamFrom = 0;

  const say = (news) => tell((view = { ...view, offline: false, ...news }));
  const keep = (token) => store(name, token);
  const token = () => stored(name);

  // The draw's numbers come in headers.
  function draw(headers) {
    for (const each of ['entry', 'place']) {
      const number = headers.get(`draw-${each}`);
      if (number !== null) store(`${name}.${each}`, number);
    }
  }

  async function enter() {
    const { data, headers } = await call('POST', '/api/v1/queues/token', {
      user: true,
      form: { concertId: concert },
      token: token() ?? undefined,
    });
    if (data.token !== token()) for (const each of ['entry', 'place', 'first']) store(`${name}.${each}`, null);
    keep(data.token);
    draw(headers);
    follow();
  }

  async function rank() {
    const { data, headers } = await call('GET', '/api/v1/queues/token/rank', { token: token(), once: true, signal: wake.signal });
    draw(headers);
    heard = Date.now();
    say(data);
    return data;
  }

  const hasEnded = ({ status }) => status === 'EXPIRED' || status === 'COMPLETED';

  // Follows a stream to its end; returns how long to wait until the next one.
  async function stream() {
    const silence = new AbortController();
    let timer;
    const expect = (within) => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new Refusal('OFFLINE', 'silence')), within);
    };
    const signal = AbortSignal.any([wake.signal, silence.signal]);
    try {
      expect(FIRST_SILENCE);
      const response = await fetch('/api/v1/queues/token/events', { headers: { token: token() }, signal, cache: 'no-store' });
      if (!response.ok) throw await refusal(response);
      let rest = '';
      let retry = 1_000;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        expect(SILENCE);
        heard = Date.now();
        if (view.offline) say({});
        const events = (rest + part.value).split('\n\n');
        rest = events.pop();
        for (const event of events) {
          const field = (key) => event.split('\n').find((line) => line.startsWith(`${key}: `))?.slice(key.length + 2);
          if (field('retry')) retry = Number(field('retry'));
          if (field('data')) say(JSON.parse(field('data')));
        }
        if (view.status === 'ACTIVE' || hasEnded(view)) {
          reader.cancel().catch(() => {});
          return 0;
        }
      }
      return retry;
    } finally {
      clearTimeout(timer);
    }
  }

  async function refusal(response) {
    const { error } = await response.json().catch(() => ({}));
    return new Refusal(error?.code ?? 'INTERNAL', error?.message ?? '', response.status);
  }

  async function follow() {
    stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    for (let failures = 0; !signal.aborted; ) {
      wake = new AbortController();
      signal.addEventListener('abort', () => wake.abort(signal.reason), { once: true });
      let wait;
      try {
        if (view.status === 'ACTIVE' || Date.now() < streamFrom) {
          const { status, pollAfterMillis } = await rank();
          wait = status === 'ACTIVE' ? CHOOSING_PACE : pollAfterMillis;
        } else {
          wait = await stream();
        }
        failures = 0;
        if (hasEnded(view)) return;
        // Just let in: the seats want to know the draw and the end of the turn.
        if (view.status === 'ACTIVE' && wait === 0) await rank();
      } catch (error) {
        if (signal.aborted) return;
        if (wake.signal.aborted) continue;
        if (error.code === 'INVALID_TOKEN') {
          // Another shop's, or this one's from long ago: who has just come has lost nothing.
          keep(null);
          return say({ status: view.status === 'NONE' ? 'NONE' : 'EXPIRED' });
        }
        if (error.code === 'UNAVAILABLE' || error.code === 'RATE_LIMITED') streamFrom = Date.now() + WITHOUT_STREAM;
        failures += 1;
        if (failures > 1 || !navigator.onLine) say({ offline: true });
        wait = Math.min(LONGEST_PAUSE, 500 * 2 ** failures) * (0.5 + Math.random());
      }
      await pause(wait, wake.signal).catch(() => {});
    }
  }

  // After a sleep, or when the network is back: at once, whatever was waited for.
  function awake() {
    if (document.visibilityState === 'visible' && Date.now() - heard > 5_000 && token() && !hasEnded(view)) {
      wake.abort(new Error('awake'));
    }
  }
  document.addEventListener('visibilitychange', awake);
  addEventListener('pageshow', awake);
  addEventListener('online', () => wake.abort(new Error('online')));
  addEventListener('offline', () => {
    if (view.status === 'WAITING' || view.status === 'SOLD_OUT') say({ offline: true });
  });

  return {
    token,
    fact: (key) => {
      const fact = stored(`${name}.${key}`);
      return fact === null ? null : Number(fact);
    },
    // What was drawn is told to who asks, not by the stream.
    drawn: () => rank().catch(() => {}),
    remember: (key, value) => store(`${name}.${key}`, value),
    // Goes on where this browser was.
    resume: () => (token() ? (follow(), true) : (say({}), false)),
    enter,
    // Gives the place up.
    async leave() {
      await call('DELETE', '/api/v1/queues/token', { token: token() });
      stop.abort();
      keep(null);
      say({ status: 'NONE' });
    },
    // Says that a token was found to have ended.
    ended(status) {
      stop.abort();
      say({ status });
    },
  };
}
