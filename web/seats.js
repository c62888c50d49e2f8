// Choosing seats: shown in the waiting room's page when it is one's turn. What is chosen here is the visitor's only once the
// server holds it: until then everybody sees the same seats, and the quickest has them.

import { call } from './api.js';
import { hall, nextBest } from './hall.js';
import { SeatList } from './list.js';
import { watch } from './live.js';
import { SeatMap } from './map.js';
import { pay } from './pay.js';
import { el, speak } from './site.js';
import { date, language, learn, t, won } from './words.js';

// What a person may take along; the server has the last word.
const MOST = 8;

// `root` is the section to fill; `concert` the concert's id; `token` the active token; `expiresAt` when it ends (RFC 3339);
// `ended(status)` is to be called with EXPIRED or COMPLETED when the token is found to have ended. Returns a function that ends
// it, however far it has come.
export function choose(root, { concert, token, expiresAt, ended }) {
  const shop = { root, concert: Number(concert), token, expiresAt, ended, stopped: false, end: () => {} };
  root.setAttribute('aria-busy', 'true');
  begin(shop).catch((error) => failed(shop, error));
  return () => {
    shop.stopped = true;
    shop.end();
  };
}

// Reads what there is: who came back in the middle of paying goes on there.
async function begin(shop) {
  await Promise.all([learn('shop'), styled()]);
  if (shop.stopped) return;
  const [own, open] = await Promise.all([
    call('GET', '/api/v1/reservations', { token: shop.token }),
    call('GET', `/api/v1/concerts/${shop.concert}/schedules`, { token: shop.token }),
  ]);
  if (shop.stopped) return;
  shop.schedules = open.data.schedules;
  shop.root.removeAttribute('aria-busy');
  // One evening's at a time.
  const all = own.data.reservations.filter((one) => one.concertId === shop.concert && /HELD|PAYING/.test(one.status));
  const held = all.filter((one) => one.concertScheduleId === all[0].concertScheduleId);
  if (held.length) toPay(shop, held);
  else toChoose(shop);
}

function styled() {
  return new Promise((done) => {
    const href = new URL('shop.css', import.meta.url).href;
    if (document.querySelector(`link[href="${href}"]`)) return done();
    const link = el('link', { rel: 'stylesheet', href });
    for (const event of ['load', 'error']) link.addEventListener(event, done);
    return document.head.append(link);
  });
}

// A mistake that nothing can be done about here is said, and one can try again.
function failed(shop, error) {
  if (shop.stopped) return;
  if (isOver(error)) return over(shop);
  shop.root.removeAttribute('aria-busy');
  shop.root.replaceChildren(el('p', { class: 'note warn', role: 'alert' }, t('shop.failed'), ' ',
    el('button', { type: 'button', onclick: () => begin(shop).catch((again) => failed(shop, again)) }, t('shop.again'))));
}

export const isOver = (error) => ['TOKEN_EXPIRED', 'TOKEN_NOT_ACTIVE', 'INVALID_TOKEN'].includes(error.code);

function over(shop, status = 'EXPIRED') {
  shop.end();
  shop.stopped = true;
  shop.ended(status);
}

// The page's part for choosing: the evening, then its seats.
function toChoose(shop, told) {
  shop.end();
  const notice = el('div', { class: 'note warn', id: 'notice', hidden: true });
  const place = el('div', { class: 'place' });
  shop.root.replaceChildren(el('h2', { id: 'choose-title', tabindex: '-1' }, t('shop.choose')), evenings(shop), notice, place);
  shop.root.setAttribute('aria-labelledby', 'choose-title');
  const choosing = { shop, place, notice };
  shop.notice = notice;
  if (told) tell(choosing, told);
  if (!shop.schedules.length) place.append(el('p', {}, t('shop.nothing')));
  else showEvening(choosing, shop.schedules.find((one) => one.concertScheduleId === shop.schedule) || shop.schedules[0]);
  shop.change = (schedule) => showEvening(choosing, schedule);
}

// A date in a few letters: several stand side by side on a phone.
function shortly(day) {
  const format = new Intl.DateTimeFormat(language, { weekday: 'short', month: 'short', day: 'numeric', timeZone: 'UTC' });
  return format.format(new Date(`${day}T00:00:00Z`));
}

function evenings(shop) {
  if (shop.schedules.length < 2) {
    return el('p', { class: 'evening' }, shop.schedules.length ? date(shop.schedules[0].date) : '');
  }
  const boxes = shop.schedules.map((schedule, at) => {
    const chosen = shop.schedule ? schedule.concertScheduleId === shop.schedule : at === 0;
    const radio = el('input', { type: 'radio', name: 'evening', value: schedule.concertScheduleId, checked: chosen });
    radio.addEventListener('change', () => shop.change(schedule));
    return el('label', {}, radio, el('span', {}, shortly(schedule.date)));
  });
  return el('fieldset', { class: 'evenings' }, el('legend', {}, t('shop.evening')), ...boxes);
}

// An evening's seats, as map and list, live.
async function showEvening(choosing, { concertScheduleId: schedule }) {
  const { shop, place } = choosing;
  shop.end();
  shop.schedule = schedule;
  place.setAttribute('aria-busy', 'true');
  let seats;
  try {
    ({ data: { seats } } = await call('GET', `/api/v1/concerts/schedules/${schedule}/seat-map`, { token: shop.token }));
  } catch (error) {
    failed(shop, error);
    return;
  }
  if (shop.stopped || shop.schedule !== schedule) return;
  place.removeAttribute('aria-busy');
  Object.assign(choosing, { hall: hall(seats), chosen: new Set() });
  drawn(choosing);
  const stop = watch(schedule, shop.token, {
    all: (changes) => learned(choosing, changes, true),
    some: (changes) => learned(choosing, changes, false),
    lost: (isLost) => { choosing.stale.hidden = !isLost; },
    ended: (status) => over(shop, status),
    refused: (error) => failed(shop, error),
  });
  shop.end = stop;
}

// Puts the evening together: what is best, the map and its legend, the list, and what is chosen.
function drawn(choosing) {
  const { place, hall: seats } = choosing;
  const asks = {
    choose: (seat) => toggle(choosing, seat),
    isMine: (seat) => choosing.chosen.has(seat),
    state: stateOf,
    name: (seat) => `${named(seat)}, ${won(seat.price)}, ${choosing.chosen.has(seat) ? t('shop.chosen') : stateOf(seat)}`,
    stage: t('shop.stage'),
  };
  choosing.map = new SeatMap(seats, asks);
  choosing.list = new SeatList(seats, asks);
  choosing.map.element.setAttribute('aria-label', t('shop.map'));
  choosing.stale = el('p', { class: 'stale', hidden: true }, t('shop.stale'));
  choosing.counts = new Map(seats.prices.map(({ price }) => [price, el('small', {})]));
  place.replaceChildren(
    best(choosing),
    el('div', { class: 'beside' },
      el('div', { class: 'map' }, choosing.map.element, zooms(choosing.map), choosing.stale, legend(choosing)),
      el('section', { class: 'list', 'aria-labelledby': 'list-title' },
        el('h3', { id: 'list-title' }, t('shop.list')), choosing.list.element)),
    bar(choosing),
  );
  counted(choosing);
  chose(choosing);
}

const named = (seat) => t('shop.seat', { section: seat.section, row: seat.row, number: String(seat.number) });
const stateOf = (seat) => t(`shop.${seat.status.toLowerCase()}`);
const total = (seats) => won(seats.reduce((sum, seat) => sum + seat.price, 0));

function best(choosing) {
  const many = el('select', { id: 'many' }, ...Array.from({ length: 4 }, (_, at) => el('option', { value: at + 1 }, String(at + 1))));
  const take = el('button', { type: 'button', class: 'button', id: 'best' }, t('shop.best'));
  const wanted = () => ({ count: Number(many.value), bestAvailable: true });
  take.addEventListener('click', () => {
    const { chosen } = choosing;
    if (!chosen.size) return hold(choosing, take, wanted());
    // They are not among the best, or one would not have looked for them: asked, not dropped.
    const text = t('shop.best.instead', { count: chosen.size, seat: [...chosen].map(named).join(' · ') });
    const offer = { name: t('shop.best.yes', { count: Number(many.value) }), run: (button) => hold(choosing, button, wanted()) };
    return tell(choosing, { text, offers: [offer] });
  });
  // An offer for another number is over.
  many.addEventListener('change', () => quiet(choosing));
  return el('p', { class: 'best' }, el('label', { for: 'many' }, t('shop.many')), many, take);
}

function zooms(map) {
  const button = (text, name, run) => el('button', { type: 'button', class: 'quiet', title: t(name), 'aria-label': t(name), onclick: run }, text);
  return el('div', { class: 'zooms' },
    button('+', 'shop.closer', () => map.zoom(0.6)),
    button('−', 'shop.farther', () => map.zoom(1 / 0.6)),
    button('⤢', 'shop.fit', () => map.fit()));
}

function legend(choosing) {
  const price = ({ price: each, grade }) =>
    el('li', { class: `grade-${grade}` }, el('i', { class: 'free' }), el('span', {}, won(each)), choosing.counts.get(each));
  const state = (kind) => el('li', {}, el('i', { class: kind }), el('span', {}, t(`shop.${kind}`)));
  return el('ul', { class: 'legend', 'aria-label': t('shop.legend') },
    ...choosing.hall.prices.map(price), state('held'), state('sold'), state('mine'));
}

function bar(choosing) {
  choosing.summary = el('div', { class: 'summary' });
  choosing.take = el('button', { type: 'button', class: 'button main', id: 'hold' }, t('shop.hold'));
  choosing.take.addEventListener('click', () =>
    hold(choosing, choosing.take, { concertSeatIds: [...choosing.chosen].map((seat) => seat.id) }));
  choosing.bar = el('div', { class: 'bar' }, choosing.summary, choosing.take);
  return choosing.bar;
}

// One more, or one less.
function toggle(choosing, seat) {
  const { chosen } = choosing;
  if (chosen.has(seat)) chosen.delete(seat);
  else if (seat.status !== 'FREE') return tell(choosing, { text: t('shop.gone', { seat: named(seat) }), instead: [seat] });
  else if (chosen.size >= MOST) return tell(choosing, { text: t('shop.enough', { count: MOST }) });
  else chosen.add(seat);
  quiet(choosing);
  speak(chosen.size ? t('shop.spoken', { count: chosen.size, total: total([...chosen]) }) : t('shop.none'));
  choosing.list.reveal(seat);
  chose(choosing);
  return undefined;
}

// Shows what is chosen.
function chose(choosing) {
  const seats = [...choosing.chosen];
  choosing.map.mine(seats);
  choosing.list.update(choosing.hall.rows[seats.at(-1)?.line ?? 0].seats);
  choosing.bar.hidden = !seats.length;
  choosing.summary.replaceChildren(el('b', {}, total(seats)), el('span', {}, seats.map(named).join(', ')));
}

// What the stream told. A seat that was chosen here and is somebody else's now is given up, and the next best offered.
function learned(choosing, changes, isAll) {
  const { hall: { seats, byId }, chosen } = choosing;
  const changed = [];
  const set = (seat, status) => {
    if (!seat || seat.status === status) return;
    seat.status = status;
    changed.push(seat);
  };
  const told = new Map(changes.map((one) => [one.concertSeatId, one.status]));
  if (isAll) for (const seat of seats) set(seat, told.get(seat.id) || 'FREE');
  else for (const [id, status] of told) set(byId.get(id), status);
  if (!changed.length) return;
  const lost = changed.filter((seat) => seat.status !== 'FREE' && chosen.has(seat) && !choosing.holding);
  choosing.map.update(changed);
  choosing.list.update(changed);
  choosing.counting ||= setTimeout(() => { choosing.counting = 0; counted(choosing); }, 250);
  if (!lost.length) return;
  for (const seat of lost) chosen.delete(seat);
  tell(choosing, { text: t('shop.lost', { count: lost.length, seat: lost.map(named).join(' · ') }), instead: lost });
  chose(choosing);
}

// How many are free at each price.
function counted(choosing) {
  const free = new Map();
  for (const seat of choosing.hall.seats) if (seat.status === 'FREE') free.set(seat.price, (free.get(seat.price) || 0) + 1);
  for (const [price, text] of choosing.counts) text.textContent = t('shop.left', { count: free.get(price) || 0 });
}

// Says something that has to be known, and offers what can be done about it, or the next best instead of these seats.
function tell(choosing, { text, instead, offers = [] }) {
  const { notice } = choosing;
  notice.replaceChildren(el('p', {}, text), ...offers.map(({ name, run }) =>
    el('button', { type: 'button', class: 'button', onclick: (event) => run(event.currentTarget) }, name)));
  const others = instead && choosing.hall && nextBest(choosing.hall, instead[0], instead.length);
  if (others) {
    const offer = el('button', { type: 'button', class: 'button', id: 'instead' },
      t('shop.instead', { seat: others.map(named).join(' · '), total: total(others) }));
    const keep = [...(choosing.chosen || [])];
    offer.addEventListener('click', () => hold(choosing, offer, { concertSeatIds: [...keep, ...others].map((seat) => seat.id) }));
    notice.append(offer);
    choosing.map.reveal(others[0]);
  }
  notice.hidden = false;
  // The button that was pressed is gone with what was chosen.
  if (choosing.bar?.contains(document.activeElement) && choosing.bar.hidden) notice.querySelector('button')?.focus();
  notice.scrollIntoView({ block: 'nearest' });
  speak(others ? `${text} ${t('shop.offered')}` : text, true);
}

function quiet(choosing) {
  choosing.notice.hidden = true;
}

// Asks for seats, these or the best. All of them are held, or none.
async function hold(choosing, button, wanted) {
  const { shop } = choosing;
  if (choosing.holding) return;
  choosing.holding = true;
  button.setAttribute('aria-busy', 'true');
  quiet(choosing);
  try {
    const body = { concertScheduleId: shop.schedule, ...wanted };
    const { data } = await call('POST', '/api/v1/reservations/concert/batch', { token: shop.token, body });
    const own = await call('GET', '/api/v1/reservations', { token: shop.token });
    if (shop.stopped) return;
    const ids = new Set(data.reservations.map((one) => one.reservationId));
    toPay(shop, own.data.reservations.filter((one) => ids.has(one.reservationId)));
  } catch (error) {
    if (!shop.stopped) refused(choosing, wanted, error);
  } finally {
    choosing.holding = false;
    button.removeAttribute('aria-busy');
  }
}

// Why they are not held, kindly.
async function refused(choosing, wanted, error) {
  const { shop, hall: { byId }, chosen } = choosing;
  if (isOver(error)) return over(shop);
  if (error.code === 'HOLD_LIMIT') return tell(choosing, { text: t('shop.limit') });
  if (error.code !== 'SEAT_TAKEN') return tell(choosing, { text: t('shop.unheld') });
  if (wanted.bestAvailable) return tell(choosing, { text: t('shop.few', { count: wanted.count }) });
  // Which of them it was, the map knows now.
  const seats = wanted.concertSeatIds.map((id) => byId.get(id));
  try {
    const { data } = await call('GET', `/api/v1/concerts/schedules/${shop.schedule}/seat-map`, { token: shop.token });
    learned(choosing, data.seats.filter((seat) => seat.status !== 'FREE'), true);
  } catch {
    // Then the stream tells.
  }
  const gone = seats.filter((seat) => seat.status !== 'FREE');
  for (const seat of gone) chosen.delete(seat);
  chose(choosing);
  const lost = gone.length ? gone : seats;
  return tell(choosing, { text: t('shop.taken', { count: lost.length, seat: lost.map(named).join(' · ') }), instead: lost });
}

// They are held: now they are paid, or given back.
function toPay(shop, held) {
  shop.end();
  const evening = shop.schedules.find((one) => one.concertScheduleId === held[0].concertScheduleId);
  if (evening) shop.schedule = evening.concertScheduleId;
  shop.end = pay(shop.root, {
    concert: shop.concert,
    token: shop.token,
    held,
    done: () => over(shop, 'COMPLETED'),
    over: () => over(shop, 'EXPIRED'),
    back: async (text) => {
      try {
        const { data } = await call('GET', `/api/v1/concerts/${shop.concert}/schedules`, { token: shop.token });
        shop.schedules = data.schedules;
        if (!shop.stopped) toChoose(shop, text && { text });
        document.getElementById('choose-title')?.focus();
      } catch (error) {
        failed(shop, error);
      }
    },
  });
}
