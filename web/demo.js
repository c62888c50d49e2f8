// The page /demo: a crowd to send, and the two sides from which one watches it.

import { call } from './api.js';
import { chart, MINUTES } from './console-chart.js';
import { el, speak } from './site.js';
import { learn, number, t } from './words.js';

await learn('console');

const root = document.getElementById('demo');
const said = el('p', { class: 'note bad', hidden: true });
const concert = el('select', { id: 'concert' }, el('option', { value: '' }, t('demo.new')));
const range = (id, max, value) => el('input', { id, type: 'number', min: 1, max, value, required: true, inputmode: 'numeric' });
const [fans, rate] = [range('fans', 5000, 2000), range('rate', 500, 100)];
const field = (label, input) => el('div', { class: 'field' }, el('label', { for: input.id }, t(label)), input);
const start = el('button', { class: 'main', type: 'submit', id: 'start' }, t('demo.start'));
const stop = el('button', { class: 'danger', type: 'button', id: 'stop', hidden: true, onclick: () => ask('DELETE') }, t('demo.stop'));
const form = el('form', { class: 'card', onsubmit: (event) => (event.preventDefault(), ask('POST')) },
  el('p', {}, t('demo.about')),
  el('div', { class: 'fields' }, field('demo.concert', concert), field('demo.fans', fans), field('demo.rate', rate)),
  said, el('div', { class: 'row' }, start, stop));

const fan = el('a', { class: 'button', id: 'fan', target: '_blank', href: '/' }, t('demo.fan'));
const operator = el('a', { class: 'button', id: 'operator', href: '/console' }, t('demo.operator'));
const token = el('p', { class: 'soft' });
const sides = el('section', { class: 'card' },
  el('h2', {}, t('demo.sides')),
  el('div', { class: 'row' }, fan, operator), el('p', { class: 'soft' }, t('demo.sides.means')), token);

const charts = { waiting: chart('waiting', t('demo.waiting')), sold: chart('sold', t('demo.sold')) };
const facts = el('dl', { class: 'facts' });
const standing = el('p', { id: 'standing', class: 'soft' }, t('demo.nobody'));
const crowd = el('section', { class: 'figures' }, el('h2', {}, t('demo.crowd')), standing, facts,
  el('div', { class: 'charts' }, Object.values(charts).map(({ node }) => node)));
root.append(form, sides, crowd);

const points = [];
let last = null;

async function ask(method) {
  const body = { concertId: concert.value ? Number(concert.value) : null, fans: Number(fans.value), perSecond: Number(rate.value) };
  start.disabled = stop.disabled = true;
  try {
    const { data } = await call(method, '/demo/crowd', method === 'POST' ? { body, once: true } : {});
    said.hidden = true;
    if (method === 'POST') points.length = 0;
    show(data);
    speak(t(method === 'POST' ? 'demo.started' : 'demo.stopped'));
  } catch (refusal) {
    said.textContent = refusal.code === 'OFFLINE' ? t('console.unreachable') : refusal.message;
    said.hidden = false;
    speak(said.textContent, true);
  } finally {
    start.disabled = stop.disabled = false;
  }
}

function show(now) {
  if (!now) return;
  const { waiting, admitted, sold, ended, through, failures, isThere } = now;
  start.hidden = isThere;
  stop.hidden = !isThere;
  fan.href = `/concerts/${now.concertId}`;
  standing.textContent = t(isThere ? 'demo.there' : 'demo.gone', { fans: now.fans, ended });
  const fact = (name, value) => el('div', {}, el('dt', {}, t(`demo.${name}`)), el('dd', { data: { fact: name } }, number(value)));
  facts.replaceChildren(fact('admitted', admitted), fact('through', through), fact('failures', failures));
  const at = Date.now();
  points.push({ at, waiting, sold });
  while (points[0].at < at - MINUTES * 60_000) points.shift();
  for (const name of ['waiting', 'sold']) {
    charts[name].draw(points.map((point) => ({ at: point.at, value: point[name] })), at, now[name]);
  }
  if (last?.isThere && !isThere) speak(t('demo.gone', { fans: now.fans, ended }));
  last = now;
}

async function look() {
  try {
    show((await call('GET', '/demo/crowd', { once: true })).data);
    crowd.classList.remove('stale');
  } catch {
    crowd.classList.add('stale');
  }
  setTimeout(look, last?.isThere ? 500 : 1500);
}

// The operators' token is shown only where the server says that it may be: then the console opens without typing it.
async function openConsole() {
  const { data } = await call('GET', '/demo/operator');
  if (!data.token) {
    token.textContent = t('demo.token.elsewhere');
    return;
  }
  token.append(t('demo.token'), ' ', el('code', { id: 'token' }, data.token));
  operator.addEventListener('click', () => {
    try {
      sessionStorage.setItem('onsale.operator', data.token);
    } catch {
      // Then it is typed, or pasted.
    }
  });
}

async function programme() {
  const { data } = await call('GET', '/api/v1/concerts?size=100');
  concert.append(...data.concerts.map(({ concertId, title }) => el('option', { value: concertId }, title)));
}

look();
openConsole();
programme();
