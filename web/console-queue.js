// A queue's settings, changed in place, each with what it will mean; pausing, resuming and draining, asked twice.

import { el, speak } from './site.js';
import { dateTime, duration, number, t } from './words.js';

// Name, least, most, step.
const NUMBERS = [
  ['admitPerSecond', 1, 1_000_000, 1],
  ['maxActive', 1, 10_000_000, 1],
  ['activeTtlSeconds', 1, 86_400, 1],
  ['holdTtlSeconds', 1, 86_400, 1],
  ['waitingTtlSeconds', 1, 86_400, 1],
  ['stockFactor', 0, 1000, 'any'],
];

// What a setting would mean, said with what is known of the queue.
export function meaning(field, value, { figures, soldOut, lately }) {
  const { waiting = 0, active = 0 } = figures ?? {};
  switch (field) {
    case 'admitPerSecond': {
      if (!waiting) return t('means.admitPerSecond.nobody', { rate: value });
      if (soldOut) return t('means.soldout', { waiting });
      const takes = t('means.admitPerSecond', { rate: value, waiting, time: duration(Math.max(1, waiting / value)) });
      return lately != null && lately < value / 2 ? `${takes} ${t('means.held', { lately: Math.round(lately) })}` : takes;
    }
    case 'maxActive':
      if (active > value) return t('means.maxActive.over', { active, over: active - value });
      return t('means.maxActive', { active, room: value - active });
    case 'stockFactor':
      return value > 0 ? t('means.stockFactor', { factor: String(value) }) : t('means.stockFactor.none');
    case 'opensAt':
      if (!value) return t('means.opensAt.none');
      return t(Date.parse(value) > Date.now() ? 'means.opensAt' : 'means.opensAt.over', { time: dateTime(value) });
    default:
      return t(`means.${field}`, { time: duration(value) });
  }
}

// A question that is answered in a dialog.
export function sure(title, text, word, danger = false) {
  return new Promise((answer) => {
    const dialog = el(
      'dialog', { 'aria-labelledby': 'sure' },
      el('form', { method: 'dialog', class: 'asked' },
        el('h2', { id: 'sure' }, title),
        el('p', {}, text),
        el('div', { class: 'row' },
          el('button', { value: 'yes', class: danger ? 'danger' : 'main' }, word),
          el('button', { value: '', autofocus: danger }, t('sure.no')))),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      answer(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// As an `<input type="datetime-local">` takes it, and back.
function local(text) {
  if (!text) return '';
  const at = new Date(text);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

// The settings of whichever queue is shown; `figuresOf(queue)` says how many wait and are in.
export function settings(operator, changed, figuresOf) {
  let queue = null;
  // How many were let in a second, as far as it is known.
  let lately = null;
  const inputs = new Map();
  const title = el('h2', {});
  const state = el('span', { class: 'state', id: 'state' });
  const said = el('p', { class: 'note', id: 'said', hidden: true });
  const say = (text, kind = 'good') => {
    said.textContent = text;
    said.className = `note ${kind}`;
    said.hidden = false;
    speak(text, kind === 'bad');
  };

  const field = (name, attributes) => {
    const means = el('span', { class: 'means', id: `means-${name}` });
    const own = el('span', { class: 'own' });
    const input = el('input', { id: name, name, 'aria-describedby': `means-${name}`, autocomplete: 'off', oninput: () => explain(), ...attributes });
    inputs.set(name, { input, means, own });
    return el('div', { class: 'field' }, el('label', { for: name }, t(`setting.${name}`)), input, own, means);
  };
  const fields = el(
    'div', { class: 'fields' },
    NUMBERS.map(([name, min, max, step]) => field(name, { type: 'number', min, max, step, inputmode: 'decimal' })),
    field('opensAt', { type: 'datetime-local' }),
  );
  const save = el('button', { class: 'main', type: 'submit', id: 'save' }, t('queue.save'));
  const undo = el('button', { type: 'button', onclick: () => (fill(), explain()) }, t('queue.undo'));
  const form = el('form', { class: 'settings', onsubmit: (event) => (event.preventDefault(), send()) },
    fields, el('p', { class: 'soft' }, t('queue.empty')), el('div', { class: 'row' }, save, undo));

  const act = (name, danger) => el('button', { type: 'button', id: name, class: danger ? 'danger' : '', onclick: () => carryOut(name, danger) }, t(`queue.${name}`));
  const [pause, resume, drain] = [act('pause', true), act('resume', false), act('drain', true)];
  const node = el('section', { class: 'card', hidden: true }, el('div', { class: 'row' }, title, state), el('div', { class: 'row' }, pause, resume, drain), said, form);

  const effective = (name) => queue.settings[name];
  const asTyped = (name) => (name === 'opensAt' ? local(effective(name)) : String(effective(name)));
  const typed = (name) => inputs.get(name).input.value;
  const isChanged = (name) => typed(name) !== inputs.get(name).filled;
  const value = (name) => {
    if (typed(name) === '') return null;
    return name === 'opensAt' ? new Date(typed(name)).toISOString() : Number(typed(name));
  };

  function fill() {
    for (const [name, kept] of inputs) {
      kept.filled = asTyped(name);
      kept.input.value = kept.filled;
    }
  }

  function explain() {
    for (const [name, { input, means, own }] of inputs) {
      const now = value(name);
      const changes = isChanged(name);
      const text = now === null && name !== 'opensAt' ? t('means.server') : input.validity.valid ? meaning(name, now, { figures: figuresOf(queue), soldOut: queue.soldOut, lately: changes ? null : lately }) : '';
      if (means.textContent !== text) means.textContent = text;
      own.textContent = changes ? t('setting.changed', { before: inputs.get(name).filled || '–' }) : queue.set.includes(name) || name === 'opensAt' ? '' : t('setting.server');
      input.classList.toggle('changed', changes);
    }
    const dirty = [...inputs.keys()].some(isChanged);
    save.disabled = undo.disabled = !dirty;
  }

  async function send() {
    const change = Object.fromEntries([...inputs.keys()].filter(isChanged).map((name) => [name, value(name)]));
    save.disabled = true;
    await tell('PATCH', '', change, t('queue.saved'));
  }

  async function carryOut(name, danger) {
    const waiting = number(figuresOf(queue)?.waiting ?? 0);
    if (!(await sure(t(`queue.${name}.sure`, { name: queue.name }), t(`queue.${name}.means`, { waiting }), t(`queue.${name}`), danger))) return;
    await tell('POST', `/${name}`, undefined, t(`queue.${name}.done`));
  }

  async function tell(method, path, body, done) {
    try {
      const { data } = await operator.call(method, `/queues/${encodeURIComponent(queue.name)}${path}`, { body });
      queue = null;
      show(data);
      say(done);
      changed();
    } catch (refusal) {
      if (operator.failed(refusal)) return;
      say(refusal.code === 'OFFLINE' ? t('console.unreachable') : refusal.message, 'bad');
      explain();
    }
  }

  // What is being typed stays; all else follows.
  function show(next, admitted = null) {
    lately = admitted;
    node.hidden = !next;
    if (!next) {
      queue = null;
      return;
    }
    const another = next.name !== queue?.name;
    const dirty = !another && [...inputs.keys()].some(isChanged);
    if (another && queue) said.hidden = true;
    queue = next;
    title.textContent = t('queue.title', { name: queue.name });
    const { paused, draining, opensAt } = queue.settings;
    const before = opensAt && Date.parse(opensAt) > Date.now();
    state.textContent = [paused && t('queue.paused'), draining && t('queue.draining')].filter(Boolean).join(', ') ||
      t(before ? 'queue.before' : queue.soldOut ? 'queue.soldout' : 'queue.open');
    state.classList.toggle('warn', Boolean(paused || draining || before || queue.soldOut));
    pause.hidden = paused;
    drain.hidden = draining;
    resume.hidden = !paused && !draining;
    if (!dirty) fill();
    explain();
  }

  return { node, show };
}
