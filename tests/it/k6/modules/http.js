// The module `k6/http`: requests block, as k6's do; the main thread makes them.
import { parentPort } from 'node:worker_threads';

const shared = new SharedArrayBuffer(1 << 22);
const flag = new Int32Array(shared, 0, 2);

let expected = (status) => status >= 200 && status < 400;

function expectedStatuses(...statuses) {
  for (const status of statuses) {
    const fine = Number.isInteger(status) || (Number.isInteger(status.min) && Number.isInteger(status.max));
    if (!fine) throw new Error(`expectedStatuses(${JSON.stringify(status)})`);
  }
  return (got) => statuses.some((status) => got === status || (got >= status.min && got <= status.max));
}

function setResponseCallback(callback) {
  expected = callback;
}

// Go's way to write a header's name.
const canonical = (name) => name.toLowerCase().replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());

function request(method, url, body, params) {
  if (globalThis.onsaleVu.init) throw new Error('making http requests in the init context is not supported');
  for (const key of Object.keys(params)) {
    if (!['headers', 'tags', 'timeout', 'responseCallback', 'redirects'].includes(key)) throw new Error(`no such param: ${key}`);
  }
  const headers = Object.assign({ 'User-Agent': 'k6' }, params.headers);
  for (const [name, value] of Object.entries(headers)) if (typeof value !== 'string') throw new Error(`${name}: ${value}`);
  let sent = body === undefined ? null : body;
  if (sent !== null && typeof sent === 'object') {
    sent = new URLSearchParams(sent).toString();
    headers['Content-Type'] = headers['Content-Type'] || 'application/x-www-form-urlencoded';
  }
  if (sent !== null) headers['Content-Length'] = String(Buffer.byteLength(sent));
  else if (method === 'POST' || method === 'PATCH') headers['Content-Length'] = '0';
  Atomics.store(flag, 0, 0);
  parentPort.postMessage({ fetch: { method, url, headers, body: sent }, shared });
  Atomics.wait(flag, 0, 0);
  // Through a copy: decoders do not read shared memory.
  const answer = JSON.parse(new TextDecoder().decode(new Uint8Array(shared, 8, flag[1]).slice()));
  const got = {};
  for (let index = 0; index < answer.headers.length; index += 2) got[canonical(answer.headers[index])] = answer.headers[index + 1];
  const tags = Object.assign({ expected_response: String(expected(answer.status)) }, params.tags);
  const sample = (metric, value) => parentPort.postMessage({ sample: { metric, value, tags } });
  sample('http_reqs', 1);
  sample('http_req_duration', answer.duration);
  sample('http_req_failed', expected(answer.status) ? 0 : 1);
  return { status: answer.status, headers: got, body: answer.body, timings: { duration: answer.duration } };
}

export default { request, expectedStatuses, setResponseCallback };
