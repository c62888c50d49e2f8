// A schedule's seats, live: by its stream of events, and where there is none to be had by asking again. Either way what is told
// is state, not history, so a lost connection loses nothing.

import { call } from './api.js';

// How long until asking again, and until the stream is tried again.
const ASK_MS = 3_000;
const STREAM_MS = 30_000;

// Tells `on.all(changes)` everything that is not free and `on.some(changes)` what changed, each `{concertSeatId, status}`;
// `on.lost(true)` when nothing comes and `on.lost(false)` when it does again; `on.refused(error)` when the token is no good any
// more. Returns a function that ends it.
export function watch(schedule, token, on) {
  let source = null;
  let timer = 0;
  let ended = false;
  const path = `/api/v1/concerts/schedules/${schedule}`;
  const wait = (run, millis) => { clearTimeout(timer); timer = setTimeout(run, millis * (0.8 + Math.random() * 0.4)); };

  function listen() {
    source?.close();
    if (ended) return;
    source = new EventSource(`${path}/events?token=${encodeURIComponent(token)}`);
    source.addEventListener('open', () => { clearTimeout(timer); on.lost(false); });
    source.addEventListener('seats', (event) => on.all(JSON.parse(event.data).seats));
    source.addEventListener('changes', (event) => on.some(JSON.parse(event.data).seats));
    source.addEventListener('error', () => {
      if (ended) return;
      // A stream that is only cut comes again by itself; one that was refused does not, and says not why.
      if (source.readyState === EventSource.CLOSED) ask(Date.now() + STREAM_MS);
      else on.lost(true);
    });
  }

  async function ask(streamAt) {
    if (ended) return;
    try {
      const { data: { seats } } = await call('GET', `${path}/seat-map`, { token, once: true });
      if (ended) return;
      on.lost(false);
      on.all(seats.filter((seat) => seat.status !== 'FREE'));
    } catch (error) {
      if (ended) return;
      if (error.status >= 400 && error.status < 500 && error.status !== 429) {
        stop();
        on.refused(error);
        return;
      }
      on.lost(true);
    }
    if (Date.now() >= streamAt) wait(listen, 0);
    else wait(() => ask(streamAt), ASK_MS);
  }

  // After a sleep, or on another network, a stream may look open and be dead.
  const again = () => { if (document.visibilityState === 'visible') listen(); };

  function stop() {
    ended = true;
    source?.close();
    clearTimeout(timer);
    removeEventListener('online', again);
    removeEventListener('pageshow', fromCache);
    document.removeEventListener('visibilitychange', again);
  }
  const fromCache = (event) => { if (event.persisted) again(); };

  addEventListener('online', again);
  addEventListener('pageshow', fromCache);
  document.addEventListener('visibilitychange', again);
  listen();
  return stop;
}
