// One visitor, from its arrival to its ticket, or to the reason why it has none.
import { sleep } from 'k6';
import * as calls from './calls.js';
import * as settings from './settings.js';
import * as metrics from './metrics.js';

// How often one tries for a seat that somebody else is faster to take.
const TRIES = 50;
// Into the wallet at first, and ten times as much while it does not suffice.
const CHARGE = 200000;

// For setup(): what is sold, and to whom; the same for all visitors of the run.
export function stage() {
  metrics.zero();
  const user = settings.firstUser();
  if (settings.schedule) return { firstUser: user + 1, concert: settings.concert, schedule: settings.schedule };
  const programme = calls.programme();
  if (programme.status !== 200) throw new Error(`there is no onsale at ${settings.base}: ${programme.code}`);
  const concerts = settings.concert ? [settings.concert] : programme.data.concerts.map((concert) => concert.concertId);
  for (const concert of concerts) {
    const found = firstSchedule(user, concert);
    if (found) return { firstUser: user + 1, concert, schedule: found };
  }
  throw new Error('no schedule has a free seat: CONCERT and SCHEDULE choose one');
}

// For setup(): one seat of those that are free, for scenarios in which all want the same.
export function stageSeat(staged) {
  const issued = calls.enter(staged.firstUser, staged.concert);
  if (issued.status !== 200) throw new Error(`looking for a seat: ${issued.code}`);
  const token = issued.data.token;
  const reason = comesIn(token, { patience: 30 });
  if (reason !== null) throw new Error(`looking for a seat: ${reason}`);
  const looked = calls.seats(token, staged.schedule);
  calls.leave(token);
  if (looked.status !== 200 || looked.data.seats.length === 0) throw new Error('no seat is free');
  const seat = looked.data.seats[0].concertSeatId;
  return Object.assign({}, staged, { firstUser: staged.firstUser + 1, seat });
}

// One who enters, looks and leaves.
function firstSchedule(user, concert) {
  const issued = calls.enter(user, concert);
  if (issued.status !== 200) throw new Error(`looking for something to sell: ${issued.code}`);
  const token = issued.data.token;
  if (comesIn(token, { patience: 30 }) !== null) return 0;
  const dates = calls.schedules(token, concert);
  calls.leave(token);
  return dates.status === 200 && dates.data.schedules.length > 0 ? dates.data.schedules[0].concertScheduleId : 0;
}

// Waits at the pace that the server asks for: null once let in, else why not.
function comesIn(token, { patience, leaves }) {
  const begun = Date.now();
  while (Date.now() - begun < patience * 1000) {
    const answer = calls.rank(token);
    metrics.polls.add(1);
    if (answer.status !== 200) return answer.code;
    const { status, pollAfterMillis } = answer.data;
    if (status === 'ACTIVE') return null;
    if (status === 'SOLD_OUT') return status;
    if (status !== 'WAITING') return 'TOKEN_EXPIRED';
    // After a while, or all of them would leave on arrival.
    sleep((pollAfterMillis / 1000) * (leaves ? 2 * Math.random() : 1));
    if (leaves) return 'LEFT';
  }
  return 'IMPATIENT';
}

function takesSeat(token, staged, wanted) {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const looked = calls.seats(token, staged.schedule);
    if (looked.status !== 200) return { code: looked.code };
    const free = looked.data.seats;
    if (free.length === 0) return { code: 'SOLD_OUT' };
    const seat = wanted || free[Math.floor(Math.random() * free.length)].concertSeatId;
    const held = calls.hold(token, staged.schedule, seat);
    if (held.status === 200) return { reservation: held.data.reservationId };
    if (held.code !== 'SEAT_TAKEN') return { code: held.code };
    metrics.seatsLost.add(1);
    if (wanted) return { code: 'SEAT_TAKEN' };
  }
  return { code: 'SEAT_TAKEN' };
}

function pays(user, token, reservation) {
  let paid = { status: 0, code: 'INSUFFICIENT_BALANCE' };
  for (let amount = CHARGE; paid.code === 'INSUFFICIENT_BALANCE' && amount <= 100 * CHARGE; amount *= 10) {
    const charged = calls.charge(user, amount);
    if (charged.status !== 200) return charged;
    paid = calls.pay(token, reservation);
  }
  return paid;
}

function refuse(code) {
  metrics.refused.add(1, { code });
  return { code };
}

// Takes a place in the queue and waits for its turn: { token } or { code }.
export function enters(user, staged, { patience, leaves }) {
  const issued = calls.enter(user, staged.concert);
  if (issued.status !== 200) return refuse(issued.code);
  metrics.entered.add(1);
  const begun = Date.now();
  const token = issued.data.token;
  const reason = comesIn(token, { patience, leaves });
  if (reason === null) {
    metrics.admitted.add(1);
    metrics.waited.add(Date.now() - begun);
    return { token };
  }
  // Whoever does not wait any longer holds nobody up.
  if (reason !== 'TOKEN_EXPIRED') calls.leave(token);
  if (reason !== 'LEFT') return refuse(reason);
  metrics.left.add(1);
  return { code: reason };
}

// Comes, asks for its place as often as it is told to, for so many seconds, and goes without buying. Whoever is let in stays,
// so that the others go on waiting.
export function watches(user, staged, seconds) {
  const until = Date.now() + seconds * 1000;
  const issued = calls.enter(user, staged.concert);
  if (issued.status !== 200) return refuse(issued.code);
  metrics.entered.add(1);
  const begun = Date.now();
  const token = issued.data.token;
  let isIn = false;
  for (let now = begun; now < until; now = Date.now()) {
    const answer = calls.rank(token);
    metrics.polls.add(1);
    if (answer.status !== 200) return refuse(answer.code);
    if (answer.data.status === 'ACTIVE' && !isIn) {
      isIn = true;
      metrics.admitted.add(1);
      metrics.waited.add(Date.now() - begun);
    }
    sleep(Math.max(0, Math.min(answer.data.pollAfterMillis, until - Date.now())) / 1000);
  }
  calls.leave(token);
  metrics.left.add(1);
  return { code: 'LEFT' };
}

// A whole visit. `manner`: how many seconds of patience; whether it leaves while waiting, lets its hold lapse, or gives back
// what it bought. The one seat that all want is staged.
export function visit(user, staged, manner) {
  const begun = Date.now();
  const { token, code } = enters(user, staged, manner);
  if (code) return code;
  const { reservation, code: untaken } = takesSeat(token, staged, staged.seat);
  if (untaken) {
    // Whoever has nothing to wait for makes room.
    calls.leave(token);
    return refuse(untaken).code;
  }
  if (manner.lapses) {
    metrics.lapsed.add(1);
    return 'LAPSED';
  }
  const paid = pays(user, token, reservation);
  if (paid.status !== 200) return refuse(paid.code).code;
  metrics.sold.add(1);
  metrics.timeToTicket.add(Date.now() - begun);
  if (manner.givesBack) {
    const back = calls.refund(user, paid.data.paymentHistoryId);
    if (back.status !== 200) return refuse(back.code).code;
  }
  return 'SOLD';
}
