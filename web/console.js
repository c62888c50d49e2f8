// The page /console: signing in, and its three rooms. The operator's token is kept for this tab only, and never in an address.

import { call, Refusal } from './api.js';
import { el, speak } from './site.js';
import { learn, t } from './words.js';

await learn('console');
const { live } = await import('./console-live.js');
const { halls } = await import('./console-hall.js');
const { log } = await import('./console-log.js');

const KEPT = 'onsale.operator';
const ROOMS = { live, halls, log };
const root = document.getElementById('console');
let leave = () => {};

function kept() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep(token) {
  try {
    if (token) sessionStorage.setItem(KEPT, token);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // Then it is typed again after a reload.
  }
}

// Whether these are an operator's words; throws what else is wrong.
async function isOperators(token) {
  try {
    await call('GET', '/admin/v1/queues?size=1', { bearer: token });
    return true;
  } catch (refusal) {
    if (refusal instanceof Refusal && refusal.code === 'INVALID_TOKEN') return false;
    throw refusal;
  }
}

function signIn(said = '') {
  leave();
  keep(null);
  const token = el('input', {
    id: 'operator', type: 'password', required: true, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off',
    'aria-describedby': 'operator-said',
  });
  const note = el('p', { id: 'operator-said', class: 'note bad', hidden: !said }, said);
  const say = (text) => {
    note.textContent = text;
    note.hidden = false;
    speak(text, true);
  };
  const submit = el('button', { class: 'main', type: 'submit' }, t('console.open'));
  const form = el('form', { class: 'card sign-in', autocomplete: 'off', onsubmit: (event) => {
    event.preventDefault();
    const typed = token.value.trim();
    // What cannot stand in a header is nobody's token.
    if (!/^[!-~]+$/.test(typed)) return say(t('console.wrong'));
    submit.disabled = true;
    isOperators(typed)
      .then((right) => {
        if (!right) return say(t('console.wrong'));
        speak('', true);
        keep(typed);
        return open(typed);
      })
      .catch((refusal) => say(refusal.code === 'NOT_FOUND' ? t('console.nobody') : t('console.unreachable')))
      .finally(() => (submit.disabled = false));
    return undefined;
  } }, el('p', { class: 'soft' }, t('console.about')), el('label', {}, t('console.token'), token), note, submit);
  show(el('h1', {}, t('console.title')), form);
  token.focus();
}

function show(...nodes) {
  root.replaceChildren(...nodes);
}

// The rooms, one at a time; which one is in the address, so that a reload and the way back lead there.
function open(token) {
  const operator = {
    call: (method, path, options = {}) => call(method, `/admin/v1${path}`, { ...options, bearer: token }),
    // A token that is not taken any more ends the visit.
    failed(refusal) {
      if (refusal?.code === 'INVALID_TOKEN') signIn(t('console.wrong'));
      return refusal?.code === 'INVALID_TOKEN';
    },
  };
  const links = Object.keys(ROOMS).map((name) => el('a', { href: `#${name}` }, t(`console.${name}`)));
  const room = el('div', { class: 'room' });
  const out = el('button', { class: 'quiet', type: 'button', onclick: () => signIn() }, t('console.close'));
  show(
    el('div', { class: 'row' }, el('h1', {}, t('console.title')), el('nav', { class: 'rooms', 'aria-label': t('console.rooms') }, links), out),
    room,
  );
  let stop = () => {};
  const enter = () => {
    stop();
    const name = location.hash.slice(1) in ROOMS ? location.hash.slice(1) : 'live';
    for (const link of links) {
      if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    stop = ROOMS[name](room, operator);
  };
  addEventListener('hashchange', enter);
  leave = () => {
    removeEventListener('hashchange', enter);
    stop();
    leave = () => {};
  };
  enter();
}

const token = kept();
if (token) open(token);
else signIn();
