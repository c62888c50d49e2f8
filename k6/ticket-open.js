// Everybody comes in the first seconds: they wait at the pace that the server asks for, choose, hold and pay; some leave the
// queue, some let their hold lapse.
import exec from 'k6/execution';
import { reasons } from './lib/metrics.js';
import { summaryTrendStats, whole } from './lib/settings.js';
import { summary, timed } from './lib/summary.js';
import { stage, visit } from './lib/visitor.js';

const people = whole('PEOPLE', 1000, 1);
const seconds = whole('SECONDS', 5, 1);
const patience = whole('PATIENCE', 600, 1);
// Of 100.
const leave = whole('LEAVE', 5, 0);
const lapse = whole('LAPSE', 5, 0);

export const options = {
  scenarios: {
    opening: {
      executor: 'constant-arrival-rate',
      rate: people,
      timeUnit: `${seconds}s`,
      duration: `${seconds}s`,
      // Whoever waits takes a VU.
      preAllocatedVUs: people,
      gracefulStop: `${patience + 60}s`,
    },
  },
  setupTimeout: '120s',
  summaryTrendStats,
  thresholds: Object.assign(reasons(), timed({ token: 2000, rank: 2000, hold: 2000, payment: 2000 }), {
    broken: ['rate==0'],
    dropped_iterations: ['count==0'],
    sold: ['count>0'],
    'refused{code:NO_ANSWER}': ['count==0'],
    'refused{code:UNAVAILABLE}': ['count==0'],
  }),
};

export const setup = stage;

const happens = (percent) => Math.random() * 100 < percent;

export default function (staged) {
  const manner = { patience, leaves: happens(leave), lapses: happens(lapse) };
  visit(staged.firstUser + exec.scenario.iterationInTest, staged, manner);
}

export function handleSummary(data) {
  return summary(`ticket-open: ${people} people within ${seconds} s`, data);
}
