// Where the seats of a hall are drawn: its sections in bands before the stage, its rows bent towards it. Numbers only; nothing
// here knows of a page, and a hall is laid out once, as seats never move.

// From one seat to the next, from one row to the next, and between sections.
export const STEP = 26;
const ROW = 30;
const GAP = 44;

// Left of a row, for its name; above a section, for its.
const NAME = 44;
const HEAD = 40;

// Above it all, for the stage.
const STAGE = 90;

// How many prices have a colour of their own.
const GRADES = 6;

// Makes a hall of a seat map's seats, which are in order of their numbers.
export function hall(seats) {
  const laid = seats.map((seat) => ({ ...seat, id: seat.concertSeatId, number: seat.seatNumber }));
  const sections = sectionsOf(laid);
  const width = place(sections);
  const rows = sections.flatMap((section) => section.rows);
  rows.forEach((row, line) => row.seats.forEach((seat, at) => Object.assign(seat, { line, at })));
  const prices = gradesOf(laid);
  const height = bend(laid, sections, width);
  return { seats: laid, byId: new Map(laid.map((seat) => [seat.id, seat])), sections, rows, prices, width, height };
}

// Sections, and rows in them, in the order in which their first seats come.
function sectionsOf(seats) {
  const sections = new Map();
  for (const seat of seats) {
    let section = sections.get(seat.section);
    if (!section) sections.set(seat.section, section = { name: seat.section, byName: new Map(), rows: [] });
    let row = section.byName.get(seat.row);
    if (!row) {
      row = { section: section.name, name: seat.row, seats: [] };
      section.byName.set(seat.row, row);
      section.rows.push(row);
    }
    row.seats.push(seat);
  }
  return [...sections.values()];
}

// Puts sections side by side while they fit a width that makes the hall wider than deep; returns that width.
function place(sections) {
  for (const section of sections) {
    section.width = Math.max(...section.rows.map((row) => row.seats.length)) * STEP + 2 * NAME;
    section.height = section.rows.length * ROW + HEAD;
  }
  const area = sections.reduce((sum, section) => sum + section.width * section.height, 0);
  const width = Math.max(Math.sqrt(area * 1.4), ...sections.map((section) => section.width));
  let y = STAGE;
  for (let from = 0; from < sections.length;) {
    let to = from + 1;
    let wide = sections[from].width;
    while (to < sections.length && wide + sections[to].width <= width * 1.05) wide += sections[to++].width;
    const band = sections.slice(from, to);
    let x = (width - wide) / 2;
    for (const section of band) {
      Object.assign(section, { x, y });
      x += section.width;
    }
    y += Math.max(...band.map((section) => section.height)) + GAP;
    from = to;
  }
  return width;
}

// Gives every seat its place; the ends of a row come forward, as they do before a stage. Returns the hall's height.
function bend(seats, sections, width) {
  const [middle, depth] = [width / 2, Math.min(width * 0.07, 140)];
  const forward = (x) => depth * ((x - middle) / middle) ** 2;
  let height = 0;
  for (const section of sections) {
    const center = section.x + section.width / 2;
    section.title = { x: center, y: section.y + depth - forward(center) + HEAD / 2 - 6 };
    section.rows.forEach((row, line) => {
      const y = section.y + depth + HEAD + (line + 0.5) * ROW;
      const left = center - ((row.seats.length - 1) * STEP) / 2;
      row.seats.forEach((seat, at) => {
        const x = left + at * STEP;
        const turn = (-2 * depth * (x - middle)) / middle ** 2;
        Object.assign(seat, { x, y: y - forward(x), turn: (Math.atan(turn) * 180) / Math.PI });
      });
      row.title = { x: left - STEP, y: y - forward(left - STEP) };
      height = Math.max(height, y + ROW);
    });
  }
  return height;
}

// Gives every seat the number of its price's colour, the dearest first; neighbours share one where there are too many.
function gradesOf(seats) {
  const prices = [...new Set(seats.map((seat) => seat.price))].sort((one, other) => other - one);
  const grade = new Map(prices.map((price, at) =>
    [price, prices.length <= GRADES ? at : Math.floor((at * GRADES) / prices.length)]));
  for (const seat of seats) seat.grade = grade.get(seat.price);
  return prices.map((price) => ({ price, grade: grade.get(price) }));
}

// So many free seats like this one, side by side if there are, as near as can be; none if there are not as many.
export function nextBest(map, seat, count) {
  const far = (other) => Math.hypot(other.x - seat.x, other.y - seat.y) + Math.abs(other.price - seat.price) / 100;
  let best = null;
  for (const row of map.rows) {
    for (let from = 0; from + count <= row.seats.length; from++) {
      const some = row.seats.slice(from, from + count);
      if (!some.every((one) => one.status === 'FREE')) continue;
      const distance = Math.min(...some.map(far));
      if (!best || distance < best.distance) best = { some, distance };
    }
  }
  if (best) return best.some;
  const free = map.seats.filter((one) => one.status === 'FREE').sort((one, other) => far(one) - far(other));
  return free.length >= count ? free.slice(0, count) : null;
}

// The seat that an arrow key leads to: along the row, or to the nearest of the next row.
export function neighbour(map, seat, key) {
  const row = map.rows[seat.line].seats;
  switch (key) {
    case 'ArrowLeft': return row[seat.at - 1];
    case 'ArrowRight': return row[seat.at + 1];
    case 'Home': return row[0];
    case 'End': return row.at(-1);
    case 'ArrowUp': return vertical(map, seat, -1);
    case 'ArrowDown': return vertical(map, seat, 1);
    default: return undefined;
  }
}

function vertical(map, seat, way) {
  const home = map.sections.find((section) => section.name === seat.section);
  const line = home.rows.indexOf(map.rows[seat.line]) + way;
  const near = (seats) => seats.reduce((one, other) => (Math.abs(other.x - seat.x) < Math.abs(one.x - seat.x) ? other : one));
  if (home.rows[line]) return near(home.rows[line].seats);
  // Over the section's edge: the nearest seat of those beyond.
  const beyond = map.seats.filter((other) => other.section !== seat.section && (other.y - seat.y) * way > ROW / 2);
  const far = (other) => Math.abs(other.y - seat.y) + 2 * Math.abs(other.x - seat.x);
  return beyond.length ? beyond.reduce((one, other) => (far(other) < far(one) ? other : one)) : undefined;
}

// The seat at a place, or the nearest within reach of a finger.
export function seatAt(map, x, y) {
  let [best, least] = [undefined, STEP * 0.75];
  for (const seat of map.seats) {
    const distance = Math.hypot(seat.x - x, seat.y - y);
    if (distance < least) [best, least] = [seat, distance];
  }
  return best;
}
