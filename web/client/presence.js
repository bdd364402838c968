// Who is there and who is writing: what is told live, kept nowhere, and may be dropped.
//
// Owns who is watched, which the client tells to each connection. Users who may not be seen are offline without a time, like
// those of whom nothing is known.

const WATCHED_MAX = 500;
/** One who writes is told of at most every 3 s; after twice that silence means that it has stopped. */
const SILENCE_MS = 6000;

export class Presence {
  /** `wanted()` names the users to be watched, the most wanted first. */
  constructor({ client, wanted, changed }) {
    Object.assign(this, { client, wanted, changed });
    this.entries = new Map();
    this.watched = "";
    this.writing = new Map();
    // Whether anything was told since there is a connection.
    this.told = false;
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
    if (!userIds.length) this.told = true;
    const list = userIds.toSorted().join();
    if (list === this.watched) return;
    this.watched = list;
    // Without a connection the next one is told.
    await this.client.watch(userIds).catch(() => {});
  }

  /** Members of a channel too large to be watched: a page of 200. */
  async look(channelId, page) {
    this.take((await this.client.presence({ channelId, page })).entries);
  }

  /** Without a connection nobody tells. */
  lost() {
    this.told = false;
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
    if (on) users.set(user_id, setTimeout(() => this.typing({ channel_id, user_id, on: false }), SILENCE_MS));
    else users.delete(user_id);
    this.changed(channel_id);
  }

  /** The own user writes, or has stopped. */
  write(channelId, on) {
    this.client.typing(channelId, on).catch(() => {});
  }
}
