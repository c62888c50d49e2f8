// What k6 makes of samples: metrics and submetrics with their values, and thresholds.

const BUILT_IN = {
  http_reqs: ['counter', 'default'],
  http_req_failed: ['rate', 'default'],
  http_req_duration: ['trend', 'time'],
  iterations: ['counter', 'default'],
  dropped_iterations: ['counter', 'default'],
  checks: ['rate', 'default'],
};

function percentile(sorted, percent) {
  if (sorted.length === 0) return 0;
  const at = (percent / 100) * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

class Sink {
  constructor(type, contains) {
    Object.assign(this, { type, contains, values: [] });
  }

  // One number by its name.
  stat(name, seconds) {
    const { values } = this;
    const sum = values.reduce((total, value) => total + value, 0);
    const percent = /^p\((\d+(?:\.\d+)?)\)$/.exec(name);
    const sorted = () => values.slice().sort((a, b) => a - b);
    const all = {
      counter: { count: () => sum, rate: () => sum / seconds },
      rate: { rate: () => (values.length === 0 ? 0 : sum / values.length) },
      trend: {
        count: () => values.length,
        avg: () => (values.length === 0 ? 0 : sum / values.length),
        min: () => percentile(sorted(), 0),
        med: () => percentile(sorted(), 50),
        max: () => percentile(sorted(), 100),
      },
    }[this.type];
    if (this.type === 'trend' && percent !== null) return percentile(sorted(), Number(percent[1]));
    if (all[name] === undefined) throw new Error(`a ${this.type} has no ${name}`);
    return all[name]();
  }

  shown(trendStats, seconds) {
    if (this.type === 'rate') {
      const passes = this.values.filter((value) => value !== 0).length;
      return { rate: this.stat('rate', seconds), passes, fails: this.values.length - passes };
    }
    const names = this.type === 'trend' ? trendStats : ['count', 'rate'];
    return Object.fromEntries(names.map((name) => [name, this.stat(name, seconds)]));
  }
}

export class Sinks {
  constructor() {
    this.metrics = {};
    this.submetrics = {};
    for (const [name, [type, contains]] of Object.entries(BUILT_IN)) this.metrics[name] = new Sink(type, contains);
  }

  define({ name, type, contains }) {
    if (!/^[a-zA-Z_][a-zA-Z0-9_]{1,128}$/.test(name)) throw new Error(`no name for a metric: ${name}`);
    if (this.metrics[name] !== undefined) throw new Error(`metric ${name} exists`);
    this.metrics[name] = new Sink(type, contains);
  }

  // The metrics that thresholds name must exist; submetrics are counted from here on.
  watch(thresholds) {
    for (const name of Object.keys(thresholds)) {
      const [, metric, tags] = /^(\w+)(?:\{(.+)\})?$/.exec(name) || [];
      const of = this.metrics[metric];
      if (of === undefined) throw new Error(`metric '${name}' does not exist in the script`);
      if (tags === undefined) continue;
      const wanted = tags.split(',').map((tag) => tag.split(':'));
      for (const pair of wanted) if (pair.length !== 2) throw new Error(`not key:value: ${name}`);
      this.submetrics[name] = { metric, wanted, sink: new Sink(of.type, of.contains) };
    }
  }

  add({ metric, value, tags }) {
    if (this.metrics[metric] === undefined) throw new Error(`no metric ${metric}`);
    this.metrics[metric].values.push(value);
    for (const sub of Object.values(this.submetrics)) {
      if (sub.metric === metric && sub.wanted.every(([key, wanted]) => tags[key] === wanted)) sub.sink.values.push(value);
    }
  }

  summary(options, testRunDurationMs) {
    const seconds = testRunDurationMs / 1000;
    const metrics = {};
    const show = (name, sink) => {
      const thresholds = options.thresholds[name];
      // Without a sample only what a threshold names is shown.
      if (sink.values.length === 0 && thresholds === undefined) return;
      metrics[name] = { type: sink.type, contains: sink.contains, values: sink.shown(options.summaryTrendStats, seconds) };
      if (thresholds === undefined) return;
      metrics[name].thresholds = Object.fromEntries(
        thresholds.map((text) => {
          const parts = /^\s*([a-z]+(?:\(\d+(?:\.\d+)?\))?)\s*(<=|>=|<|>|===|==|!=)\s*(-?\d+(?:\.\d+)?)\s*$/.exec(text);
          if (parts === null) throw new Error(`no threshold: ${text}`);
          const [, stat, operator, number] = parts;
          const [is, limit] = [sink.stat(stat, seconds), Number(number)];
          const holds = { '<': is < limit, '>': is > limit, '<=': is <= limit, '>=': is >= limit, '==': is === limit, '===': is === limit, '!=': is !== limit };
          return [text, { ok: holds[operator] }];
        }),
      );
    };
    for (const [name, sink] of Object.entries(this.metrics)) show(name, sink);
    for (const [name, { sink }] of Object.entries(this.submetrics)) show(name, sink);
    const root_group = { name: '', path: '', groups: [], checks: [] };
    return { root_group, options: { summaryTrendStats: options.summaryTrendStats }, state: { testRunDurationMs }, metrics };
  }
}
