// How it goes: figures no older than two seconds, or said to be; curves; and the queue that is chosen, with its settings.

import { chart, MINUTES } from './console-chart.js';
import { settings } from './console-queue.js';
import { el, speak } from './site.js';
import { number, t } from './words.js';

// Older figures are said to be old.
const OLD = 2000;
// The server notes a moment each second; it is asked just after.
const JUST_AFTER = 1080;
const PATIENCE = 1500;
const KEPT = MINUTES * 60_000 + 5000;
const ALL = '';

// What is known of the course: merged from whichever instances answer.
function course() {
  const seconds = new Map();
  const last = new Map();
  return {
    instances: last,
    // What no instance that is still there has to tell again.
    get after() {
      const recent = [...last.values()].filter(({ heard }) => performance.now() - heard < 10_000);
      return recent.length ? new Date(Math.min(...recent.map(({ at }) => at))).toISOString() : null;
    },
    add({ instance, moments }) {
      for (const told of moments) {
        const at = Date.parse(told.at);
        const before = last.get(instance);
        if (before && at <= before.at) continue;
        // Failures are each instance's own, all else is the whole shop's.
        const failed = before && at - before.at < 5000 ? ((told.failures - before.failures) * 1000) / (at - before.at) : null;
        const second = Math.round(at / 1000);
        const known = seconds.get(second);
        const errors = failed == null ? (known?.errors ?? null) : (known?.errors ?? 0) + failed;
        seconds.set(second, { ...told, at, errors });
        last.set(instance, { at, failures: told.failures, heard: performance.now() });
      }
      const newest = Math.max(...seconds.keys());
      for (const second of seconds.keys()) if (second * 1000 < newest * 1000 - KEPT) seconds.delete(second);
      for (const [name, { heard }] of last) if (performance.now() - heard > 60_000) last.delete(name);
    },
    // Oldest first.
    points: () => [...seconds.values()].sort((one, other) => one.at - other.at),
  };
}

// What a counter grew a second, moment by moment; none where it was not seen, and nothing where it went back.
function rates(points, of) {
  const grown = [];
  for (let at = 1; at < points.length; at += 1) {
    const [before, now] = [points[at - 1], points[at]];
    const passed = now.at - before.at;
    const known = now[of] != null && before[of] != null && passed < 5000;
    grown.push({ at: now.at, value: known ? (Math.max(0, now[of] - before[of]) * 1000) / passed : null });
  }
  return grown;
}

// Of the last three seconds, so that it can be read.
function lately(points, seconds = 3) {
  const known = points.slice(-seconds).filter((point) => point.value != null);
  return known.length ? known.reduce((sum, point) => sum + point.value, 0) / known.length : null;
}

export function live(room, operator) {
  let chosen = sessionStorage.getItem('onsale.queue') ?? null;
  let known = course();
  let queues = [];
  // When what is shown was so, by this clock.
  let asOf = null;
  let wasOld = false;
  let timer;
  const ended = new AbortController();

  const charts = {
    waiting: chart('waiting', t('live.waiting')),
    admitted: chart('admitted', t('live.admitted')),
    sold: chart('sold', t('live.sold')),
    errors: chart('errors', t('live.errors')),
  };
  const age = el('p', { class: 'age', id: 'age' }, t('live.looking'));
  const chips = el('div', { class: 'chips', role: 'group', 'aria-label': t('live.queues') });
  const facts = el('dl', { class: 'facts' });
  // What the settings would mean is said of the same moment that is shown above them.
  const figuresOf = (queue) => {
    const latest = queue.name === chosen ? known.points().at(-1) : null;
    return latest?.waiting == null ? queue.figures : { ...queue.figures, waiting: latest.waiting, active: latest.active };
  };
  const form = settings(operator, () => look(), figuresOf);
  const figures = el('div', { class: 'figures' }, chips, facts, el('div', { class: 'charts' }, Object.values(charts).map(({ node }) => node)));
  room.replaceChildren(age, figures, form.node);

  function choose(name) {
    chosen = name;
    sessionStorage.setItem('onsale.queue', name);
    known = course();
    clearTimeout(timer);
    show();
    look();
  }

  async function look() {
    clearTimeout(timer);
    const asked = chosen;
    const patience = AbortSignal.any([ended.signal, AbortSignal.timeout(PATIENCE)]);
    const once = { once: true, signal: patience };
    let wait = JUST_AFTER;
    try {
      const listed = await operator.call('GET', '/queues?size=100', once);
      const received = performance.now();
      queues = listed.data.queues;
      if (chosen === null || (chosen !== ALL && !queues.some(({ name }) => name === chosen))) chosen = busiest();
      const query = new URLSearchParams();
      if (chosen !== ALL) query.set('queue', chosen);
      if (known.after) query.set('after', known.after);
      const told = (await operator.call('GET', `/figures/course?${query}`, once)).data;
      if (ended.signal.aborted || asked !== null && asked !== chosen) return;
      known.add(told);
      const seen = known.points().findLast((point) => point.waiting != null);
      const old = seen ? Date.parse(told.now) - seen.at : Infinity;
      const oldest = Math.max(0, ...shownQueues().map(({ figures: of }) => of?.ageMillis ?? 0));
      asOf = Math.min(performance.now() - old, received - oldest);
      wait = Math.max(100, JUST_AFTER - Math.max(old, 0));
      show(Date.parse(told.now));
    } catch (refusal) {
      if (ended.signal.aborted || operator.failed(refusal)) return;
      wait = 500;
    }
    clearTimeout(timer);
    timer = setTimeout(look, wait);
  }

  const busiest = () => {
    const most = [...queues].sort((one, other) => (other.figures?.waiting ?? 0) - (one.figures?.waiting ?? 0))[0];
    return queues.length > 1 && !most.figures?.waiting ? ALL : most.name;
  };
  const shownQueues = () => queues.filter(({ name }) => chosen === ALL || name === chosen);

  function show(now) {
    showChips();
    const points = known.points();
    const admitted = rates(points, 'admitted');
    const latest = points.at(-1) ?? {};
    form.show(queues.find(({ name }) => name === chosen) ?? null, admitted.length < 10 ? null : lately(admitted, 10));
    if (now === undefined) return;
    const waiting = points.map(({ at, waiting: value }) => ({ at, value }));
    const errors = points.map(({ at, errors: value }) => ({ at, value }));
    const sold = rates(points, 'sold');
    charts.waiting.draw(waiting, now, waiting.at(-1)?.value);
    charts.admitted.draw(admitted, now, lately(admitted));
    charts.sold.draw(sold, now, lately(sold));
    charts.errors.draw(errors, now, lately(errors));
    const fact = (name, value) => el('div', {}, el('dt', {}, t(`live.${name}`)), el('dd', { data: { fact: name } }, value == null ? '–' : number(value)));
    facts.replaceChildren(fact('active', latest.active), fact('admitted.all', latest.admitted), fact('sold.all', latest.sold));
    showAge();
  }

  // Made once for each queue, so that the focus stays where it is.
  function showChips() {
    const names = [...(queues.length > 1 ? [ALL] : []), ...queues.map(({ name }) => name)];
    if (names.join() !== chips.dataset.names) {
      chips.dataset.names = names.join();
      chips.replaceChildren(...names.map((name) => el(
        'button', { type: 'button', class: 'chip', data: { queue: name }, onclick: () => choose(name) },
        el('span', {}, name === ALL ? t('live.all') : name), el('span', { class: 'soft' }),
      )));
    }
    for (const chip of chips.children) {
      const queue = queues.find(({ name }) => name === chip.dataset.queue);
      const waiting = queue && figuresOf(queue)?.waiting;
      chip.setAttribute('aria-pressed', chip.dataset.queue === chosen);
      const state = queue?.settings.paused ? t('queue.paused') : queue?.settings.draining ? t('queue.draining') : queue?.soldOut ? t('queue.soldout') : '';
      chip.lastChild.textContent = [state, waiting ? number(waiting) : ''].filter(Boolean).join(' · ');
    }
  }

  function showAge() {
    if (asOf === null) return;
    const old = performance.now() - asOf;
    const isOld = old > OLD;
    const seconds = (old / 1000).toFixed(1);
    age.textContent = isFinite(old) ? t(isOld ? 'live.old' : 'live.age', { seconds }) : t('live.unseen');
    age.dataset.millis = isFinite(old) ? Math.round(old) : '';
    age.classList.toggle('bad', isOld);
    figures.classList.toggle('stale', isOld);
    if (isOld !== wasOld) speak(t(isOld ? 'live.stopped' : 'live.goes'), isOld);
    wasOld = isOld;
  }

  const ticks = setInterval(showAge, 200);
  look();
  return () => {
    ended.abort();
    clearTimeout(timer);
    clearInterval(ticks);
  };
}
