// Who is there and who is writing: what is told live, kept nowhere, and may be dropped.
//
// Owns the watch list, which the server holds for a connection and no longer. Users who may not be seen are offline without
// a time, like those of whom nothing is known.

const WATCHED_MAX = 500;
/** One who writes is told of at most every 3 s; after twice that silence means that it has stopped. */
const TYPING_MS = 3000;

export class Presence {
  /** `wanted()` names the users to be watched, the most wanted first. */
  constructor({ ask, tell, wanted, changed }) {
    Object.assign(this, { ask, tell, wanted, changed });
    this.entries = new Map();
    this.watched = "";
    this.writing = new Map();
    // Whether anything was told since there is a connection, and what was told of the own writing.
    this.told = false;
    this.wrote = { channelId: null, on: false, atMs: 0 };
  }

  /** `{state, last_active_ms}` of a user; null if nobody tells, as without a connection. */
  of(userId) {
    return this.told ? (this.entries.get(userId) ?? { state: "offline", last_active_ms: 0 }) : null;
  }

  take(entries) {
    this.told = true;
    for (const entry of entries) this.entries.set(entry.user_id, entry);
    this.changed();
  }

  /** The list replaces the earlier one, and is sent only if it is another. */
  async watch() {
    const userIds = [...new Set(this.wanted())].slice(0, WATCHED_MAX);
    const list = userIds.toSorted().join();
    if (list === this.watched) return;
    this.watched = list;
    try {
      this.take((await this.ask("presence_watch", { user_ids: userIds })).entries);
    } catch {
      // With the next connection, or the next change of the list.
      this.watched = "";
    }
  }

  /** Members of a channel too large to be watched: a page of 200. */
  async look(channelId, page) {
    this.take((await this.ask("presence_get", { channel_id: channelId, page })).entries);
  }

  /** Without a connection nobody tells, and a new one watches nobody yet. */
  lost() {
    this.told = false;
    this.watched = "";
    this.entries.clear();
    for (const users of this.writing.values()) users.forEach(clearTimeout);
    this.writing.clear();
  }

  /** Users who write in a channel. */
  writers(channelId) {
    return [...(this.writing.get(channelId)?.keys() ?? [])];
  }

  typing({ channel_id, user_id, on }) {
    if (!on && !this.writing.get(channel_id)?.has(user_id)) return;
    if (!this.writing.has(channel_id)) this.writing.set(channel_id, new Map());
    const users = this.writing.get(channel_id);
    clearTimeout(users.get(user_id));
    if (on) users.set(user_id, setTimeout(() => this.typing({ channel_id, user_id, on: false }), 2 * TYPING_MS));
    else users.delete(user_id);
    this.changed(channel_id);
  }

  /** The own user writes, or has stopped. Told no oftener than the server takes it. */
  write(channelId, on) {
    const isSame = this.wrote.channelId === channelId;
    // That it stopped counts too: where that comes too early, or a message was sent, silence and message tell it.
    const isEarly = isSame && Date.now() - this.wrote.atMs < TYPING_MS;
    if (isEarly || (!on && !(isSame && this.wrote.on))) return;
    this.wrote = { channelId, on, atMs: Date.now() };
    this.tell("typing", { channel_id: channelId, on });
  }
}
