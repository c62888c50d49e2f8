// Some visitors buy a ticket each and give it back: does all of it work? Can be repeated for ever.
import exec from 'k6/execution';
import { reasons } from './lib/metrics.js';
import { summaryTrendStats, whole } from './lib/settings.js';
import { summary, timed } from './lib/summary.js';
import { stage, visit } from './lib/visitor.js';

const rate = whole('RATE', 2, 1);
const seconds = whole('SECONDS', 10, 1);

export const options = {
  scenarios: {
    smoke: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: `${seconds}s`,
      preAllocatedVUs: rate * 10,
      gracefulStop: '60s',
    },
  },
  setupTimeout: '120s',
  summaryTrendStats,
  thresholds: Object.assign(reasons(), timed({ token: 500, rank: 500, seats: 500, hold: 500, charge: 1000, payment: 1000 }), {
    broken: ['rate==0'],
    dropped_iterations: ['count==0'],
    sold: ['count>0'],
    refused: ['count==0'],
  }),
};

export const setup = stage;

export default function (staged) {
  visit(staged.firstUser + exec.scenario.iterationInTest, staged, { patience: 30, givesBack: true });
}

export function handleSummary(data) {
  return summary('smoke: buy and give back', data);
}
