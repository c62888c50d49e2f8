// What a seat looks like in each state, so that it is told without colours: full, a ring, a cross, and a bigger one with a tick.
// A shape is steps from a start, in which only points turn: circles have no direction.

const SHAPES = {
  FREE: { start: [-6, -10], steps: 'l12 0q4 0 4 4l0 12q0 4 -4 4l-12 0q-4 0 -4 -4l0 -12q0 -4 4 -4z' },
  HELD: { start: [-8, 0], steps: 'a8 8 0 1 1 16 0a8 8 0 1 1 -16 0zm3 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z' },
  SOLD: { start: [-6, -4.5], steps: 'l1.5 -1.5l4.5 4.5l4.5 -4.5l1.5 1.5l-4.5 4.5l4.5 4.5l-1.5 1.5l-4.5 -4.5l-4.5 4.5l-1.5 -1.5l4.5 -4.5z' },
  MINE: {
    start: [-7, -12],
    steps: 'l14 0q5 0 5 5l0 14q0 5 -5 5l-14 0q-5 0 -5 -5l0 -14q0 -5 5 -5zm.5 11.5l4.5 5l8.5 -9l-2 -2l-6.5 7l-2.5 -3z',
  },
};

// The same from afar, where nobody sees a corner that is round: straight lines are painted several times as fast.
const AFAR = {
  FREE: 'm-9 -9h18v18h-18z',
  HELD: 'm-8 -8h16v16h-16zm4 4v8h8v-8z',
  SOLD: 'm-3 -3h6v6h-6z',
  MINE: 'm-12 -12h24v24h-24z',
};

// Each shape, turned by whole degrees, is made once.
const turned = new Map();

function shape(state, degrees) {
  const name = `${state} ${degrees}`;
  if (turned.has(name)) return turned.get(name);
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  const turn = (x, y) => [Math.round((x * cos - y * sin) * 100) / 100, Math.round((x * sin + y * cos) * 100) / 100];
  const { start, steps } = SHAPES[state];
  const path = steps.replace(/([a-z])([^a-z]*)/g, (_, command, text) => {
    const numbers = text.split(' ').map(Number);
    if (command === 'z') return 'z';
    // An arc's first five numbers are no point.
    const kept = command === 'a' ? numbers.splice(0, 5) : [];
    const points = [];
    for (let at = 0; at < numbers.length; at += 2) points.push(...turn(numbers[at], numbers[at + 1]));
    return command + [...kept, ...points].join(' ');
  });
  const made = { start: turn(...start), path };
  turned.set(name, made);
  return made;
}

// The path of a seat in a state, where it stands in the hall.
export function pathOf(seat, state, isFar) {
  if (isFar) return `M${Math.round(seat.x)} ${Math.round(seat.y)}${AFAR[state]}`;
  const { start, path } = shape(state, Math.round(seat.turn));
  return `M${(seat.x + start[0]).toFixed(1)} ${(seat.y + start[1]).toFixed(1)}${path}`;
}
