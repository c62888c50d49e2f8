// The documented calls. Each answers { status, data, code, after }: data of a success, else the error's code and, where
// trying again helps, the seconds to wait before it.
import http from 'k6/http';
import { sleep } from 'k6';
import { base } from './settings.js';
import { broken } from './metrics.js';

// How often a call is made before its answer is taken for the answer.
const ATTEMPTS = 8;

// Refusals are part of a sale. What fails is 5xx, but for 503, which says when to come again, and no answer at all.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 499 }, 503));

function heard(response) {
  let body = null;
  try {
    body = JSON.parse(response.body);
  } catch (_) {
    // Told below.
  }
  const success = response.status === 200 && body !== null && body.result === 'SUCCESS';
  const failure = response.status >= 400 && body !== null && body.result === 'ERROR' && body.error !== null;
  const notModified = response.status === 304;
  broken.add(!success && !failure && !notModified);
  if (success) return { status: 200, data: body.data, code: null, after: null };
  if (notModified) return { status: 304, data: null, code: null, after: null };
  const code = failure ? body.error.code : 'NO_ANSWER';
  const after = response.headers['Retry-After'];
  if (after !== undefined) return { status: response.status, data: null, code, after: Number(after) };
  return { status: response.status, data: null, code, after: response.status === 0 ? 1 : null };
}

// `name` tags the request, so that its times can be told from the others'.
function call(name, method, path, body, headers) {
  const params = { headers, tags: { call: name, name } };
  let answer = heard(http.request(method, base + path, body, params));
  for (let attempt = 1; attempt < ATTEMPTS && answer.after !== null; attempt++) {
    sleep(Math.min(answer.after, 10) * (1 + Math.random() / 2));
    answer = heard(http.request(method, base + path, body, params));
  }
  return answer;
}

const json = (headers) => Object.assign({ 'Content-Type': 'application/json' }, headers);

export const programme = () => call('programme', 'GET', '/api/v1/concerts?size=100', null, {});

export function enter(user, concert) {
  const form = concert ? { concertId: String(concert) } : null;
  return call('token', 'POST', '/api/v1/queues/token', form, { userId: String(user) });
}

export const rank = (token) => call('rank', 'GET', '/api/v1/queues/token/rank', null, { token });

export const leave = (token) => call('leave', 'DELETE', '/api/v1/queues/token', null, { token });

export const schedules = (token, concert) =>
  call('schedules', 'GET', `/api/v1/concerts/${concert}/schedules`, null, { token });

export const seats = (token, schedule) =>
  call('seats', 'GET', `/api/v1/concerts/schedules/${schedule}/seats`, null, { token });

export function hold(token, schedule, seat) {
  const body = JSON.stringify({ concertScheduleId: schedule, concertSeatId: seat });
  return call('hold', 'POST', '/api/v1/reservations/concert', body, json({ token }));
}

export const giveUp = (token, reservation) =>
  call('give-up', 'DELETE', `/api/v1/reservations/${reservation}`, null, { token });

// Tried again it might charge twice, but for the key.
export function charge(user, amount) {
  const headers = json({ userId: String(user), 'Idempotency-Key': `k6-${user}-${amount}-${Date.now()}` });
  return call('charge', 'PATCH', '/api/v1/user-wallets/balance', JSON.stringify({ amount }), headers);
}

export function pay(token, reservation) {
  return call('payment', 'POST', '/api/v1/payment/concert', JSON.stringify({ concertReservationId: reservation }), json({ token }));
}

export const refund = (user, payment) =>
  call('refund', 'POST', `/api/v1/payments/${payment}/refund`, null, { userId: String(user) });
