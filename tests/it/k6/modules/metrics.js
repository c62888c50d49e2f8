// The module `k6/metrics`.
import { parentPort } from 'node:worker_threads';

class Metric {
  constructor(name, isTime, type) {
    if (!globalThis.onsaleVu.init) throw new Error('metrics must be declared in the init context');
    globalThis.onsaleVu.metrics.push({ name, type, contains: isTime ? 'time' : 'default' });
    this.name = name;
  }

  add(value, tags) {
    if (globalThis.onsaleVu.init) throw new Error('metrics cannot be added to in the init context');
    const number = typeof value === 'boolean' ? Number(value) : value;
    if (!Number.isFinite(number)) throw new Error(`${this.name}.add(${value})`);
    parentPort.postMessage({ sample: { metric: this.name, value: number, tags: tags || {} } });
  }
}

export class Counter extends Metric {
  constructor(name, isTime) {
    super(name, isTime, 'counter');
  }
}

export class Rate extends Metric {
  constructor(name, isTime) {
    super(name, isTime, 'rate');
  }
}

export class Trend extends Metric {
  constructor(name, isTime) {
    super(name, isTime, 'trend');
  }
}
