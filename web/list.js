// The hall as a list, for whoever does not use the map: a section, a row, its seats, all of them the browser's own controls. Only
// the row that is shown is in the page, however many seats the hall has.

import { el } from './site.js';
import { t, won } from './words.js';

// Ids in a page are one of a kind.
let lists = 0;

// `asks.choose(seat)` when one is ticked or unticked; `asks.isMine(seat)`, `asks.state(seat)` say what it is.
export class SeatList {
  #hall;
  #asks;
  #row = null;
  #boxes = new Map();
  #later = 0;

  constructor(hall, asks) {
    this.#hall = hall;
    this.#asks = asks;
    const id = `list-${++lists}`;
    this.sections = el('select', { id: `${id}-section` });
    this.rows = el('select', { id: `${id}-row` });
    this.seats = el('fieldset', { class: 'row-seats' });
    this.element = el('div', { class: 'seat-list' },
      el('div', { class: 'pair' },
        el('p', {}, el('label', { for: this.sections.id }, t('shop.section')), this.sections),
        el('p', {}, el('label', { for: this.rows.id }, t('shop.row')), this.rows)),
      this.seats);
    this.sections.append(...hall.sections.map((section, at) => el('option', { value: at })));
    this.sections.addEventListener('change', () => this.#showRows());
    this.rows.addEventListener('change', () => this.#showRow());
    this.#counts();
    this.#showRows();
  }

  // These have changed.
  update(seats) {
    for (const seat of seats) if (this.#boxes.has(seat)) this.#state(seat);
    // How many are free is said again when it has been quiet for a moment: a list that changes while it is read is no help.
    this.#later ||= setTimeout(() => { this.#later = 0; this.#counts(); }, 1_000);
  }

  // Shows the row of a seat.
  reveal(seat) {
    const section = this.#hall.sections.findIndex((one) => one.name === seat.section);
    const row = this.#hall.rows[seat.line];
    if (row === this.#row) return;
    this.sections.value = section;
    this.#showRows(row);
  }

  #section() {
    return this.#hall.sections[Number(this.sections.value)] || this.#hall.sections[0];
  }

  #showRows(shown) {
    const section = this.#section();
    if (!section) return;
    this.rows.replaceChildren(...section.rows.map((row, at) => el('option', { value: at })));
    // The first that has a free seat, unless one is asked for.
    const at = shown ? section.rows.indexOf(shown) : section.rows.findIndex((row) => free(row.seats) > 0);
    this.rows.value = Math.max(at, 0);
    this.#counts();
    this.#showRow();
  }

  #showRow() {
    this.#row = this.#section().rows[Number(this.rows.value)];
    this.#boxes.clear();
    const labels = this.#row.seats.map((seat) => {
      const box = el('input', { type: 'checkbox', value: seat.id });
      box.addEventListener('change', () => { this.#asks.choose(seat); this.#state(seat); });
      const price = el('small', {}, won(seat.price));
      const state = el('small', { class: 'state' });
      const label = el('label', { class: `seat grade-${seat.grade}` }, box, el('b', {}, String(seat.number)), price, state);
      this.#boxes.set(seat, { box, state });
      return label;
    });
    const name = t('shop.rowIn', { section: this.#row.section, row: this.#row.name });
    this.seats.replaceChildren(el('legend', {}, name),
      // It scrolls, also with keys where nothing in it is free.
      el('div', { class: 'boxes', role: 'group', 'aria-label': name, tabindex: '0' }, ...labels));
    for (const seat of this.#row.seats) this.#state(seat);
  }

  #state(seat) {
    const { box, state } = this.#boxes.get(seat);
    const mine = this.#asks.isMine(seat);
    box.checked = mine;
    box.disabled = !mine && seat.status !== 'FREE';
    state.textContent = box.disabled ? this.#asks.state(seat) : '';
  }

  #counts() {
    const count = (option, name, seats) => {
      const text = t('shop.nameAndFree', { name, free: free(seats) });
      if (option.textContent !== text) option.textContent = text;
    };
    this.#hall.sections.forEach((section, at) =>
      count(this.sections.options[at], section.name, section.rows.flatMap((row) => row.seats)));
    const section = this.#section();
    section?.rows.forEach((row, at) => { if (this.rows.options[at]) count(this.rows.options[at], row.name, row.seats); });
  }
}

const free = (seats) => seats.reduce((sum, seat) => sum + (seat.status === 'FREE'), 0);
