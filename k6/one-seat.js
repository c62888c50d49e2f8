// All want the same seat at the same time, and exactly one gets it.
import exec from 'k6/execution';
import { reasons } from './lib/metrics.js';
import { summaryTrendStats, whole } from './lib/settings.js';
import { summary, timed } from './lib/summary.js';
import { stage, stageSeat, visit } from './lib/visitor.js';

const people = whole('PEOPLE', 200, 2);
const patience = whole('PATIENCE', 120, 1);

export const options = {
  scenarios: {
    'one-seat': {
      executor: 'constant-arrival-rate',
      rate: people,
      timeUnit: '1s',
      duration: '1s',
      preAllocatedVUs: people,
      gracefulStop: `${patience + 60}s`,
    },
  },
  setupTimeout: '120s',
  summaryTrendStats,
  thresholds: Object.assign(reasons(), timed({ hold: 2000, payment: 2000 }), {
    broken: ['rate==0'],
    dropped_iterations: ['count==0'],
    sold: ['count==1'],
    'refused{code:SEAT_TAKEN}': ['count>0'],
  }),
};

export function setup() {
  return stageSeat(stage());
}

export default function (staged) {
  visit(staged.firstUser + exec.scenario.iterationInTest, staged, { patience });
}

export function handleSummary(data) {
  return summary(`one-seat: ${people} people for one seat`, data);
}
