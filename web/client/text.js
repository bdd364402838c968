// What is in a text: whom it names, and what of it is a name.
//
// Pure. A mention is written @username; which users a message names is in its `mentions`, so a name alone is only text.

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

/** A text cut into `{text, user_id?}`, where `users` are those whom its message names. */
export function pieces(text, users) {
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
