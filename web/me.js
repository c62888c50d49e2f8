// One's own: tickets, the wallet with its ledger, what is held, and what was paid, which can be given back.

import { call, stored } from './api.js';
import { el, speak } from './site.js';
import { bySeat, print, ticket } from './ticket.js';
import { date, dateTime, learn, t, time, won } from './words.js';

const LARGEST_CHARGE = 100_000_000;
const PAGE = 10;

const root = document.getElementById('me');
const titles = new Map();
const parts = {};

root.setAttribute('aria-busy', 'true');
start().catch(() => {
  root.replaceChildren(el('p', { class: 'note warn', role: 'alert' }, t('shop.failed'), ' ',
    el('button', { type: 'button', class: 'button', onclick: () => location.reload() }, t('shop.again'))));
}).finally(() => root.removeAttribute('aria-busy'));

async function start() {
  await Promise.all([learn('shop'), named()]);
  const part = (id, ...inside) => (parts[id] = el('section', { id, 'aria-labelledby': `${id}-title` },
    el('h2', { id: `${id}-title` }, t(`shop.my.${id}`)), ...inside));
  parts.tickets = el('div', { class: 'tickets' });
  parts.balance = el('p', { class: 'balance' });
  parts.ledger = listed('ledger', ['when', 'what', 'amount', 'after'], '/api/v1/user-wallets/transactions', 'transactions', entry);
  parts.held = el('ul', { class: 'kept-list' });
  parts.history = listed('payments', ['when', 'what', 'amount', 'state'], '/api/v1/payments', 'payments', payment);
  root.replaceChildren(
    part('mine', parts.tickets),
    part('wallet', parts.balance, charging(), el('h3', {}, t('shop.my.ledger')), parts.ledger.element),
    part('reservations', parts.held),
    part('payments', parts.history.element),
    dialog());
  await Promise.all([balance(), parts.ledger.renew(), parts.history.renew(), tickets(), held()]);
}

// What the concerts are called.
async function named() {
  for (let page = 1; ; page += 1) {
    const { data } = await call('GET', `/api/v1/concerts?page=${page}&size=100`);
    for (const concert of data.concerts) titles.set(concert.concertId, concert.title);
    if (page * 100 >= data.total) return;
  }
}

const called = (id) => titles.get(id) || t('shop.my.concert', { id: String(id) });
const seatOf = (one) => t('shop.seat', { section: one.section, row: one.row, number: String(one.seatNumber) });

// A list of which more is read page by page; `renew()` reads it from its beginning.
function listed(id, heads, path, name, row) {
  const body = el('tbody');
  const more = el('button', { type: 'button', class: 'quiet', hidden: true }, t('shop.my.more'));
  const nothing = el('p', { hidden: true }, t(`shop.my.no.${id}`));
  const table = el('table', { 'aria-labelledby': id === 'payments' ? 'payments-title' : null, 'aria-label': id === 'ledger' ? t('shop.my.ledger') : null },
    el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { scope: 'col' }, t(`shop.my.${head}`))))), body);
  let cursor = null;
  const read = async () => {
    const { data } = await call('GET', `${path}?size=${PAGE}${cursor ? `&cursor=${cursor}` : ''}`, { user: true });
    const rows = data[name].map(row);
    if (cursor) body.append(...rows); else body.replaceChildren(...rows);
    cursor = data.nextCursor;
    more.hidden = !cursor;
    nothing.hidden = body.rows.length > 0;
    table.hidden = !nothing.hidden;
    return rows;
  };
  more.addEventListener('click', async () => {
    const [first] = await read();
    first?.querySelector('td, th')?.scrollIntoView({ block: 'nearest' });
  });
  return { element: el('div', { class: 'listed' }, table, nothing, more), renew: () => { cursor = null; return read(); } };
}

// A cell; its column's name is said in it where the columns stand under one another.
const cell = (head, ...inside) => el('td', { data: { head: t(`shop.my.${head}`) } }, ...inside);

function entry(one) {
  const what = { CHARGE: 'shop.my.charge', PAYMENT: 'shop.my.payment', REFUND: 'shop.my.refund' }[one.type];
  const about = one.paymentHistoryId ? ` · ${t('shop.ticketNumber')} ${one.paymentHistoryId}` : '';
  return el('tr', {},
    cell('when', el('time', { datetime: one.createdAt }, dateTime(one.createdAt))),
    cell('what', t(what) + about),
    cell('amount', el('span', { class: one.amount < 0 ? 'out' : 'in' }, `${one.amount > 0 ? '+' : ''}${won(one.amount)}`)),
    cell('after', won(one.balanceAfter)));
}

function payment(one) {
  const state = one.status === 'REFUNDED'
    ? [t('shop.my.refunded'), ' ', el('time', { datetime: one.refundedAt }, dateTime(one.refundedAt))]
    : [t('shop.my.paid'), ' ', el('button', { type: 'button', class: 'quiet', data: { refund: one.paymentHistoryId }, onclick: () => ask(one),
      'aria-label': `${t('shop.my.giveBack')}: ${called(one.concertId)}, ${seatOf(one)}` }, t('shop.my.giveBack'))];
  return el('tr', {},
    cell('when', el('time', { datetime: one.paidAt }, dateTime(one.paidAt))),
    cell('what', called(one.concertId), el('br'), el('small', {}, `${date(one.date)} · ${seatOf(one)}`)),
    cell('amount', won(one.amount)),
    cell('state', ...state));
}

async function balance() {
  const { data } = await call('GET', '/api/v1/user-wallets/balance', { user: true });
  parts.balance.replaceChildren(el('b', {}, won(data.balance)));
}

// A form to put money into the wallet. One intention until it is answered: sending it again after a lost answer adds nothing.
function charging() {
  const amount = el('input', { id: 'amount', name: 'amount', inputmode: 'numeric', pattern: '[0-9]*', autocomplete: 'off', required: true, value: '100000' });
  const said = el('p', { class: 'note warn', role: 'alert', hidden: true });
  const send = el('button', { class: 'button' }, t('shop.my.put'));
  const form = el('form', { class: 'charging' }, el('label', { for: 'amount' }, t('shop.my.amount')), amount, send, said);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const won_ = Number(amount.value.replace(/[^0-9]/g, ''));
    said.hidden = won_ >= 1 && won_ <= LARGEST_CHARGE;
    said.textContent = t('shop.my.range');
    if (!said.hidden || send.disabled) return;
    send.disabled = true;
    try {
      await call('PATCH', '/api/v1/user-wallets/balance', { user: true, body: { amount: won_ }, intention: `charge:wallet:${won_}` });
      speak(t('shop.charged', { amount: won(won_) }));
    } catch (error) {
      said.textContent = t(error.code === 'OFFLINE' ? 'shop.offline' : 'shop.uncharged');
      said.hidden = false;
    }
    send.disabled = false;
    await Promise.all([balance(), parts.ledger.renew()]).catch(() => {});
  });
  return form;
}

// Every ticket that stands, of evenings to come, the next one first.
async function tickets() {
  const all = [];
  const today = new Date().toLocaleDateString('sv');
  let cursor = '';
  do {
    const { data } = await call('GET', `/api/v1/payments?size=100${cursor && `&cursor=${cursor}`}`, { user: true });
    all.push(...data.payments.filter((one) => one.status === 'PAID' && one.date >= today));
    cursor = data.nextCursor;
  } while (cursor);
  all.sort((one, other) => one.date.localeCompare(other.date) || one.concertId - other.concertId || bySeat(one, other));
  parts.tickets.replaceChildren(...all.map((one) => ticket(called(one.concertId), one)),
    all.length ? el('p', { class: 'acts screen' }, print()) : el('p', {}, t('shop.my.no.tickets'), ' ', el('a', { href: '/' }, t('shop.my.programme'))));
}

// What is held, in any queue whose token this browser keeps.
async function held() {
  const own = new Map();
  for (const token of tokens()) {
    try {
      const { data } = await call('GET', '/api/v1/reservations', { token, once: true });
      for (const one of data.reservations) if (/HELD|PAYING/.test(one.status)) own.set(one.reservationId, one);
    } catch {
      // A token of another time.
    }
  }
  const line = (one) => el('li', {}, el('a', { href: `/concerts/${one.concertId}` }, called(one.concertId)),
    el('span', {}, `${date(one.date)} · ${seatOf(one)} · ${won(one.price)}`),
    el('small', {}, t('shop.my.until', { time: time(one.expiresAt) })));
  const all = [...own.values()].sort((one, other) => one.concertScheduleId - other.concertScheduleId || bySeat(one, other));
  parts.held.replaceChildren(...all.map(line));
  if (!own.size) parts.held.replaceWith(parts.held = el('p', {}, t('shop.my.no.held')));
}

function tokens() {
  try {
    return Object.keys(localStorage).filter((name) => name.startsWith('onsale.token.')).map(stored);
  } catch {
    return [];
  }
}

// Giving back is asked once more, as it cannot be taken back: somebody else may have the seat in the next moment.
function dialog() {
  parts.about = el('p', { id: 'refund-about' });
  parts.sure = el('button', { value: 'yes', class: 'button main', id: 'refund-yes' }, t('shop.my.sure'));
  parts.dialog = el('dialog', { 'aria-labelledby': 'refund-title', 'aria-describedby': 'refund-about' },
    el('form', { method: 'dialog' }, el('h2', { id: 'refund-title' }, t('shop.my.giveBack')), parts.about,
      el('p', { class: 'acts' }, el('button', { value: '', class: 'button', autofocus: true }, t('shop.my.keep')), parts.sure)));
  parts.said = el('p', { class: 'note warn', role: 'alert', hidden: true });
  parts.history.element.before(parts.said);
  return parts.dialog;
}

function ask(one) {
  parts.about.textContent = t('shop.my.ask', { title: called(one.concertId), date: date(one.date), seat: seatOf(one), amount: won(one.amount) });
  parts.dialog.returnValue = '';
  parts.dialog.onclose = () => { if (parts.dialog.returnValue === 'yes') refund(one); };
  parts.dialog.showModal();
}

async function refund(one) {
  parts.said.hidden = true;
  try {
    const { data } = await call('POST', `/api/v1/payments/${one.paymentHistoryId}/refund`, { user: true });
    speak(t('shop.my.back', { amount: won(data.amount) }));
  } catch (error) {
    parts.said.textContent = t({ RESERVATION_EXPIRED: 'shop.my.late', OFFLINE: 'shop.offline' }[error.code] || 'shop.my.unrefunded');
    parts.said.hidden = false;
  }
  await Promise.all([balance(), parts.ledger.renew(), parts.history.renew(), tickets()]).catch(() => {});
}
