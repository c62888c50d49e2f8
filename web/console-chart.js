// A curve over the last ten minutes, drawn by hand: an SVG that stretches, with its words beside it.

import { el } from './site.js';
import { number, t, time } from './words.js';

export const MINUTES = 10;
const MINUTE = 60_000;
// Of a server that has just begun less is shown, or there would be nothing to see.
const SPANS = [1, 2, 5, MINUTES];
const [WIDTH, HEIGHT] = [600, 120];
// A gap of more than that is one: nothing is drawn over what nobody saw.
const GAP = 5000;

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// The least of 1, 2, 5, 10, 20, 50… that is not below: an axis that does not jump about.
export function ceiling(value) {
  const tens = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((factor) => factor * tens).find((round) => round >= value);
}

// A chart of that name. `draw` takes points `{ at, value }`, oldest first, and what time it is.
export function chart(name, title) {
  const line = svg('path', { class: 'line' });
  const area = svg('path', { class: 'area' });
  const mark = svg('line', { class: 'mark', y1: 0, y2: HEIGHT, x1: -9, x2: -9 });
  const grid = [0, 0.5, 1].map((part) => svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: HEIGHT * part, y2: HEIGHT * part }));
  const drawing = svg(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': title },
    ...grid, area, line, mark,
  );
  const figure = el('strong', { class: 'now', data: { figure: name } }, '–');
  const high = el('span', { class: 'high' });
  const from = el('span', {});
  const read = el('span', { class: 'read' });
  const node = el(
    'section',
    { class: `chart ${name}` },
    el('div', { class: 'head' }, el('h2', {}, title), figure),
    el('div', { class: 'plot' }, high, drawing),
    el('div', { class: 'foot' }, from, read, el('span', {}, t('chart.now'))),
  );
  let [shown, begins, span] = [[], 0, MINUTE];

  drawing.addEventListener('pointermove', (event) => {
    const box = drawing.getBoundingClientRect();
    const at = begins + ((event.clientX - box.left) / box.width) * span;
    const nearest = shown.reduce((best, point) => (Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best), shown[0]);
    if (!nearest) return;
    const x = ((nearest.at - begins) / span) * WIDTH;
    mark.setAttribute('x1', x);
    mark.setAttribute('x2', x);
    read.textContent = `${time(nearest.at)} · ${number(nearest.value)}`;
  });
  drawing.addEventListener('pointerleave', () => {
    for (const end of ['x1', 'x2']) mark.setAttribute(end, -9);
    read.textContent = '';
  });

  function draw(points, now, value) {
    const minutes = SPANS.find((each) => each === MINUTES || points.length === 0 || now - points[0].at <= each * MINUTE);
    span = minutes * MINUTE;
    begins = now - span;
    from.textContent = t('chart.from', { minutes });
    shown = points.filter((point) => point.value != null && point.at >= begins);
    const most = Math.max(0, ...shown.map((point) => point.value));
    const ceil = ceiling(most * 1.05);
    const place = ({ at, value: y }) => [((at - begins) / span) * WIDTH, HEIGHT - (y / ceil) * HEIGHT];
    let [path, under, last] = ['', '', null];
    for (const point of shown) {
      const [x, y] = place(point).map((part) => part.toFixed(1));
      if (last && point.at - last.at <= GAP) {
        path += `L${x} ${y}`;
        under += `L${x} ${y}`;
      } else {
        if (last) under += `V${HEIGHT}Z`;
        path += `M${x} ${y}`;
        under += `M${x} ${HEIGHT}V${y}`;
      }
      last = point;
    }
    line.setAttribute('d', path);
    area.setAttribute('d', under ? `${under}V${HEIGHT}Z` : '');
    high.textContent = number(ceil);
    figure.textContent = value == null ? '–' : number(value);
    drawing.setAttribute('aria-label', t('chart.says', { title, now: figure.textContent, most: number(most) }));
  }

  return { node, draw };
}
