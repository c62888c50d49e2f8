// The end of a run, for a person: plain text, made here. JSON=file writes all that k6 knows beside it.
import { codes } from './metrics.js';

const rows = [
  ['came', 'entered'],
  ['admitted', 'admitted'],
  ['sold', 'sold'],
  ['left the queue', 'left'],
  ['let a hold lapse', 'lapsed'],
  ['refused', 'refused'],
];

const times = [
  ['waiting for the turn', 'waited'],
  ['time to ticket', 'time_to_ticket'],
  ['entering', 'http_req_duration{call:token}'],
  ['poll', 'http_req_duration{call:rank}'],
  ['seats', 'http_req_duration{call:seats}'],
  ['hold', 'http_req_duration{call:hold}'],
  ['charge', 'http_req_duration{call:charge}'],
  ['payment', 'http_req_duration{call:payment}'],
];

const right = (text, width) => String(text).padStart(width);
const ms = (value) => (value === undefined || value === null ? '-' : value.toFixed(1));

function values(data, name) {
  const metric = data.metrics[name];
  return metric === undefined ? {} : metric.values;
}

function counts(data) {
  const lines = [];
  for (const [label, name] of rows) lines.push(label.padEnd(28) + right(values(data, name).count || 0, 10));
  for (const code of codes) {
    const count = values(data, `refused{code:${code}}`).count;
    if (count > 0) lines.push(`  ${code}`.padEnd(28) + right(count, 10));
  }
  lines.push('lost a seat to another'.padEnd(28) + right(values(data, 'seats_lost').count || 0, 10));
  const dropped = values(data, 'dropped_iterations').count || 0;
  if (dropped > 0) lines.push('did not come: too few VUs'.padEnd(28) + right(dropped, 10));
  return lines;
}

function table(data) {
  const lines = ['milliseconds'.padEnd(28) + right('count', 10) + right('p50', 12) + right('p99', 12) + right('longest', 12)];
  for (const [label, name] of times) {
    const of = values(data, name);
    if (!of.count) continue;
    lines.push(label.padEnd(28) + right(of.count, 10) + right(ms(of.med), 12) + right(ms(of['p(99)']), 12) + right(ms(of.max), 12));
  }
  return lines;
}

function verdicts(data) {
  const lines = [];
  for (const name of Object.keys(data.metrics).sort()) {
    const thresholds = data.metrics[name].thresholds || {};
    for (const text of Object.keys(thresholds)) {
      // Those that only make k6 count something apart.
      if (text === 'count>=0' || text === 'max>=0') continue;
      lines.push(`${thresholds[text].ok ? 'holds ' : 'BROKEN'}  ${name}: ${text}`);
    }
  }
  return lines;
}

export function summary(title, data) {
  const requests = values(data, 'http_reqs');
  const seconds = data.state.testRunDurationMs / 1000;
  const rate = `${requests.count || 0} requests in ${seconds.toFixed(1)} s: ${(requests.rate || 0).toFixed(0)} a second`;
  const parts = [[title], counts(data), table(data), [rate], verdicts(data)];
  const shown = { stdout: `\n${parts.map((lines) => lines.join('\n')).join('\n\n')}\n` };
  if (__ENV.JSON) shown[__ENV.JSON] = JSON.stringify(data, null, 2);
  return shown;
}

// For the thresholds: the times of each call that the table shows, and that are within `limits` where those name them.
export function timed(limits) {
  const thresholds = {};
  for (const [, name] of times) {
    const call = /\{call:(.*)\}/.exec(name);
    const limit = call === null ? undefined : limits[call[1]];
    if (call !== null) thresholds[name] = [limit === undefined ? 'max>=0' : `p(99)<${limit}`];
  }
  return thresholds;
}
