// One visitor after another buys a ticket, by the documented calls.
//   k6 run -e BASE=http://127.0.0.1:8080 -e RATE=20 -e DURATION=30s k6/journey.js
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import exec from 'k6/execution';

const base = __ENV.BASE || 'http://127.0.0.1:8080';

const sold = new Counter('sold');
const refused = new Counter('refused');
const waited = new Trend('waited', true);

export const options = {
  scenarios: {
    // An open model: visitors arrive at their own rate, whether the server keeps up or not.
    visitors: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE || 20),
      timeUnit: '1s',
      duration: __ENV.DURATION || '30s',
      preAllocatedVUs: 200,
    },
  },
  thresholds: {
    'http_req_failed{expected:yes}': ['rate<0.01'],
    'http_req_duration{call:token}': ['p(99)<500'],
  },
};

const json = { 'Content-Type': 'application/json' };

function call(method, path, body, headers, name) {
  return http.request(method, base + path, body, { headers, tags: { call: name } });
}

// Asks until it is this token's turn; false if the wait takes more than a minute.
function awaitTurn(token) {
  const entered = Date.now();
  while (Date.now() - entered < 60000) {
    const rank = call('GET', '/api/v1/queues/token/rank', null, { token }, 'rank').json('data');
    if (rank && rank.status === 'ACTIVE') {
      waited.add(Date.now() - entered);
      return true;
    }
    sleep(rank ? rank.pollAfterMillis / 1000 : 1);
  }
  return false;
}

export default function visitor() {
  const user = String(1 + exec.scenario.iterationInTest);
  const entered = call('POST', '/api/v1/queues/token', null, { userId: user }, 'token');
  if (!check(entered, { 'has a token': (r) => r.status === 200 })) return;
  const token = entered.json('data.token');
  if (!awaitTurn(token)) return;

  const concert = 1 + (exec.scenario.iterationInTest % 10);
  const schedules = call('GET', `/api/v1/concerts/${concert}/schedules`, null, { token }, 'schedules').json('data.schedules');
  if (!schedules || schedules.length === 0) return refused.add(1, { code: 'SOLD_OUT' });
  const schedule = schedules[Math.floor(Math.random() * schedules.length)].concertScheduleId;
  const seats = call('GET', `/api/v1/concerts/schedules/${schedule}/seats`, null, { token }, 'seats').json('data.seats');
  if (!seats || seats.length === 0) return refused.add(1, { code: 'SOLD_OUT' });
  const seat = seats[Math.floor(Math.random() * seats.length)].concertSeatId;

  const hold = JSON.stringify({ concertScheduleId: schedule, concertSeatId: seat });
  const held = call('POST', '/api/v1/reservations/concert', hold, { ...json, token }, 'hold');
  if (held.status !== 200) return refused.add(1, { code: held.json('error.code') });

  call('PATCH', '/api/v1/user-wallets/balance', JSON.stringify({ amount: 200000 }), { ...json, userId: user }, 'charge');
  const pay = JSON.stringify({ concertReservationId: held.json('data.reservationId') });
  const paid = call('POST', '/api/v1/payment/concert', pay, { ...json, token }, 'payment');
  if (check(paid, { 'has a ticket': (r) => r.status === 200 })) sold.add(1);
}
