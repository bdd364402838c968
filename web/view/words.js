// Times, presence, sizes and messages in words.

import { preview } from "../client/text.js";
import { language, t, tn } from "./language.js";

const FORMATS = {
  clock: { hour: "2-digit", minute: "2-digit" },
  day: { weekday: "long", month: "long", day: "numeric" },
  date: { dateStyle: "medium" },
  short: { month: "short", day: "numeric" },
  full: { dateStyle: "medium", timeStyle: "short" },
};
const STEPS = [[60, "second"], [60, "minute"], [24, "hour"], [7, "day"], [Infinity, "week"]];
const made = new Map();

/** What `make(locale)` makes, once in each language. The browser's own locale where it is of the same language: it knows its region. */
function of(name, make) {
  const key = `${language()} ${name}`;
  if (!made.has(key)) {
    const own = globalThis.navigator?.language ?? "en";
    made.set(key, make(own.split("-")[0] === language() ? own : language()));
  }
  return made.get(key);
}

const format = (name, ms) => of(name, (locale) => new Intl.DateTimeFormat(locale, FORMATS[name])).format(ms);

export const clock = (ms) => format("clock", ms);
export const full = (ms) => format("full", ms);
export const dayOf = (ms) => new Date(ms).toDateString();

export function day(ms) {
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(ms).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return t("Today");
  if (days === 1) return t("Yesterday");
  return format(days < 300 ? "day" : "date", ms);
}

/** A time in a list: the clock today, the date before. */
export function brief(ms) {
  if (dayOf(ms) === dayOf(Date.now())) return clock(ms);
  return new Date(ms).getFullYear() === new Date().getFullYear() ? format("short", ms) : format("date", ms);
}

export function ago(ms) {
  let amount = Math.max(0, (Date.now() - ms) / 1000);
  if (amount < 60) return t("just now");
  for (const [size, unit] of STEPS) {
    if (amount < size) return of("ago", (locale) => new Intl.RelativeTimeFormat(locale, { numeric: "auto" })).format(-Math.floor(amount), unit);
    amount /= size;
  }
  return "";
}

/** A presence entry in words. */
export function presence({ state, last_active_ms }) {
  if (state !== "offline") return t(state);
  return last_active_ms ? t("last seen {when}", { when: ago(last_active_ms) }) : t("offline");
}

/** Names as a list that does not grow: "Bora, Chul and 3 others". */
export function some(names, most = 3) {
  const others = names.length - most;
  const shown = others > 0 ? [...names.slice(0, most), tn(others, "{count} other", "{count} others")] : names;
  return of("list", (locale) => new Intl.ListFormat(locale, { type: "conjunction" })).format(shown);
}

/** When a post was written: how long ago on the same day, the date before. */
export const when = (ms) => (Date.now() - ms < 20 * 3_600_000 ? ago(ms) : brief(ms));

/** A file's length. */
export function fileSize(bytes) {
  const steps = [["byte", 1], ["kilobyte", 1e3], ["megabyte", 1e6], ["gigabyte", 1e9]];
  const [unit, size] = steps.findLast(([, least]) => bytes >= least) ?? steps[0];
  const digits = unit === "byte" || bytes / size >= 10 ? 0 : 1;
  return of(unit + digits, (locale) => new Intl.NumberFormat(locale, { style: "unit", unit, maximumFractionDigits: digits })).format(bytes / size);
}

/** What a message says, in short: its text, or what it has in the place of one. */
export function said({ body, media, deleted }, most) {
  if (deleted) return t("deleted");
  if (body || !media?.length) return preview(body ?? "", most);
  const pictures = media.filter(({ kind }) => kind === "image").length;
  if (pictures === media.length) return tn(pictures, "Picture", "{count} pictures");
  return media.length === 1 && media[0].name ? preview(media[0].name, most) : tn(media.length, "File", "{count} files");
}
