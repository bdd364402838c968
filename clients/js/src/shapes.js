// What the server may send, as far as this client relies on it.
//
// Fields that are not listed are let through and pushes of other kinds are left out: a later server has more of both.

import { BadInput } from "./errors.js";

/** @typedef {(value: any) => boolean} Check */

/** @type {Check} */
const id = (value) => typeof value === "string" && /^\d{1,20}$/u.test(value);
/** @type {Check} */
const count = (value) => Number.isSafeInteger(value) && value >= 0;
/** @type {Check} */
const text = (value) => typeof value === "string";
/** @type {Check} */
const flag = (value) => typeof value === "boolean";
/** @type {Check} */
const cursor = (value) => typeof value === "string" && value.length > 0 && value.length <= 64;
/** @type {(check: Check) => Check} */
const maybe = (check) => (value) => value === undefined || value === null || check(value);
/** @type {(fields: Record<string, Check>) => Check} */
const object = (fields) => (value) => isObject(value) && Object.entries(fields).every(([name, check]) => check(value[name]));
/** @type {(check: Check) => Check} */
const list = (check) => (value) => Array.isArray(value) && value.every(check);

/** @param {any} value */
export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

const attachment = object({
  media_id: id, kind: text, content_type: text, name: maybe(text), bytes: count, width: maybe(count), height: maybe(count),
  blurhash: maybe(text), poster: maybe(id),
});
const message = object({
  channel_id: id, seq: count, revision: count, from: id, sent_ms: count, body: maybe(text), client_msg_id: maybe(text),
  deleted: maybe(flag), reactions: maybe(list(object({ emoji: text, count }))), mentions: maybe(list(id)),
  media: maybe(list(attachment)),
});
const entry = object({ user_id: id, state: text });

/** @type {Record<string, Check>} */
const PUSHES = {
  message: object({ message, cursor: maybe(cursor) }),
  edited: object({ message, cursor: maybe(cursor) }),
  deleted: object({ channel_id: id, seq: count, revision: count, cursor: maybe(cursor) }),
  reaction: object({ channel_id: id, seq: count, emoji: text, count, user_id: id, on: flag, cursor: maybe(cursor) }),
  membership: object({ channel_id: id, user_id: id, change: text, cursor: maybe(cursor) }),
  read: object({ channel_id: id, user_id: id, read_seq: count, cursor: maybe(cursor) }),
  snapshot: object({
    channels: list(object({ channel_id: id, head_seq: count, read_seq: count })), more: maybe(flag), cursor: maybe(cursor),
  }),
  head: object({ channel_id: id, head_seq: count }),
  presence: object({ entries: list(entry) }),
  typing: object({ channel_id: id, user_id: id, on: flag }),
  feed_head: object({ count }),
  published: object({ channel_id: id, event: text, data: text }),
  token_expiring: object({}),
  drain: object({ jitter_ms: maybe(count), url: maybe(text) }),
};

/** @type {Record<string, Check>} */
const REPLIES = {
  connect: object({ user_id: id, server_time_ms: count, cursor }),
  send: object({ seq: count, sent_ms: count }),
  edit: object({ revision: count }),
  delete: object({ revision: count }),
  react: object({ count }),
  history: object({ messages: list(message), head_seq: count }),
  mark: object({ read_seq: count }),
  open: object({ head_seq: count }),
  presence_get: object({ entries: list(entry) }),
  presence_watch: object({ entries: list(entry) }),
  search: object({ hits: list(object({ channel_id: id, seq: count })) }),
};

const PAUSE_MS_MAX = 3_600_000;

/** Characters of a line that is looked at; the server's longest are pages of history. */
export const LINE_CHARS_MAX = 16 * 1024 * 1024;

/**
 * An envelope: `{push: [kind, fields]}` with null for a kind that is not known, `{id, error}` or `{id, reply}`. Throws
 * `BadInput`.
 *
 * @param {string} line
 * @returns {{ push?: [string, any] | null, id?: number, error?: any, reply?: Record<string, any> }}
 */
export function envelope(line) {
  if (line.length > LINE_CHARS_MAX) throw new BadInput(`a line of ${line.length} characters`);
  let parsed;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw new BadInput(`what is not JSON: ${line.slice(0, 80)}`);
  }
  if (!isObject(parsed)) throw new BadInput(`what is no object: ${line.slice(0, 80)}`);
  if (parsed.push !== undefined) return { push: push(parsed.push) };
  if (!count(parsed.id)) throw new BadInput(`neither a push nor a reply: ${line.slice(0, 80)}`);
  if (parsed.error === undefined) return { id: parsed.id, reply: parsed };
  const { code, message: why, temporary, retry_after_ms } = isObject(parsed.error) ? parsed.error : {};
  if (!count(code)) throw new BadInput(`an error without a code: ${line.slice(0, 80)}`);
  // A timer takes no more than 2^31 ms, and no server means more than an hour.
  const after = count(retry_after_ms) ? Math.min(retry_after_ms, PAUSE_MS_MAX) : 0;
  return { id: parsed.id, error: { code, message: text(why) ? why : "", temporary: temporary === true, retry_after_ms: after } };
}

/**
 * @param {any} value
 * @returns {[string, any] | null}
 */
function push(value) {
  const kind = isObject(value) ? Object.keys(value)[0] : undefined;
  if (kind === undefined) throw new BadInput("a push of nothing");
  if (!Object.hasOwn(PUSHES, kind)) return null;
  if (!PUSHES[kind](value[kind])) throw new BadInput(`a push of ${kind} that is not whole: ${JSON.stringify(value[kind]).slice(0, 120)}`);
  return [kind, value[kind]];
}

/**
 * The fields of a reply. Throws `BadInput`.
 *
 * @param {string} command
 * @param {Record<string, any>} reply
 */
export function replyOf(command, reply) {
  const fields = reply[command];
  const check = Object.hasOwn(REPLIES, command) ? REPLIES[command] : isObject;
  if (!check(fields)) throw new BadInput(`a reply to ${command} that is not whole`);
  return fields;
}
