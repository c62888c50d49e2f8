// Visitors come all day at one rate, and give back what they bought, so that there is always something to sell: does it stay
// as fast, and as right, as it was?
import exec from 'k6/execution';
import { reasons } from './lib/metrics.js';
import { summaryTrendStats, whole } from './lib/settings.js';
import { summary, timed } from './lib/summary.js';
import { stage, visit } from './lib/visitor.js';

const rate = whole('RATE', 5, 1);
const seconds = whole('SECONDS', 600, 3);
const ramp = Math.max(1, Math.floor(seconds / 20));

export const options = {
  scenarios: {
    soak: {
      executor: 'ramping-arrival-rate',
      startRate: 0,
      timeUnit: '1s',
      stages: [
        { target: rate, duration: `${ramp}s` },
        { target: rate, duration: `${Math.max(1, seconds - 2 * ramp)}s` },
        { target: 0, duration: `${ramp}s` },
      ],
      preAllocatedVUs: rate * 10,
      maxVUs: rate * 60,
      gracefulStop: '90s',
    },
  },
  setupTimeout: '120s',
  summaryTrendStats,
  thresholds: Object.assign(reasons(), timed({ token: 500, rank: 500, seats: 500, hold: 500, charge: 1000, payment: 1000 }), {
    broken: ['rate<0.0001'],
    dropped_iterations: ['count==0'],
    sold: ['count>0'],
    'refused{code:NO_ANSWER}': ['count==0'],
  }),
};

export const setup = stage;

export default function (staged) {
  const manner = { patience: 60, givesBack: true, leaves: Math.random() < 0.02 };
  visit(staged.firstUser + exec.scenario.iterationInTest, staged, manner);
}

export function handleSummary(data) {
  return summary(`soak: ${rate} people a second for ${seconds} s`, data);
}
