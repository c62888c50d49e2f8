// One VU: loads the script in a thread of its own and does as it is asked.
import { parentPort, workerData } from 'node:worker_threads';
import { pathToFileURL } from 'node:url';

globalThis.__ENV = Object.assign({}, process.env);
globalThis.__VU = workerData.id;
globalThis.onsaleVu = { init: true, metrics: [], scenario: null };

const load = import(pathToFileURL(workerData.script).href);

// Whatever crosses between VUs in k6 does so as JSON.
const copy = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

async function act(what) {
  const script = await load;
  if (what.load) {
    globalThis.onsaleVu.init = false;
    return { options: copy(script.options), exports: Object.keys(script), metrics: globalThis.onsaleVu.metrics };
  }
  if (what.setup) return copy(script.setup());
  if (what.summarize) return script.handleSummary(what.summarize);
  const { exec, data, name, iteration } = what.iterate;
  globalThis.onsaleVu.scenario = { name, iterationInTest: iteration, iterationInInstance: iteration };
  script[exec](data);
  return null;
}

parentPort.on('message', (what) => {
  act(what)
    .then((value) => parentPort.postMessage({ done: { value } }))
    .catch((error) => parentPort.postMessage({ done: { error: error.stack || String(error) } }));
});
