// Concerts: what is on sale, and the form that makes a concert or one more evening, with a picture of its hall.

import { svg } from './console-chart.js';
import { el, speak } from './site.js';
import { date, number, t, won } from './words.js';

const A_PAGE = 6;
const EVERY = 1500;
const MOST_SEATS = 20_000;

// The rows that a text names: `A-E`, `1-12`, `A, B, VIP`. Nothing if it cannot be read.
export function rows(text) {
  const names = [];
  for (const part of text.split(',').map((each) => each.trim()).filter(Boolean)) {
    const range = /^([A-Z]|\d{1,3})\s*[-–]\s*([A-Z]|\d{1,3})$/.exec(part);
    if (!range) names.push(part);
    else {
      const [, from, to] = range;
      const numbers = /\d/.test(from);
      if (numbers !== /\d/.test(to)) return [];
      const [first, last] = numbers ? [Number(from), Number(to)] : [from.charCodeAt(0), to.charCodeAt(0)];
      for (let at = first; at <= last; at += 1) names.push(numbers ? String(at) : String.fromCharCode(at));
    }
  }
  return names;
}

const STEP = 10;

// The hall as seen from above: a dot a seat, a path a section.
function picture(sections) {
  const widest = Math.max(1, ...sections.map(({ seatsPerRow }) => seatsPerRow));
  const drawn = svg('svg', { class: 'hall', role: 'img' });
  let y = STEP;
  sections.forEach(({ rows: names, seatsPerRow }, at) => {
    let path = '';
    for (let row = 0; row < names.length; row += 1, y += STEP) {
      const left = ((widest - seatsPerRow) * STEP) / 2 + STEP;
      for (let seat = 0; seat < seatsPerRow; seat += 1) path += `M${left + seat * STEP} ${y}h0`;
    }
    drawn.append(svg('path', { class: `section-${at % 6}`, d: path }));
    y += STEP;
  });
  drawn.setAttribute('viewBox', `0 0 ${(widest + 1) * STEP} ${Math.max(y, 2 * STEP)}`);
  return drawn;
}

export function halls(room, operator) {
  let page = 1;
  let timer;
  let total = 0;
  let over = false;
  const list = el('div', { class: 'programme' });
  const pager = el('div', { class: 'row' });
  const age = el('p', { class: 'age' }, t('live.looking'));
  let asOf = null;
  // A new concert is the last.
  const form = plan(operator, (isNew) => {
    if (isNew) page = Math.ceil((total + 1) / A_PAGE);
    look();
  });
  room.replaceChildren(
    el('section', { class: 'card' }, el('h2', {}, t('halls.title')), age, list, pager),
    form.node,
  );

  async function look() {
    clearTimeout(timer);
    const asked = page;
    try {
      const { data } = await operator.call('GET', `/concerts?page=${page}&size=${A_PAGE}`, { once: true });
      if (over || asked !== page) return;
      asOf = performance.now();
      total = data.total;
      show(data.concerts);
    } catch (refusal) {
      if (over || operator.failed(refusal)) return;
    }
    clearTimeout(timer);
    timer = setTimeout(look, EVERY);
  }

  function show(concerts) {
    list.replaceChildren(...concerts.map((concert) => el(
      'article', { data: { concert: concert.concertId } },
      el('h3', {}, el('a', { href: `/concerts/${concert.concertId}` }, concert.title), ' ', el('span', { class: 'soft' }, concert.queue)),
      el('ul', {}, concert.schedules.map(({ date: day, seats, sold }) => {
        const bar = el('progress', { max: seats, value: sold, 'aria-label': t('halls.sold', { sold, seats }) });
        return el('li', {}, el('span', {}, date(day)), bar, el('span', { class: 'soft' }, t('halls.sold', { sold, seats })));
      })),
    )));
    const last = Math.max(1, Math.ceil(total / A_PAGE));
    const turn = (name, to, can) => el('button', { type: 'button', disabled: !can, onclick: () => ((page = to), look()) }, t(name));
    const focused = [...pager.children].indexOf(document.activeElement);
    pager.replaceChildren(
      turn('list.before', page - 1, page > 1),
      el('span', { class: 'soft' }, t('list.page', { page, last })),
      turn('list.next', page + 1, page < last),
    );
    if (focused >= 0) pager.children[focused].focus();
    form.known(concerts);
    showAge();
  }

  function showAge() {
    if (asOf === null) return;
    const old = performance.now() - asOf;
    age.textContent = t(old > 2000 ? 'live.old' : 'live.age', { seconds: (old / 1000).toFixed(1) });
    age.classList.toggle('bad', old > 2000);
    list.classList.toggle('stale', old > 2000);
  }

  const ticks = setInterval(showAge, 250);
  look();
  return () => {
    over = true;
    clearTimeout(timer);
    clearInterval(ticks);
  };
}

// The form for a concert, or one more evening of one.
function plan(operator, made) {
  const title = el('input', { id: 'title', required: true, maxlength: 200, autocomplete: 'off' });
  const queue = el('input', { id: 'queue', pattern: '[a-z0-9][a-z0-9_\\-]{0,62}', maxlength: 63, autocomplete: 'off', spellcheck: 'false', placeholder: 'default' });
  const which = el('select', { id: 'which', onchange: () => choose() }, el('option', { value: '' }, t('plan.new')));
  const today = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
  const day = el('input', { id: 'day', type: 'date', required: true, min: today });
  const list = el('div', { class: 'sections' });
  const preview = el('figure', { class: 'preview' });
  const said = el('p', { class: 'note', id: 'made', hidden: true });
  const submit = el('button', { class: 'main', type: 'submit', id: 'make' }, t('plan.make'));
  const only = el('div', { class: 'fields' },
    el('div', { class: 'field' }, el('label', { for: 'title' }, t('plan.title')), title),
    el('div', { class: 'field' }, el('label', { for: 'queue' }, t('plan.queue')), queue, el('span', { class: 'means' }, t('plan.queue.means'))));
  const form = el('form', { class: 'settings', onsubmit: (event) => (event.preventDefault(), make()), oninput: () => draw() },
    el('div', { class: 'fields' },
      el('div', { class: 'field' }, el('label', { for: 'which' }, t('plan.which')), which),
      el('div', { class: 'field' }, el('label', { for: 'day' }, t('plan.day')), day)),
    only,
    el('h3', {}, t('plan.sections')),
    list,
    el('div', { class: 'row' }, el('button', { type: 'button', id: 'add-section', onclick: () => (add({}), draw()) }, t('plan.add'))),
    preview, said, el('div', { class: 'row' }, submit));
  const node = el('section', { class: 'card' }, el('h2', {}, t('plan.heading')), form);
  let count = 0;

  function add({ section = '', names = '', seats = '', price = '' }) {
    count += 1;
    const field = (name, label, attributes) => {
      const id = `${name}-${count}`;
      return el('div', { class: 'field' }, el('label', { for: id }, t(label)), el('input', { id, name, required: true, autocomplete: 'off', ...attributes }));
    };
    const set = el('fieldset', {},
      el('legend', {}, t('plan.section', { count })),
      field('section', 'plan.name', { value: section, maxlength: 40 }),
      field('rows', 'plan.rows', { value: names, placeholder: 'A-E' }),
      field('seats', 'plan.seats', { value: seats, type: 'number', min: 1, max: MOST_SEATS, inputmode: 'numeric' }),
      field('price', 'plan.price', { value: price, type: 'number', min: 0, max: 1_000_000_000_000, inputmode: 'numeric' }),
      el('button', { type: 'button', class: 'quiet', onclick: () => (set.remove(), draw()) }, t('plan.remove')));
    list.append(set);
  }

  const sections = () => [...list.children].map((set) => {
    const of = (name) => set.querySelector(`[name=${name}]`).value;
    return { section: of('section').trim(), price: Number(of('price')), rows: rows(of('rows')), seatsPerRow: Number(of('seats')) };
  });

  function draw() {
    const drawn = sections().filter(({ rows: names, seatsPerRow }) => names.length && Number.isInteger(seatsPerRow) && seatsPerRow > 0);
    const seats = drawn.reduce((sum, { rows: names, seatsPerRow }) => sum + names.length * seatsPerRow, 0);
    const worth = drawn.reduce((sum, { rows: names, seatsPerRow, price }) => sum + names.length * seatsPerRow * price, 0);
    const text = seats > MOST_SEATS ? t('plan.many', { seats, most: MOST_SEATS }) : t('plan.worth', { seats, won: won(worth) });
    const shown = seats && seats <= MOST_SEATS ? [picture(drawn)] : [];
    shown[0]?.setAttribute('aria-label', text);
    const key = drawn.map(({ section, price, rows: names, seatsPerRow }, at) =>
      el('li', { class: `section-${at % 6}` }, `${section || '–'} · ${number(names.length * seatsPerRow)} · ${won(price)}`));
    preview.replaceChildren(...shown, el('figcaption', {}, el('ul', { class: 'key' }, key), el('p', { id: 'worth' }, text)));
    list.querySelectorAll('button').forEach((remove) => (remove.disabled = list.children.length < 2));
  }

  function choose() {
    only.hidden = which.value !== '';
    title.disabled = queue.disabled = which.value !== '';
  }

  // What one more evening can be added to.
  function known(concerts) {
    for (const { concertId, title: called } of concerts) {
      if (![...which.options].some((option) => option.value === String(concertId))) which.append(el('option', { value: concertId }, called));
    }
  }

  async function make() {
    const evening = { date: day.value, sections: sections() };
    const [path, body] = which.value
      ? [`/concerts/${which.value}/schedules`, evening]
      : ['/concerts', { title: title.value, queue: queue.value || null, schedules: [evening] }];
    submit.disabled = true;
    try {
      const { data } = await operator.call('POST', path, { body, once: true });
      const id = data.concertId ?? Number(which.value);
      say(el('span', {}, t('plan.made'), ' ', el('a', { href: `/concerts/${id}`, data: { made: id } }, t('plan.look'))), 'good');
      speak(t('plan.made'));
      made(!which.value);
    } catch (refusal) {
      if (operator.failed(refusal)) return;
      const text = refusal.code === 'OFFLINE' ? t('plan.doubt') : refusal.message;
      say(text, 'bad');
      speak(text, true);
    } finally {
      submit.disabled = false;
    }
  }

  function say(what, kind) {
    said.replaceChildren(what);
    said.className = `note ${kind}`;
    said.hidden = false;
  }

  add({ section: 'R', names: 'A-E', seats: 40, price: 150_000 });
  add({ section: 'S', names: 'F-M', seats: 50, price: 90_000 });
  draw();
  return { node, known };
}
