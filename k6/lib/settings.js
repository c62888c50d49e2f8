// What a run can be told, by -e NAME=value or by the environment. `make load` passes them on.

// The server. `make run` serves here unless told otherwise.
export const base = (__ENV.BASE || 'http://127.0.0.1:8080').replace(/\/+$/, '');

// A whole number, or a mistake that ends the run before it begins.
export function whole(name, usual, least) {
  const text = __ENV[name];
  if (text === undefined || text === '') return usual;
  if (!/^\d{1,9}$/.test(text) || Number(text) < least) {
    throw new Error(`${name} is a whole number from ${least}, not ${JSON.stringify(text)}`);
  }
  return Number(text);
}

// What is sold: the first date with free seats, unless one of these says otherwise.
export const concert = whole('CONCERT', 0, 1);
export const schedule = whole('SCHEDULE', 0, 1);

// The users are those from this one on: by the clock unless given, so that each run has others.
export function firstUser() {
  return whole('FIRST_USER', 0, 1) || Date.now() * 1000;
}

// The statistics that the summary shows and the thresholds ask for.
export const summaryTrendStats = ['count', 'med', 'p(99)', 'max'];
