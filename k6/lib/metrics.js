// What is counted besides k6's own. All are made here, once: k6 allows that only while scripts are loaded.
import { Counter, Rate, Trend } from 'k6/metrics';

export const entered = new Counter('entered');
export const admitted = new Counter('admitted');
export const sold = new Counter('sold');
// No ticket; the tag `code` says why.
export const refused = new Counter('refused');
export const left = new Counter('left');
export const lapsed = new Counter('lapsed');
// Somebody else was faster to the seat.
export const seatsLost = new Counter('seats_lost');
export const polls = new Counter('polls');
// Answers that the contract does not have, and answers that did not come.
export const broken = new Rate('broken');
// From the token to being let in, and from arriving to the ticket.
export const waited = new Trend('waited', true);
export const timeToTicket = new Trend('time_to_ticket', true);

// The reasons that the summary tells apart.
export const codes = [
  'SOLD_OUT',
  'SEAT_TAKEN',
  'HOLD_LIMIT',
  'TOKEN_EXPIRED',
  'RESERVATION_EXPIRED',
  'RATE_LIMITED',
  'UNAVAILABLE',
  'IMPATIENT',
  'NO_ANSWER',
];

// A submetric is in the summary only if a threshold names it: these always hold.
export function reasons() {
  const thresholds = {};
  for (const code of codes) thresholds[`refused{code:${code}}`] = ['count>=0'];
  return thresholds;
}

// Nothing counted is not the same as nothing to count: from setup(), so that a run that sells nothing fails on it.
export function zero() {
  for (const counter of [entered, admitted, sold, refused, left, lapsed, seatsLost, polls]) counter.add(0);
}
