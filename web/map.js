// The seat map, drawn. Painting ten thousand elements takes a browser longer than a frame, so a row's seats of one look are one
// path: what changes later is its row's paths and nothing else, once a frame at the most, however fast changes come. Who uses
// the keyboard moves from seat to seat; only the seat with the focus has an element and a name. Who cannot see the map has the
// list beside it.

import { gestures } from './gestures.js';
import { neighbour, seatAt, STEP } from './hall.js';
import { pathOf } from './shapes.js';

const SVG = 'http://www.w3.org/2000/svg';

// From so many pixels a seat on, its number is drawn, of so many seats at the most.
const READABLE = 22;
const MOST_NUMBERS = 800;

// A finger needs so many pixels.
const FINGER = 16;

// Seats of fewer pixels are drawn as from afar.
const FAR = 12;

// The closest look: so many seats side by side.
const CLOSEST = 8;

function make(name, attributes = {}, text = '') {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

// A map of a hall. `asks.choose(seat)` is called when one is pressed; `asks.name(seat)` names it, state and all; `asks.stage` is
// the stage's name.
export class SeatMap {
  #hall;
  #asks;
  #rows;
  #mine = new Set();
  #dirty = new Set();
  #frame = 0;
  #settled = 0;
  #view;
  #moved = true;
  #isFar = false;
  #focus;
  // Two elements take turns in having the focus: one that only moved would not be read out.
  #cursors = [0, 1].map(() => make('rect', { class: 'cursor', x: -15, y: -15, width: 30, height: 30, rx: 8, role: 'checkbox' }));

  constructor(hall, asks) {
    this.#hall = hall;
    this.#asks = asks;
    this.#view = this.#whole();
    this.element = make('svg', { class: 'hall', role: 'group' });
    this.element.style.aspectRatio = hall.width / hall.height;
    this.element.style.setProperty('--name', `${Math.max(20, hall.width / 45)}px`);
    this.#rows = hall.rows.map(() => ({ group: make('g'), paths: new Map() }));
    const seats = make('g', { class: 'seats', 'aria-hidden': 'true' });
    seats.append(...this.#rows.map(({ group }) => group));
    this.numbers = make('g', { class: 'numbers', 'aria-hidden': 'true' });
    this.element.append(this.#stage(), seats, this.#names(), this.numbers);
    for (const seat of hall.seats) this.#dirty.add(seat.line);
    this.#listen();
    if (hall.seats.length) this.#rove(hall.seats.find((seat) => seat.status === 'FREE') || hall.seats[0]);
  }

  // Draws these seats as they are now, in the next frame.
  update(seats) {
    for (const seat of seats) {
      this.#dirty.add(seat.line);
      if (seat === this.#focus) this.#name();
    }
    this.#ask();
  }

  // These are the visitor's choice.
  mine(seats) {
    const changed = [...this.#mine, ...seats];
    this.#mine = new Set(seats);
    this.update(changed);
  }

  // Everything.
  fit() {
    this.#look(this.#whole());
  }

  // Closer or farther, around a place on the page or the middle.
  zoom(factor, at) {
    const view = this.#view;
    const by = Math.min(Math.max(factor, (CLOSEST * STEP) / view.w), this.#whole().w / view.w);
    const { x, y } = at ? this.#point(at.clientX, at.clientY) : { x: view.x + view.w / 2, y: view.y + view.h / 2 };
    this.#look({ x: x - (x - view.x) * by, y: y - (y - view.y) * by, w: view.w * by, h: view.h * by });
  }

  // Moves by so many pixels.
  pan(dx, dy) {
    const scale = this.#scale();
    this.#look({ ...this.#view, x: this.#view.x - dx / scale, y: this.#view.y - dy / scale });
  }

  // Whether all of it is to be seen.
  get isWhole() {
    return this.#view.w >= this.#whole().w * 0.999;
  }

  // Shows where a seat is.
  reveal(seat) {
    const { x, y, w, h } = this.#view;
    const margin = STEP * 2;
    if (seat.x < x + margin || seat.x > x + w - margin || seat.y < y + margin || seat.y > y + h - margin) {
      this.#look({ x: seat.x - w / 2, y: seat.y - h / 2, w, h });
    }
    this.#rove(seat);
  }

  #stage() {
    const { width } = this.#hall;
    const stage = make('g', { class: 'stage', 'aria-hidden': 'true' });
    const [left, right] = [width * 0.2, width * 0.8];
    stage.append(make('path', { d: `M${left} 10H${right}V40Q${width / 2} 80 ${left} 40Z` }),
      make('text', { x: width / 2, y: 38 }, this.#asks.stage));
    return stage;
  }

  #names() {
    const names = make('g', { class: 'names', 'aria-hidden': 'true' });
    const name = (place, text, kind) => make('text', { x: place.x.toFixed(1), y: place.y.toFixed(1), class: kind }, text);
    names.append(...this.#hall.sections.map((section) => name(section.title, section.name, 'section')),
      ...this.#hall.rows.map((row) => name(row.title, row.name, 'line')));
    return names;
  }

  // A row's paths: one for each look that its seats have.
  #drawRow(line) {
    const { group, paths } = this.#rows[line];
    const looks = new Map();
    for (const seat of this.#hall.rows[line].seats) {
      const state = this.#mine.has(seat) ? 'MINE' : seat.status;
      const look = state === 'FREE' ? `free grade-${seat.grade}` : state.toLowerCase();
      if (!looks.has(look)) looks.set(look, { ids: [], d: '' });
      const all = looks.get(look);
      all.ids.push(seat.id);
      all.d += pathOf(seat, state, this.#isFar);
    }
    for (const [look, { ids, d }] of looks) {
      if (!paths.has(look)) paths.set(look, group.appendChild(make('path', { class: look })));
      const path = paths.get(look);
      if (path.getAttribute('d') === d) continue;
      path.setAttribute('d', d);
      path.setAttribute('data-seats', ids.join(' '));
    }
    for (const [look, path] of paths) {
      if (looks.has(look)) continue;
      path.remove();
      paths.delete(look);
    }
  }

  // The one seat that the tab key comes to.
  #rove(seat) {
    const [before, cursor] = this.#cursors;
    const hadFocus = document.activeElement === before;
    this.#cursors.reverse();
    this.#focus = seat;
    cursor.setAttribute('tabindex', '0');
    cursor.setAttribute('data-seat', seat.id);
    cursor.setAttribute('transform', `translate(${seat.x.toFixed(1)} ${seat.y.toFixed(1)}) rotate(${seat.turn.toFixed(1)})`);
    this.element.append(cursor);
    this.#name();
    if (hadFocus) cursor.focus({ preventScroll: true });
    before.remove();
  }

  #name() {
    const [cursor] = this.#cursors;
    const mine = this.#mine.has(this.#focus);
    cursor.setAttribute('aria-label', this.#asks.name(this.#focus));
    cursor.setAttribute('aria-checked', mine);
    cursor.setAttribute('aria-disabled', !mine && this.#focus.status !== 'FREE');
  }

  #whole() {
    return { x: 0, y: 0, w: this.#hall.width, h: this.#hall.height };
  }

  // Pixels a unit.
  #scale() {
    const box = this.element.getBoundingClientRect();
    return Math.min(box.width / this.#view.w, box.height / this.#view.h) || 1;
  }

  // A place on the page, in the hall.
  #point(clientX, clientY) {
    const matrix = this.element.getScreenCTM();
    return matrix ? new DOMPoint(clientX, clientY).matrixTransform(matrix.inverse()) : { x: 0, y: 0 };
  }

  #look(view) {
    const whole = this.#whole();
    const within = (from, size, all) => (size >= all ? (all - size) / 2 : Math.min(Math.max(from, -size * 0.2), all - size * 0.8));
    this.#view = { ...view, x: within(view.x, view.w, whole.w), y: within(view.y, view.h, whole.h) };
    this.#moved = true;
    this.#ask();
  }

  #ask() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const isFar = STEP * this.#scale() < FAR;
    if (isFar !== this.#isFar) {
      this.#isFar = isFar;
      this.element.classList.toggle('far', isFar);
      this.#hall.rows.forEach((_, line) => this.#dirty.add(line));
    }
    for (const line of this.#dirty) this.#drawRow(line);
    this.#dirty.clear();
    // Numbers, once nothing has moved for a moment.
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => this.#number(), 120);
    if (!this.#moved) return;
    this.#moved = false;
    const { x, y, w, h } = this.#view;
    this.element.setAttribute('viewBox', `${x.toFixed(1)} ${y.toFixed(1)} ${w.toFixed(1)} ${h.toFixed(1)}`);
    this.element.classList.toggle('whole', this.isWhole);
  }

  // Numbers on the free seats that are seen, where they can be read.
  #number() {
    const { x, y, w, h } = this.#view;
    const isSeen = (seat) => seat.x > x - STEP && seat.x < x + w + STEP && seat.y > y - STEP && seat.y < y + h + STEP;
    const isBare = (seat) => seat.status === 'FREE' && !this.#mine.has(seat);
    const seen = STEP * this.#scale() < READABLE ? [] : this.#hall.seats.filter((seat) => isSeen(seat) && isBare(seat));
    // All of them or none.
    this.numbers.replaceChildren(...(seen.length > MOST_NUMBERS ? [] : seen).map((seat) =>
      make('text', { x: seat.x.toFixed(1), y: (seat.y + 3.5).toFixed(1) }, seat.number)));
  }

  #listen() {
    const element = this.element;
    gestures(element, this);
    element.addEventListener('click', (event) => {
      const pixels = STEP * this.#scale();
      const point = this.#point(event.clientX, event.clientY);
      const seat = seatAt(this.#hall, point.x, point.y);
      // A finger is wider than a seat of a whole hall: it comes closer first.
      if (event.pointerType === 'touch' && pixels < FINGER) this.zoom(pixels / (2 * FINGER), event);
      else if (seat) this.#press(seat);
    });
    element.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.#cursors[0]) return;
      const next = neighbour(this.#hall, this.#focus, event.key);
      if (next) this.reveal(next);
      else if (event.key === 'Enter' || event.key === ' ') this.#press(this.#focus);
      else if (event.key === '+' || event.key === '=') this.zoom(0.7);
      else if (event.key === '-') this.zoom(1 / 0.7);
      else if (event.key === '0') this.fit();
      else if (!event.key.startsWith('Arrow')) return;
      event.preventDefault();
    });
    // Also when it comes into the page: how much of it can be drawn depends on its size.
    new ResizeObserver(() => this.#ask()).observe(element);
  }

  #press(seat) {
    if (seat !== this.#focus) this.#rove(seat);
    this.#asks.choose(seat);
  }
}
