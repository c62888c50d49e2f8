// Paying for what is held: how long it is kept, what is missing in the wallet, and one tap for each. Charging and paying are each
// sent under a key that is kept until it is answered, so that neither a lost answer nor a reload takes anything twice.

import { call } from './api.js';
import { el, speak } from './site.js';
import { bySeat, print, ticket } from './ticket.js';
import { date, t, timer, won } from './words.js';

// The most that one charge can be.
const LARGEST_CHARGE = 100_000_000;

// Until the end of the hold, only these are spoken, in seconds.
const SPOKEN = [60, 10];

// `held` are reservations of the token's user; `done()` is called when they are paid, `over()` when the token has ended before,
// `back(why)` to choose again. Returns a function that ends it.
export function pay(root, { token, held, done, over, back }) {
  held.sort(bySeat);
  const paying = { root, token, held, done, over, back, ids: held.map((one) => one.reservationId).sort((one, other) => one - other) };
  paying.total = held.reduce((sum, one) => sum + one.price, 0);
  drawn(paying);
  const end = kept(paying);
  paying.end = () => { paying.ended = true; end(); };
  wallet(paying);
  return paying.end;
}

function drawn(paying) {
  const { root, held, total } = paying;
  paying.clock = el('b', { class: 'clock', role: 'timer' });
  paying.notice = el('p', { class: 'note warn', role: 'alert', hidden: true });
  paying.balance = el('dd', {}, '…');
  paying.missing = el('div', { class: 'missing', hidden: true });
  paying.charge = el('button', { type: 'button', class: 'button main', id: 'charge', hidden: true, onclick: () => charge(paying) });
  paying.pay = el('button', { type: 'button', class: 'button main', id: 'pay', disabled: true, onclick: () => settle(paying) },
    t('shop.pay', { total: won(total) }));
  const title = el('h2', { id: 'pay-title', tabindex: '-1' }, t('shop.yours'));
  const seat = (one) => el('li', {}, el('span', {}, t('shop.seat', { section: one.section, row: one.row, number: String(one.seatNumber) })),
    el('b', {}, won(one.price)));
  root.setAttribute('aria-labelledby', 'pay-title');
  root.replaceChildren(el('div', { class: 'till' },
    title,
    el('p', { class: 'evening' }, date(held[0].date)),
    el('p', { class: 'kept' }, t('shop.kept'), ' ', paying.clock),
    el('ul', { class: 'chosen' }, ...held.map(seat)),
    el('dl', { class: 'sum' },
      el('div', { class: 'total' }, el('dt', {}, t('shop.total')), el('dd', {}, won(total))),
      el('div', {}, el('dt', {}, t('shop.balance')), paying.balance),
      paying.missing),
    paying.notice,
    el('div', { class: 'acts' }, paying.charge, paying.pay,
      el('button', { type: 'button', class: 'quiet', id: 'give-back', onclick: () => giveBack(paying) }, t('shop.giveBack')))));
  title.focus();
  root.scrollIntoView({ block: 'start' });
}

// Counts down to the end of the hold, by the server's clock; returns a function that ends it.
function kept(paying) {
  const lapses = Math.min(...paying.held.map((one) => Date.parse(one.expiresAt)));
  let before = Infinity;
  const tick = () => {
    const seconds = Math.max(0, Math.round((lapses - Date.now() - (paying.ahead || 0)) / 1000));
    paying.clock.textContent = timer(seconds);
    paying.clock.classList.toggle('soon', seconds <= 60);
    const spoken = SPOKEN.find((mark) => before > mark && seconds <= mark && seconds > mark - 5);
    if (spoken && before < Infinity) speak(t('shop.hurry', { count: seconds }), spoken === 10);
    before = seconds;
    // What is just being paid does not lapse.
    if (seconds === 0 && !paying.settling) {
      paying.end();
      paying.back(t('shop.lapsed'));
    }
  };
  const timerId = setInterval(tick, 1000);
  tick();
  document.addEventListener('visibilitychange', tick);
  return () => {
    clearInterval(timerId);
    document.removeEventListener('visibilitychange', tick);
  };
}

// Reads the balance, and offers what is possible with it.
async function wallet(paying) {
  try {
    const { data, headers } = await call('GET', '/api/v1/user-wallets/balance', { user: true });
    const said = Date.parse(headers.get('date') || '');
    // A header's second is half a second old on the average.
    if (!Number.isNaN(said)) paying.ahead = said + 500 - Date.now();
    paying.has = data.balance;
    offered(paying);
  } catch (error) {
    if (!paying.ended) told(paying, error.code === 'OFFLINE' ? 'shop.offline' : 'shop.unread');
  }
}

function offered(paying) {
  if (paying.ended) return;
  const short = paying.total - paying.has;
  paying.balance.textContent = won(paying.has);
  paying.missing.hidden = short <= 0;
  paying.missing.replaceChildren(el('dt', {}, t('shop.missing')), el('dd', {}, won(short)));
  const hadFocus = paying.root.contains(document.activeElement) && /^(charge|pay)$/.test(document.activeElement.id);
  paying.charge.hidden = short <= 0;
  paying.charge.textContent = t('shop.charge', { amount: won(Math.min(short, LARGEST_CHARGE)) });
  paying.pay.disabled = short > 0;
  if (hadFocus) (short > 0 ? paying.charge : paying.pay).focus();
}

function told(paying, name) {
  paying.notice.textContent = t(name);
  paying.notice.hidden = false;
}

// One thing at a time; the button says that it is under way.
async function underWay(paying, button, run) {
  if (paying.busy) return;
  paying.busy = true;
  button.setAttribute('aria-busy', 'true');
  paying.notice.hidden = true;
  try {
    await run();
  } finally {
    paying.busy = false;
    button.removeAttribute('aria-busy');
  }
}

function charge(paying) {
  return underWay(paying, paying.charge, async () => {
    const amount = Math.min(paying.total - paying.has, LARGEST_CHARGE);
    try {
      const intention = `charge:${paying.ids}:${amount}`;
      await call('PATCH', '/api/v1/user-wallets/balance', { user: true, body: { amount }, intention });
      speak(t('shop.charged', { amount: won(amount) }));
    } catch (error) {
      told(paying, error.code === 'OFFLINE' ? 'shop.offline' : 'shop.uncharged');
    }
    await wallet(paying);
  });
}

function settle(paying) {
  return underWay(paying, paying.pay, async () => {
    paying.settling = true;
    try {
      const { data } = await call('POST', '/api/v1/payment/concert/batch', {
        token: paying.token,
        body: { concertReservationIds: paying.ids },
        intention: `pay:${paying.ids}`,
      });
      paid(paying, new Map(data.payments.map((one) => [one.concertReservationId, one.paymentHistoryId])));
    } catch (error) {
      if (!paying.ended) await unpaid(paying, error);
    } finally {
      paying.settling = false;
    }
  });
}

async function unpaid(paying, error) {
  switch (error.code) {
    case 'INSUFFICIENT_BALANCE':
      told(paying, 'shop.short');
      return wallet(paying);
    case 'RESERVATION_EXPIRED':
    case 'RESERVATION_NOT_FOUND':
      paying.end();
      return paying.back(t('shop.lapsed'));
    case 'SEAT_TAKEN':
      paying.end();
      return paying.back(t('shop.soldAway'));
    case 'TOKEN_EXPIRED':
    case 'TOKEN_NOT_ACTIVE':
    case 'INVALID_TOKEN':
      paying.end();
      return paying.over();
    default:
      return told(paying, error.code === 'OFFLINE' ? 'shop.payOffline' : 'shop.unpaid');
  }
}

// The tickets, at once.
function paid(paying, payments) {
  paying.end();
  const name = document.querySelector('h1')?.textContent || '';
  const title = el('h2', { id: 'bought-title', tabindex: '-1' }, t('shop.thanks', { count: paying.held.length }));
  const tickets = paying.held.map((one) => ticket(name, { ...one, amount: one.price, paymentHistoryId: payments.get(one.reservationId) }));
  document.getElementById('bought')?.remove();
  const bought = el('section', { id: 'bought', 'aria-labelledby': 'bought-title' }, title, el('p', {}, t('shop.paid', { total: won(paying.total) })),
    el('div', { class: 'tickets' }, ...tickets),
    el('p', { class: 'acts screen' }, print()));
  // Beside the choosing, which is over.
  paying.root.after(bought);
  paying.done();
  title.focus();
  bought.scrollIntoView({ block: 'start' });
}

async function giveBack(paying) {
  if (paying.busy) return;
  paying.busy = true;
  try {
    for (const id of paying.ids) await call('DELETE', `/api/v1/reservations/${id}`, { token: paying.token });
  } catch {
    // What could not be given back lapses by itself.
  }
  paying.end();
  paying.back('');
}
