// The audit log: who did what, newest first.

import { el } from './site.js';
import { language, number, t } from './words.js';

// Of two acts in a minute, it matters which was first.
const exact = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'long' });

export function log(room, operator) {
  let cursor = null;
  let over = false;
  const list = el('ol', { class: 'log' });
  const more = el('button', { type: 'button', id: 'more', onclick: () => read() }, t('log.more'));
  const again = el('button', { type: 'button', onclick: () => read(true) }, t('log.again'));
  const said = el('p', { class: 'note bad', hidden: true });
  room.replaceChildren(el('section', { class: 'card' }, el('div', { class: 'row' }, el('h2', {}, t('log.title')), again), said, list, more));

  // What a queue's settings became, in a line; those without words by their own names.
  const setting = ([name, value]) => {
    const words = t(`setting.${name}`);
    const none = name === 'opensAt' ? '–' : t('setting.server');
    const now = name === 'opensAt' && value ? exact.format(new Date(value)) : Number.isInteger(value) ? number(value) : String(value);
    return `${words.startsWith('setting.') ? name : words}: ${value === null ? none : now}`;
  };
  const became = (action, request) => action === 'SET_QUEUE' && el('p', {}, Object.entries(request ?? {}).map(setting).join(' · '));

  const entry = ({ at, operator: who, action, target, request, outcome, requestId }) => el(
    'li', { data: { action } },
    el('div', { class: 'row' }, el('strong', {}, t(`log.${action}`)), el('span', {}, target)),
    el('p', { class: 'soft' }, `${who} · `, el('time', { datetime: at }, exact.format(new Date(at)))),
    became(action, request),
    el('details', {},
      el('summary', {}, t('log.details')),
      // It may be long, and is scrolled: by keys too.
      el('pre', { tabindex: 0, 'aria-label': t('log.details') }, JSON.stringify({ request, outcome, requestId }, null, 2))),
  );

  async function read(afresh = false) {
    more.disabled = again.disabled = true;
    try {
      const from = afresh || cursor === null ? '' : `&cursor=${cursor}`;
      const { data } = await operator.call('GET', `/audit?size=20${from}`);
      if (over) return;
      if (afresh) list.replaceChildren();
      list.append(...data.entries.map(entry));
      cursor = data.nextCursor;
      more.hidden = cursor === null;
      said.hidden = list.children.length > 0;
      said.className = 'note';
      said.textContent = t('log.empty');
    } catch (refusal) {
      if (over || operator.failed(refusal)) return;
      said.className = 'note bad';
      said.textContent = t('console.unreachable');
      said.hidden = false;
    } finally {
      more.disabled = again.disabled = false;
    }
  }

  read(true);
  return () => {
    over = true;
  };
}
