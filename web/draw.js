// The proof of a draw: what was promised, what was drawn, and a check that asks nobody. docs/draw.md has the same in words.

import { el } from './site.js';
import { call, stored } from './api.js';
import { t } from './words.js';

const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');

// How many keys are computed at a time.
const AT_A_TIME = 2000;

// Whether the seed is the one that was promised, and at which place an entry comes (from 0).
export async function check(facts, entry) {
  const seed = bytes(facts.seed);
  if (hex(await crypto.subtle.digest('SHA-256', seed)) !== facts.seedSha256) return null;
  if (!entry) return { place: null };
  const key = await crypto.subtle.importKey('raw', seed, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const text = new TextEncoder();
  const keyOf = async (e) => hex(await crypto.subtle.sign('HMAC', key, text.encode(`${facts.queue}:${facts.entries}:${e}`)));
  const ours = await keyOf(entry);
  let place = 0;
  for (let from = 1; from <= facts.entries; from += AT_A_TIME) {
    const some = Array.from({ length: Math.min(AT_A_TIME, facts.entries - from + 1) }, (_, at) => from + at);
    const keys = await Promise.all(some.map(keyOf));
    place += keys.filter((each, at) => each < ours || (each === ours && some[at] < entry)).length;
  }
  return { place };
}

// What is shown of a draw.
export async function prove({ queue, entry, place }) {
  let facts;
  try {
    ({ data: facts } = await call('GET', `/api/v1/queues/draws/${queue}`));
  } catch {
    return el('p', {}, t('proof.none'));
  }
  const fact = (key, value) => [el('dt', {}, t(key)), el('dd', { class: 'mono' }, value)];
  const list = el('dl', {}, ...fact('proof.promise', facts.seedSha256));
  if (!facts.seed) return el('div', { class: 'proof' }, list, el('p', {}, t('proof.later')));
  list.append(...fact('proof.seed', facts.seed));
  const entries = facts.entries;
  const drawn = entry && place !== null && el('p', {}, t('proof.drawn', { entry, entries, place: place + 1 }));
  const outcome = el('p', { role: 'status' });
  const run = async (event) => {
    event.currentTarget.disabled = true;
    outcome.textContent = t('proof.checking', { entries });
    // What this browser was promised itself counts, not what is said now.
    const [opensAt, promised] = (stored(`onsale.promise.${queue}`) ?? '').split(' ');
    const keeps = opensAt !== facts.opensAt || promised === facts.seedSha256;
    const found = keeps && (await check(facts, entry));
    const holds = found && (place === null || found.place === null || found.place === place);
    outcome.className = holds ? 'note good' : 'note bad';
    outcome.textContent = !holds
      ? t('proof.broken')
      : found.place === null
        ? t('proof.sound')
        : t('proof.holds', { place: found.place + 1 });
  };
  const can = globalThis.crypto?.subtle && el('button', { type: 'button', onclick: run }, t('proof.check'));
  return el('div', { class: 'proof' }, drawn, list, el('p', { class: 'soft' }, t('proof.how', { queue, entries })), can, outcome);
}
