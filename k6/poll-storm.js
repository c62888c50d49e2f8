// Many come, nobody buys, and all ask for their place as often as they are told to: what a crowd costs that only waits. More
// must come than the queue lets in (ONSALE_MAX_ACTIVE).
import exec from 'k6/execution';
import { reasons } from './lib/metrics.js';
import { summaryTrendStats, whole } from './lib/settings.js';
import { summary, timed } from './lib/summary.js';
import { stage, watches } from './lib/visitor.js';

const people = whole('PEOPLE', 3000, 1);
const seconds = whole('SECONDS', 10, 1);
const stay = whole('STAY', 60, 1);

export const options = {
  scenarios: {
    storm: {
      executor: 'constant-arrival-rate',
      rate: people,
      timeUnit: `${seconds}s`,
      duration: `${seconds}s`,
      preAllocatedVUs: people,
      gracefulStop: `${stay + 60}s`,
    },
  },
  setupTimeout: '120s',
  summaryTrendStats,
  thresholds: Object.assign(reasons(), timed({ token: 1000, rank: 500 }), {
    broken: ['rate==0'],
    dropped_iterations: ['count==0'],
    polls: ['count>0'],
    refused: ['count==0'],
  }),
};

export const setup = stage;

export default function (staged) {
  watches(staged.firstUser + exec.scenario.iterationInTest, staged, stay);
}

export function handleSummary(data) {
  return summary(`poll-storm: ${people} people wait for ${stay} s each`, data);
}
