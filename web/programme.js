// The programme: counts down to what opens soon, and says so when it has opened.

import './site.js';
import { duration, t } from './words.js';

// An opening that is nearer is also said in days, hours or minutes from now.
const NEAR = 7 * 86_400;

function count() {
  for (const soon of document.querySelectorAll('[data-opens]')) {
    const left = (Date.parse(soon.dataset.opens) - Date.now()) / 1000;
    if (left <= 0) soon.parentElement.replaceChildren(t('programme.open'));
    else if (left < NEAR) soon.textContent = t('programme.in', { time: duration(Math.max(1, left)) });
  }
}

count();
setInterval(count, 1000);
