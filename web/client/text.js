// Names and links in a text, and where a text may be cut.
//
// Pure. A mention is written @username; which users a message names is in its `mentions`, so a name alone is only text.
// A link is an http or https address as it is written. Characters that turn the direction of writing or show nothing end one,
// so that what is read is where it leads; an address with a user before its host is no link.

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/giu;
const TRAILING = /[.,:;!?*_~…。、，！？]+$/u;
const CLOSING = { ")": "(", "]": "[", "}": "{" };
/** UTF-16 units of the longest character that is looked at whole: a family of four with skin tones has some 25. */
const CHARACTER_MAX = 64;
const NAME = /(?<![A-Za-z0-9_.@])@([A-Za-z0-9_.]{3,32})/gu;

/** Usernames that a text calls, in lower case, a full stop at the end of one being punctuation unless `known` has it. */
function called(text, known) {
  return [...text.matchAll(NAME)].map((match) => {
    const name = match[1].toLowerCase();
    const bare = name.replace(/\.+$/u, "");
    return { at: match.index, name: known.has(name) ? name : bare };
  }).filter(({ name }) => known.has(name));
}

/** The ids of those of `users` whom a text names. */
export function mentioned(text, users) {
  const ids = new Map(users.map(({ username, user_id }) => [username, user_id]));
  return [...new Set(called(text, ids).map(({ name }) => ids.get(name)))];
}

/** An address as it is written, without the punctuation of the sentence around it. */
function trimmed(address) {
  for (;;) {
    const bare = address.replace(TRAILING, "");
    const opening = CLOSING[bare.at(-1)];
    const unbalanced = opening && bare.split(opening).length < bare.split(bare.at(-1)).length;
    const next = unbalanced ? bare.slice(0, -1) : bare;
    if (next === address) return address;
    address = next;
  }
}

/** Where a written address leads, or null if it is none that is safe to follow. */
function target(address) {
  try {
    const { protocol, username, password, href } = new URL(address);
    return ["http:", "https:"].includes(protocol) && !username && !password ? href : null;
  } catch {
    return null;
  }
}

/** A text cut into `{text, user_id?, href?}`: names of `users`, whom its message names, and links. */
export function pieces(text, users) {
  const cut = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimmed(match[0]);
    const href = target(address);
    if (!href) continue;
    cut.push(...named(text.slice(from, match.index), users), { text: address, href });
    from = match.index + address.length;
  }
  cut.push(...named(text.slice(from), users));
  return cut;
}

function named(text, users) {
  const ids = new Map(users.map(({ username, user_id }) => [username, user_id]));
  const cut = [];
  let from = 0;
  for (const { at, name } of called(text, ids)) {
    const to = at + 1 + name.length;
    if (at > from) cut.push({ text: text.slice(from, at) });
    cut.push({ text: text.slice(at, to), user_id: ids.get(name) });
    from = to;
  }
  if (from < text.length) cut.push({ text: text.slice(from) });
  return cut;
}

/** What is being typed after an @ that ends at the caret, or null: `{from, name}`. */
export function nameAt(text, caret) {
  const match = /(?:^|[\s([{"'])@([^\s@]{0,32})$/u.exec(text.slice(0, caret));
  return match ? { from: caret - match[1].length - 1, name: match[1].toLowerCase() } : null;
}

/** Characters as the server counts them. */
export const chars = (text) => [...text].length;

const segmenter = new Intl.Segmenter();

/** The beginning of a text, at most so many UTF-16 units of it, never a part of a character as a reader sees one. */
export function beginning(text, most) {
  if (text.length <= most) return text;
  // A character longer than everything before it is cut at a code point.
  const at = segmenter.segment(text.slice(0, most + CHARACTER_MAX)).containing(most).index;
  return at > 0 ? text.slice(0, at) : text.slice(0, most).replace(/\p{Surrogate}$/u, "");
}

/** The same as a preview, with a mark where something was left out. */
export const preview = (text, most) => (text.length <= most ? text : `${beginning(text, most)}…`);
