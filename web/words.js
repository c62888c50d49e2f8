// What pages say, in the language that the page is in. The words are in `words/*.json`, which templates use too.

export const language = document.documentElement.lang;
const plural = new Intl.PluralRules(language);
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const { default: known } = await import(`./${language}.js`);
const words = { ...known };

// Adds a room's words: `shop` reads `words/shop-en.json` or `words/shop-ko.json`.
export async function learn(room) {
  Object.assign(words, (await import(`./${room}-${language}.js`)).default);
}

// The text of this name, with `{names}` filled in; numbers are grouped. A text that depends on a number has the forms that
// Intl.PluralRules names, chosen by `count`.
export function t(name, values = {}) {
  const text = words[name] ?? name;
  const form = typeof text === 'string' ? text : (text[plural.select(values.count)] ?? text.other);
  return form.replace(/\{(\w+)\}/g, (_, key) => (typeof values[key] === 'number' ? number(values[key]) : values[key]));
}

export const number = (value) => whole.format(value);

const money = new Intl.NumberFormat(language, { style: 'currency', currency: 'KRW' });
export const won = (value) => money.format(value);

// A date of the venue's, such as 2026-12-24: it has no time zone.
const days = new Intl.DateTimeFormat(language, { dateStyle: 'full', timeZone: 'UTC' });
export const date = (value) => days.format(new Date(`${value}T00:00:00Z`));

const clock = new Intl.DateTimeFormat(language, { timeStyle: 'short' });
const moment = new Intl.DateTimeFormat(language, {
  year: 'numeric', month: 'long', day: 'numeric', hour: 'numeric', minute: '2-digit', timeZoneName: 'short',
});
export const time = (value) => clock.format(new Date(value));
export const dateTime = (value) => moment.format(new Date(value));

// So many seconds as a clock shows them, 4:05 or 1:00:00; in words where that is days.
export function timer(seconds) {
  if (seconds >= DAYS) return duration(seconds);
  const two = (part) => String(part).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// From here on a number of days says more than one of hours.
const DAYS = 48 * 3600;

// So many seconds in words: "40 seconds", "3 minutes", "2 hours", "5 days".
export function duration(seconds) {
  const sizes = { second: 1, minute: 60, hour: 3600, day: 86400 };
  const unit = seconds < 90 ? 'second' : seconds < 5400 ? 'minute' : seconds < DAYS ? 'hour' : 'day';
  const count = Math.round(seconds / sizes[unit]);
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(count);
}
