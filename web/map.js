// The seat map, drawn. Each seat is one path, made once: what changes later is that seat's path and nothing else, once a frame
// at the most, however fast changes come. Of all seats only the one with the focus has a name for screen readers: who cannot see
// the map has the list beside it.

import { neighbour, seatAt, STEP } from './hall.js';
import { gestures } from './gestures.js';

const SVG = 'http://www.w3.org/2000/svg';

// A state's shape, so that it is told without colours: full, a ring, a cross, and a bigger one with a tick.
const SHAPES = {
  FREE: 'M-6-10H6Q10-10 10-6V6Q10 10 6 10H-6Q-10 10-10 6V-6Q-10-10-6-10Z',
  HELD: 'M-8 0A8 8 0 1 1 8 0A8 8 0 1 1-8 0ZM-5 0A5 5 0 1 0 5 0A5 5 0 1 0-5 0Z',
  SOLD: 'M-6-4.5L-4.5-6L0-1.5L4.5-6L6-4.5L1.5 0L6 4.5L4.5 6L0 1.5L-4.5 6L-6 4.5L-1.5 0Z',
  MINE: 'M-7-12H7Q12-12 12-7V7Q12 12 7 12H-7Q-12 12-12 7V-7Q-12-12-7-12ZM-6.5-.5L-2 4.5L6.5-4.5L4.5-6.5L-2 .5L-4.5-2.5Z',
};

// From so many pixels a seat on, its number is drawn, of so many seats at the most.
const READABLE = 22;
const MOST_NUMBERS = 500;

// The closest look: so many seats side by side.
const CLOSEST = 8;

function make(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// A map of a hall. `asks.choose(seat)` is called when one is pressed; `asks.name(seat)` names it, state and all.
export class SeatMap {
  #hall;
  #asks;
  #paths = new Map();
  #seats = new Map();
  #mine = new Set();
  #dirty = new Set();
  #frame = 0;
  #settled = 0;
  #view;
  #moved = false;
  #focus = null;

  constructor(hall, asks) {
    this.#hall = hall;
    this.#asks = asks;
    this.element = make('svg', { class: 'hall', role: 'group', preserveAspectRatio: 'xMidYMid meet' });
    this.element.append(this.#stage(), this.#drawn(), this.#names());
    this.numbers = this.element.appendChild(make('g', { class: 'numbers', 'aria-hidden': 'true' }));
    this.ring = this.element.appendChild(make('rect', { class: 'ring', x: -15, y: -15, width: 30, height: 30, rx: 8, visibility: 'hidden' }));
    this.element.style.aspectRatio = hall.width / hall.height;
    this.#view = this.#whole();
    this.#listen();
    if (hall.seats.length) this.#rove(hall.seats.find((seat) => seat.status === 'FREE') || hall.seats[0]);
    this.#draw();
  }

  // Draws these seats' states, and who has chosen which, in the next frame.
  update(seats) {
    for (const seat of seats) this.#dirty.add(seat);
    this.#ask();
  }

  // These are the visitor's, by choice or held.
  mine(seats) {
    const changed = [...this.#mine, ...seats];
    this.#mine = new Set(seats);
    this.update(changed);
  }

  isMine(seat) {
    return this.#mine.has(seat);
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

  // How many pixels a seat has.
  get pixels() {
    return STEP * this.#scale();
  }

  // Shows where a seat is, and gives it the focus if the map should have it.
  reveal(seat, takesFocus) {
    const { x, y, w, h } = this.#view;
    const margin = STEP * 2;
    if (seat.x < x + margin || seat.x > x + w - margin || seat.y < y + margin || seat.y > y + h - margin) {
      this.#look({ x: seat.x - w / 2, y: seat.y - h / 2, w, h });
    }
    this.#rove(seat);
    if (takesFocus) this.#paths.get(seat).focus({ preventScroll: true });
  }

  #stage() {
    const { width } = this.#hall;
    const stage = make('g', { class: 'stage', 'aria-hidden': 'true' });
    const [left, right] = [width * 0.2, width * 0.8];
    stage.append(make('path', { d: `M${left} 10H${right}V40Q${width / 2} 80 ${left} 40Z` }));
    const text = make('text', { x: width / 2, y: 38 });
    text.textContent = this.#asks.stage;
    stage.append(text);
    return stage;
  }

  #drawn() {
    const all = make('g', { class: 'seats' });
    for (const seat of this.#hall.seats) {
      const turn = Math.abs(seat.turn) > 0.5 ? ` rotate(${seat.turn.toFixed(1)})` : '';
      const path = make('path', { transform: `translate(${seat.x.toFixed(1)} ${seat.y.toFixed(1)})${turn}`, 'data-seat': seat.id });
      this.#paths.set(seat, path);
      this.#seats.set(path, seat);
      this.#state(seat);
      all.append(path);
    }
    return all;
  }

  #names() {
    const names = make('g', { class: 'names', 'aria-hidden': 'true' });
    const name = (place, said, kind) => {
      const text = make('text', { x: place.x.toFixed(1), y: place.y.toFixed(1), class: kind });
      text.textContent = said;
      names.append(text);
    };
    for (const section of this.#hall.sections) name(section.title, section.name, 'section');
    for (const row of this.#hall.rows) name(row.title, row.name, 'row');
    return names;
  }

  #state(seat) {
    const shape = this.#mine.has(seat) ? 'MINE' : seat.status;
    const path = this.#paths.get(seat);
    path.setAttribute('class', `${shape.toLowerCase()} grade-${seat.grade}`);
    path.setAttribute('d', SHAPES[shape]);
    if (seat === this.#focus) this.#name(seat);
  }

  #name(seat) {
    const path = this.#paths.get(seat);
    path.setAttribute('aria-label', this.#asks.name(seat));
    path.setAttribute('aria-checked', this.#mine.has(seat));
    if (seat.status === 'FREE' || this.#mine.has(seat)) path.removeAttribute('aria-disabled');
    else path.setAttribute('aria-disabled', 'true');
  }

  // The one seat that the tab key comes to.
  #rove(seat) {
    const before = this.#focus && this.#paths.get(this.#focus);
    if (before) for (const name of ['tabindex', 'role', 'aria-label', 'aria-checked', 'aria-disabled']) before.removeAttribute(name);
    this.#focus = seat;
    const path = this.#paths.get(seat);
    path.setAttribute('tabindex', '0');
    path.setAttribute('role', 'checkbox');
    this.#name(seat);
    this.ring.setAttribute('transform', path.getAttribute('transform'));
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
    for (const seat of this.#dirty) this.#state(seat);
    this.#dirty.clear();
    if (!this.#moved && this.element.hasAttribute('viewBox')) return;
    this.#moved = false;
    const { x, y, w, h } = this.#view;
    this.element.setAttribute('viewBox', `${x.toFixed(1)} ${y.toFixed(1)} ${w.toFixed(1)} ${h.toFixed(1)}`);
    this.element.classList.toggle('whole', this.isWhole);
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => this.#number(), 120);
  }

  // Numbers on the seats that are seen, where they can be read.
  #number() {
    const { x, y, w, h } = this.#view;
    const seen = this.pixels < READABLE ? [] : this.#hall.seats.filter((seat) =>
      seat.x > x - STEP && seat.x < x + w + STEP && seat.y > y - STEP && seat.y < y + h + STEP);
    this.numbers.replaceChildren(...seen.slice(0, MOST_NUMBERS).map((seat) => {
      const text = make('text', { x: seat.x.toFixed(1), y: (seat.y + 3.5).toFixed(1) });
      text.textContent = seat.number;
      return text;
    }));
  }

  #listen() {
    const element = this.element;
    gestures(element, this);
    element.addEventListener('click', (event) => {
      const point = this.#point(event.clientX, event.clientY);
      const seat = this.#seats.get(event.target) || seatAt(this.#hall, point.x, point.y);
      // A finger is wider than a seat of a whole hall: it comes closer first.
      if (event.pointerType === 'touch' && this.pixels < 16) return this.zoom(this.pixels / 28, event);
      if (seat) this.#press(seat);
      return undefined;
    });
    element.addEventListener('keydown', (event) => {
      const seat = this.#seats.get(event.target);
      if (!seat || event.ctrlKey || event.metaKey || event.altKey) return;
      const next = neighbour(this.#hall, seat, event.key);
      if (next) this.reveal(next, true);
      else if (event.key === 'Enter' || event.key === ' ') this.#press(seat);
      else if (event.key === '+' || event.key === '=') this.zoom(0.7);
      else if (event.key === '-') this.zoom(1 / 0.7);
      else if (event.key === '0') this.fit();
      else if (!event.key.startsWith('Arrow')) return;
      event.preventDefault();
    });
    element.addEventListener('focusin', () => this.ring.setAttribute('visibility', 'visible'));
    element.addEventListener('focusout', () => this.ring.setAttribute('visibility', 'hidden'));
    new ResizeObserver(() => this.#number()).observe(element);
  }

  #press(seat) {
    this.#rove(seat);
    this.#asks.choose(seat);
  }
}
