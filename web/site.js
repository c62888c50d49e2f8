// What every page has: making elements, speaking to screen readers, dates as people write them, the corner that says who one is.

import { date, dateTime, t } from './words.js';
import { visitor } from './api.js';

// An element: el('button', { class: 'button', onclick: f, disabled: true, data: { id: 1 } }, 'text', child…). False and
// nullish attributes and children are left out.
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (key === 'data') Object.assign(made.dataset, value);
    else if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

// Has screen readers say something; only what one has to know now is urgent.
export function speak(text, urgent = false) {
  const region = document.getElementById(urgent ? 'urgent' : 'polite');
  if (region) region.textContent = text;
}

for (const each of document.querySelectorAll('time[datetime]')) {
  each.textContent = each.dateTime.includes('T') ? dateTime(each.dateTime) : date(each.dateTime);
}

const corner = document.getElementById('corner');
if (corner && visitor.demo) {
  const another = () => {
    visitor.become();
    location.reload();
  };
  corner.append(
    el('span', {}, t('visitor', { id: String(visitor.id) })),
    el('button', { class: 'quiet', type: 'button', onclick: another }, t('visitor.another')),
  );
}
