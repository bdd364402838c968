// Times, presence and problems in words.

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "long", month: "long", day: "numeric" });
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const shortFormat = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const agoFormat = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const STEPS = [[60, "second"], [60, "minute"], [24, "hour"], [7, "day"], [Infinity, "week"]];

export const clock = (ms) => clockFormat.format(ms);
export const full = (ms) => fullFormat.format(ms);
export const dayOf = (ms) => new Date(ms).toDateString();

export function day(ms) {
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(ms).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return days < 300 ? dayFormat.format(ms) : dateFormat.format(ms);
}

/** A time in a list: the clock today, the date before. */
export function brief(ms) {
  if (dayOf(ms) === dayOf(Date.now())) return clock(ms);
  return new Date(ms).getFullYear() === new Date().getFullYear() ? shortFormat.format(ms) : dateFormat.format(ms);
}

export function ago(ms) {
  let amount = Math.max(0, (Date.now() - ms) / 1000);
  if (amount < 60) return "just now";
  for (const [size, unit] of STEPS) {
    if (amount < size) return agoFormat.format(-Math.floor(amount), unit);
    amount /= size;
  }
  return "";
}

/** A presence entry in words. */
export function presence({ state, last_active_ms }) {
  if (state !== "offline") return state;
  return last_active_ms ? `last seen ${ago(last_active_ms)}` : "offline";
}

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

/** Names as a list that does not grow: "Bora, Chul and 3 others". */
export function some(names, most = 3) {
  if (names.length <= most) return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : (names[0] ?? "");
  return `${names.slice(0, most).join(", ")} and ${count(names.length - most, "other")}`;
}
