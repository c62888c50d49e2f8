// Plays one of k6's scripts as k6 documents it: node run.js script.js out.json. Reads options, calls setup(), starts
// iterations by the scenario's arrival rate, each VU a worker of its own that blocks on its requests and pauses, evaluates the
// thresholds, and calls handleSummary(). Whatever it does not know is an error: better that than a script that only works here.
import fs from 'node:fs';
import http from 'node:http';
import { Worker } from 'node:worker_threads';
import { Sinks } from './sinks.js';

const [script, out] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const sinks = new Sinks();
const begun = Date.now();

// One request of a VU, whose thread waits for the bytes in `shared`.
function fetch({ method, url, headers, body }, shared) {
  const flag = new Int32Array(shared, 0, 2);
  const bytes = new Uint8Array(shared, 8);
  const started = process.hrtime.bigint();
  const answer = (response) => {
    response.duration = Number(process.hrtime.bigint() - started) / 1e6;
    const encoded = Buffer.from(JSON.stringify(response));
    if (encoded.length > bytes.length) throw new Error(`an answer of ${encoded.length} bytes`);
    bytes.set(encoded);
    Atomics.store(flag, 1, encoded.length);
    Atomics.store(flag, 0, 1);
    Atomics.notify(flag, 0);
  };
  const request = http.request(url, { method, headers, agent }, (response) => {
    const parts = [];
    response.on('data', (part) => parts.push(part));
    response.on('end', () => answer({ status: response.statusCode, headers: response.rawHeaders, body: Buffer.concat(parts).toString() }));
  });
  request.on('error', () => answer({ status: 0, headers: [], body: null }));
  request.end(body === null ? undefined : body);
}

class Vu {
  constructor(id) {
    this.id = id;
    this.worker = new Worker(new URL('./vu.js', import.meta.url), { workerData: { script, id } });
    this.worker.on('message', (message) => {
      if (message.fetch) fetch(message.fetch, message.shared);
      else if (message.sample) sinks.add(message.sample);
      else if (message.done) this.settle(message.done);
    });
    this.worker.on('error', (error) => this.settle({ error: error.stack || String(error) }));
  }

  // One of: load, setup, iterate, summarize.
  ask(what) {
    return new Promise((resolve, reject) => {
      this.settle = ({ error, value }) => (error ? reject(new Error(`${script}: ${error}`)) : resolve(value));
      this.worker.postMessage(what);
    });
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function seconds(text, what) {
  const found = /^(\d+)(ms|s|m)$/.exec(text);
  if (found === null) throw new Error(`${what} is no duration: ${text}`);
  return Number(found[1]) * { ms: 0.001, s: 1, m: 60 }[found[2]];
}

function known(object, names, what) {
  for (const name of Object.keys(object)) if (!names.includes(name)) throw new Error(`${what} has no option ${name}`);
}

function wholeNumber(value, least, what) {
  if (!Number.isInteger(value) || value < least) throw new Error(`${what} is no whole number from ${least}: ${value}`);
  return value;
}

// When each iteration starts, in seconds.
function arrivals(scenario) {
  const common = ['executor', 'timeUnit', 'preAllocatedVUs', 'maxVUs', 'gracefulStop', 'exec', 'tags', 'env', 'startTime'];
  const unit = seconds(scenario.timeUnit || '1s', 'timeUnit');
  wholeNumber(scenario.preAllocatedVUs, 0, 'preAllocatedVUs');
  if (scenario.executor === 'constant-arrival-rate') {
    known(scenario, [...common, 'rate', 'duration'], scenario.executor);
    const rate = wholeNumber(scenario.rate, 1, 'rate') / unit;
    const count = Math.round(rate * seconds(scenario.duration, 'duration'));
    return Array.from({ length: count }, (_, index) => index / rate);
  }
  if (scenario.executor !== 'ramping-arrival-rate') throw new Error(`not an open model: ${scenario.executor}`);
  known(scenario, [...common, 'startRate', 'stages'], scenario.executor);
  const starts = [];
  let [at, rate, due] = [0, wholeNumber(scenario.startRate || 0, 0, 'startRate') / unit, 0];
  for (const stage of scenario.stages) {
    known(stage, ['target', 'duration'], 'a stage');
    const [target, length] = [wholeNumber(stage.target, 0, 'target') / unit, seconds(stage.duration, 'duration')];
    for (let step = 0; step < length; step += 0.01) {
      due += (rate + ((target - rate) * step) / length) * 0.01;
      if (due >= 1) {
        due -= 1;
        starts.push(at + step);
      }
    }
    [at, rate] = [at + length, target];
  }
  return starts;
}

async function play(name, scenario, vus, data) {
  const idle = vus.slice();
  const most = scenario.maxVUs || scenario.preAllocatedVUs;
  const started = Date.now();
  const running = [];
  let iteration = 0;
  for (const at of arrivals(scenario)) {
    await pause(Math.max(0, started + at * 1000 - Date.now()));
    if (idle.length === 0 && vus.length < most) {
      const vu = new Vu(vus.length + 1);
      vus.push(vu);
      await vu.ask({ load: true });
      idle.push(vu);
    }
    const vu = idle.pop();
    if (vu === undefined) {
      sinks.add({ metric: 'dropped_iterations', value: 1, tags: {} });
      continue;
    }
    const what = { iterate: { exec: scenario.exec || 'default', data, name, iteration: iteration++ } };
    const ended = vu.ask(what).then(() => {
      sinks.add({ metric: 'iterations', value: 1, tags: {} });
      idle.push(vu);
    });
    running.push(ended);
  }
  const grace = seconds(scenario.gracefulStop || '30s', 'gracefulStop') * 1000;
  const late = pause(grace).then(() => 'late');
  if ((await Promise.race([Promise.all(running), late])) === 'late') throw new Error('iterations outlasted gracefulStop');
  return iteration;
}

async function main() {
  const first = new Vu(1);
  const { options, exports, metrics } = await first.ask({ load: true });
  known(options, ['scenarios', 'setupTimeout', 'summaryTrendStats', 'thresholds'], 'options');
  for (const metric of metrics) sinks.define(metric);
  sinks.watch(options.thresholds);
  const data = exports.includes('setup') ? await first.ask({ setup: true }) : undefined;
  const [[name, scenario], ...others] = Object.entries(options.scenarios);
  if (others.length > 0) throw new Error('one scenario a script is played');
  const vus = [first];
  while (vus.length < scenario.preAllocatedVUs) vus.push(new Vu(vus.length + 1));
  await Promise.all(vus.slice(1).map((vu) => vu.ask({ load: true })));
  const iterations = await play(name, scenario, vus, data);
  const summary = sinks.summary(options, Date.now() - begun);
  const shown = exports.includes('handleSummary') ? await first.ask({ summarize: summary }) : null;
  fs.writeFileSync(out, JSON.stringify({ options, iterations, summary, shown }));
  process.exit(0);
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
