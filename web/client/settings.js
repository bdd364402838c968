// What the user wants to be told: by category and way, when not, and the addresses that are proved by a code.
//
// Owns what a choice means here: a way is several media, and what is not chosen is as the server has it by default.

import * as account from "./account.js";

const PATH = "/v1/me/notification-settings";

/** The media of each way. */
export const WAYS = { device: ["apns", "fcm", "webpush", "webhook"], mail: ["mail"], sms: ["sms"] };

/** The category of messages in channels, which nobody is told by mail or text message unless they choose that. */
export const MESSAGES = "messages";

/** `{settings, known, ways, addresses}`: what is chosen, the categories, by what this server sends, and `{mail?, sms?}`. */
export async function read() {
  const [settings, { contacts, media }] = await Promise.all([account.http("GET", PATH), account.http("GET", "/v1/me/contacts")]);
  const ways = Object.keys(WAYS).filter((way) => WAYS[way].some((medium) => media.includes(medium)));
  const addresses = {};
  for (const { medium, hint, verified } of contacts.filter((contact) => contact.hint)) {
    addresses[medium] = { ...addresses[medium], [verified ? "proved" : "pending"]: hint };
  }
  return { settings, known: settings.known, ways, addresses };
}

export const write = (settings) => account.http("PUT", PATH, settings);

/** Whether a category is told by a way. */
export function isTold({ categories }, { name, critical }, way) {
  const byDefault = way === "device" || name !== MESSAGES;
  if (critical) return true;
  const of = (category) => WAYS[way].map((medium) => categories[category]?.[medium]).find((on) => on !== undefined);
  return of(name) ?? of("*") ?? byDefault;
}

/** The settings with one choice more. */
export function choose(settings, name, way, on) {
  const media = Object.fromEntries(WAYS[way].map((medium) => [medium, on]));
  const { categories } = settings;
  return { ...settings, categories: { ...categories, [name]: { ...categories[name], ...media } } };
}

/** Has a code sent to an address. */
export const ask = (medium, address) => account.http("PUT", "/v1/me/contacts", { medium, address, locale: navigator.language });

/** Proves it by the code that came. */
export const prove = (medium, code) => account.http("POST", `/v1/me/contacts/${medium}/verify`, { code });

export const remove = (medium) => account.http("DELETE", `/v1/me/contacts/${medium}`);
