// A ticket, as it is shown after paying and among one's own, and as it comes out of a printer.

import { el } from './site.js';
import { date, t, won } from './words.js';

// `seat` has section, row, seatNumber, date, amount and paymentHistoryId; `more` is put at its end.
export function ticket(title, seat, ...more) {
  const fact = (name, value) => el('div', {}, el('dt', {}, t(name)), el('dd', {}, value));
  return el('article', { class: 'ticket', 'aria-label': t('shop.ticketFor', { title }) },
    el('header', {}, el('h3', {}, title), el('p', {}, el('time', { datetime: seat.date }, date(seat.date)))),
    el('dl', {},
      fact('shop.section', seat.section),
      fact('shop.row', seat.row),
      fact('shop.number', String(seat.seatNumber)),
      fact('shop.price', won(seat.amount)),
      fact('shop.ticketNumber', String(seat.paymentHistoryId))),
    ...more);
}

// Seats in the order in which they stand in the hall.
const order = new Intl.Collator(undefined, { numeric: true });
export const bySeat = (one, other) =>
  order.compare(one.section, other.section) || order.compare(one.row, other.row) || one.seatNumber - other.seatNumber;

export const print = () => el('button', { type: 'button', class: 'button screen', onclick: () => window.print() }, t('shop.print'));
