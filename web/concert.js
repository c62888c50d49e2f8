// The page of a concert: its waiting room, and when it is one's turn the choosing of seats.

import { el, speak } from './site.js';
import { call, store, stored } from './api.js';
import { dateTime, duration, learn, number, t, time, timer } from './words.js';
import { place } from './waiting.js';

const room = document.getElementById('room');
const chooser = document.getElementById('choose');
const { concert, queue } = room.dataset;
const name = document.title;

// How often a screen reader is told that the place has moved.
const SPOKEN_EVERY = 60_000;

// How often the queue is looked at for what a place does not say: a pause, a closing, an opening that was put off.
const LOOK_EVERY = 20_000;

// From so many seconds before one's turn on, what is needed then is loaded: it opens at once, on a slow line too.
const NEAR = 30;

let state; // Of the queue, as the server last said.
let skew = 0; // How far this clock is behind the server's.
let shown = ''; // Which view is on the page.
let view = { status: 'NONE' };
let leaveChoosing;
let spoken = 0;
let ticking;
let acted = false; // Whether the visitor has done something in this view of the page.

const now = () => Date.now() + skew;
const opensIn = () => (state?.opensAt ? Date.parse(state.opensAt) - now() : 0);

const ours = place({ concert, queue, tell });

async function look() {
  const { data } = await call('GET', `/api/v1/concerts/${concert}/queue`);
  skew = Date.parse(data.now) - Date.now();
  state = data;
  // Kept from before the opening, so that it can be held against what is said afterwards.
  if (opensIn() > 0) promise();
}

async function promise() {
  const key = `onsale.promise.${queue}`;
  const { data } = await call('GET', `/api/v1/queues/draws/${queue}`).catch(() => ({}));
  if (data && !data.seed) store(key, `${data.opensAt} ${data.seedSha256}`);
}

function tell(news) {
  const before = view;
  view = news;
  show();
  if (view.status === 'ACTIVE' && before.status !== 'ACTIVE') begin(acted || before.status !== 'NONE');
  if (view.status !== 'ACTIVE' && leaveChoosing) finish();
  if (shown === 'waiting' && view.estimatedWaitSeconds?.high <= NEAR) prepare().catch(() => {});
  if (view.status === 'WAITING' && shown === 'waiting' && Date.now() - spoken > SPOKEN_EVERY) {
    spoken = Date.now();
    speak(t('room.spoken', { count: view.ahead, place: view.rank + 1, wait: wait(view) }));
  }
}

// Which view the page shows now.
function which() {
  switch (view.status) {
    case 'WAITING':
      return opensIn() > 0 ? 'early' : state?.paused ? 'paused' : 'waiting';
    case 'SOLD_OUT':
      return 'soldout';
    case 'ACTIVE':
      return 'active';
    case 'EXPIRED':
      return 'lapsed';
    case 'COMPLETED':
      return 'completed';
    default:
      return state?.draining ? 'closing' : opensIn() > 0 ? 'before' : state?.soldOut ? 'nothing' : state?.paused ? 'halted' : 'none';
  }
}

function wait({ estimatedWaitSeconds: range }) {
  if (!range) return t('room.wait.unknown');
  if (range.high <= 5) return t('room.wait.now');
  if (range.low < 5) return t('room.wait.most', { high: duration(range.high) });
  return t('room.wait.range', { low: duration(range.low), high: duration(range.high) });
}

const part = (key) => room.querySelector(`[data-part=${key}]`);
const put = (key, text) => {
  const at = part(key);
  if (at && at.textContent !== text) at.textContent = text;
};

function show() {
  const next = which();
  if (next !== shown) {
    shown = next;
    room.replaceChildren(...views[next]());
    room.dataset.state = next;
    said[next] && speak(t(said[next]), next === 'soldout');
    // Where one stands is said at once, then now and then.
    spoken = next === 'waiting' ? 0 : Date.now();
    tick();
  }
  const place = typeof view.rank === 'number' ? view.rank + 1 : null;
  document.title = titles[next]?.(place) ?? name;
  if (place !== null) {
    put('place', number(place));
    put('ahead', view.ahead ? t('room.ahead', { count: view.ahead }) : t('room.first'));
    put('wait', wait(view));
    const first = Math.max(ours.fact('first') ?? 0, view.ahead);
    if (first !== ours.fact('first')) ours.remember('first', first);
    const bar = part('bar');
    if (bar) bar.value = first ? 1 - view.ahead / first : 1;
  }
  part('offline')?.toggleAttribute('hidden', !view.offline);
}

// What a screen reader hears when a view comes.
const said = {
  early: 'early.spoken',
  paused: 'paused.title',
  soldout: 'soldout.title',
  lapsed: 'lapsed.title',
  completed: 'completed.title',
  closing: 'closing.title',
};

const titles = {
  before: () => `${timer(Math.max(0, opensIn() / 1000))} · ${name}`,
  early: () => `${timer(Math.max(0, opensIn() / 1000))} · ${name}`,
  waiting: (place) => (place === null ? name : `${number(place)} · ${name}`),
  paused: (place) => (place === null ? name : `${number(place)} · ${name}`),
  soldout: () => `${t('soldout.short')} · ${name}`,
  active: () => `${t('active.short')} · ${name}`,
};

const card = (...parts) => el('div', { class: 'card' }, ...parts);
const title = (key) => el('h2', {}, t(key));
const text = (key, values) => el('p', {}, t(key, values));
const soft = (key, values) => el('p', { class: 'soft' }, t(key, values));
const offline = () => el('p', { class: 'note warn', data: { part: 'offline' }, hidden: true }, t('room.offline'));
const next = (...keys) => [el('h3', {}, t('next.title')), el('ol', { class: 'steps' }, keys.map((key) => el('li', {}, key)))];
const lasts = () => ({ turn: duration(state?.activeTtlSeconds ?? 300), away: duration(state?.waitingTtlSeconds ?? 120) });

function enterButton(key = 'enter') {
  return el('button', { id: 'enter', class: 'main', type: 'button', onclick: enter }, t(key));
}

async function enter(event) {
  event?.preventDefault();
  const button = document.getElementById('enter');
  if (button) button.disabled = true;
  acted = event !== undefined;
  try {
    await ours.enter();
  } catch (refusal) {
    await look().catch(() => {});
    show();
    if (button) button.disabled = false;
    const key = { USER_REQUIRED: 'enter.unknown', OFFLINE: 'room.offline' }[refusal.code];
    if (which() !== 'closing') complain(t(key ?? 'enter.failed'));
  }
}

function complain(text) {
  room.querySelector('.bad')?.remove();
  room.append(el('p', { class: 'note bad', role: 'alert' }, text));
}

function settings() {
  const asks = 'Notification' in window && Notification.permission === 'default';
  const allow = async (event) => {
    const button = event.currentTarget;
    button.replaceWith(text((await Notification.requestPermission()) === 'granted' ? 'notify.on' : 'notify.off'));
  };
  const sound = el('input', { type: 'checkbox', onchange: () => store('onsale.sound', sound.checked ? '1' : null) });
  sound.checked = stored('onsale.sound') === '1';
  return el(
    'div',
    { class: 'row' },
    asks && el('button', { type: 'button', onclick: allow }, t('notify.ask')),
    el('label', { class: 'check' }, sound, t('sound')),
    el('button', { class: 'quiet', type: 'button', onclick: () => ours.leave().catch(() => complain(t('enter.failed'))) }, t('leave')),
  );
}

const counting = (key) => [
  title('opens.title'),
  el('p', { class: 'figure', data: { part: 'countdown' }, role: 'timer', 'aria-live': 'off' }),
  text('opens.at', { at: dateTime(state.opensAt) }),
  el('p', { class: 'note' }, t(key, { entry: ours.fact('entry') ?? 0 })),
];

const standing = () => [
  el('h2', { class: 'label' }, t('place.label')),
  el('p', { class: 'figure', data: { part: 'place' } }),
  el('p', { class: 'large', data: { part: 'ahead' } }),
];

const views = {
  none: () => [card(title('none.title'), soft('none.text'), el('p', {}, enterButton()))],
  halted: () => [card(title('paused.title'), el('p', { class: 'note warn' }, t('halted.text')), el('p', {}, enterButton()))],
  nothing: () => [card(title('soldout.title'), text('soldout.queue'), el('p', {}, enterButton()))],
  before: () => [card(...counting('opens.fair'), el('p', {}, enterButton('enter.early')), proof())],
  early: () => [
    card(...counting('early.entry'), offline(), ...next(t('early.next1'), t('early.next2'), t('next.turn', lasts())), settings(), proof()),
  ],
  waiting: () => [
    card(
      ...standing(),
      el('progress', { data: { part: 'bar' }, max: 1, value: 0, 'aria-label': t('bar') }),
      el('p', { class: 'large', data: { part: 'wait' } }),
      offline(),
      ...next(t('next.wait'), t('next.turn', lasts()), t('next.away', lasts())),
      settings(),
      proof(),
    ),
  ],
  paused: () => [card(title('paused.title'), el('p', { class: 'note warn' }, t('paused.text')), ...standing(), offline(), settings(), proof())],
  soldout: () => [card(title('soldout.title'), text('soldout.text'), ...standing(), offline(), settings(), proof())],
  active: () => [
    el(
      'div',
      { class: 'card turn' },
      title('active.title'),
      el('p', {}, el('span', { data: { part: 'until' } }), ' ', el('strong', { data: { part: 'left' }, role: 'timer', 'aria-live': 'off' })),
      offline(),
      proof(),
    ),
  ],
  lapsed: () => [card(title('lapsed.title'), text('lapsed.text', lasts()), el('p', {}, enterButton('enter.again')))],
  completed: () => [
    card(title('completed.title'), text('completed.text'), el('p', { class: 'row' }, el('a', { class: 'button main', href: '/me' }, t('me.link')), enterButton('enter.more'))),
  ],
  closing: () => [card(title('closing.title'), text('closing.text'))],
};

// How the order was drawn, for who wants to know; most do not, and load nothing. It stays open when the room changes.
let proving = false;
function proof() {
  if (!state?.opensAt) return null;
  const details = el('details', { open: proving }, el('summary', {}, t('proof.title')));
  details.addEventListener('toggle', async () => {
    proving = details.open;
    if (!details.open || details.children.length > 1) return;
    const { prove } = await import('./draw.js');
    if (ours.token() && opensIn() <= 0 && ours.fact('place') === null) await ours.drawn();
    details.append(await prove({ queue, entry: ours.fact('entry'), place: ours.fact('place') }));
  });
  return details;
}

// What goes by the clock.
function tick() {
  clearInterval(ticking);
  const step = () => {
    if (shown === 'before' || shown === 'early') {
      put('countdown', timer(Math.max(0, opensIn() / 1000)));
      document.title = titles[shown]();
      if (opensIn() <= 0) look().then(show, show);
    } else if (shown === 'active' && view.expiresAt) {
      const left = Math.max(0, (Date.parse(view.expiresAt) - now()) / 1000);
      put('until', t('active.until', { at: time(view.expiresAt) }));
      put('left', timer(left));
    }
  };
  step();
  ticking = setInterval(step, 1000);
}

// The choosing's own scripts and words, which who waits long need not load.
let ready;
const prepare = () => (ready ??= Promise.all([import('./seats.js'), learn('shop')]).then(([seats]) => seats).catch((error) => {
  ready = null;
  throw error;
}));

// It is one's turn.
async function begin(moves) {
  chooser.hidden = false;
  const { choose } = await prepare();
  if (view.status !== 'ACTIVE' || leaveChoosing) return;
  leaveChoosing =
    choose(chooser, { concert: Number(concert), token: ours.token(), expiresAt: view.expiresAt, ended: ours.ended }) ?? (() => {});
  // After a reload the focus stays where it was.
  if (!moves) return;
  speak(t('active.title'), true);
  chooser.focus();
  chooser.scrollIntoView({ block: 'start' });
  call_out();
}

function finish() {
  leaveChoosing();
  leaveChoosing = null;
  chooser.replaceChildren();
  chooser.hidden = true;
}

// For who looks elsewhere: the title flashes; a notification and a sound where they were asked for.
function call_out() {
  if (stored('onsale.sound') === '1') ring();
  if (document.visibilityState === 'visible') return;
  if ('Notification' in window && Notification.permission === 'granted') {
    try {
      new Notification(t('active.title'), { body: name, tag: `onsale-${queue}` });
    } catch {
      // Some browsers let only workers notify.
    }
  }
  const flash = setInterval(() => {
    if (document.visibilityState === 'visible' || view.status !== 'ACTIVE') {
      clearInterval(flash);
      show();
    } else {
      document.title = document.title.startsWith('●') ? titles.active() : `● ${t('active.title')}`;
    }
  }, 1000);
}

function ring() {
  const audio = new AudioContext();
  for (const [at, pitch] of [[0, 660], [0.2, 880]]) {
    const tone = new OscillatorNode(audio, { frequency: pitch });
    const gain = new GainNode(audio, { gain: 0.2 });
    tone.connect(gain).connect(audio.destination);
    tone.start(audio.currentTime + at);
    tone.stop(audio.currentTime + at + 0.15);
  }
}

const refresh = () => look().then(show, () => {});
await refresh();
if (!ours.resume() && room.dataset.entered) enter();
setInterval(() => document.visibilityState === 'visible' && refresh(), LOOK_EVERY * (0.9 + 0.2 * Math.random()));
