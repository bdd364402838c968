// What this tab knows: the switchboard between what is pushed, what is asked and what is shown.
//
// Owns the channels and which one is looked at. Each concern has its own file: one channel's messages (`channel.js`), what the
// user does (`acts.js`), who is there (`presence.js`), people (`people.js`), posts (`feed.js`). Draws nothing; `on.changed(channelId?)` tells who
// does.

import { Acts } from "./acts.js";
import { Channel } from "./channel.js";
import { FeedModel } from "./feed.js";
import { Groups } from "./groups.js";
import { People } from "./people.js";
import { Presence } from "./presence.js";

const PAGE = 50;
const RELIST_MS = 200;
/** Members up to which everybody is told who has read: in larger groups nobody is. */
const SMALL_GROUP = 20;
/** What is pushed, as PROTOCOL names it. */
const PUSHES = ["message", "edited", "deleted", "reaction", "membership", "read", "snapshot", "head", "presence", "typing", "feed_head"];
/** Channels whose messages are kept over a reload. */
const KEPT_CHANNELS = 50;

export class Model {
  /**
   * `on` has `changed(channelId?)`, `heard(message)` for what others send, `gone(channelId)`, and `looking(channelId)`, whether
   * the user sees what comes there.
   */
  constructor(account, on) {
    this.account = account;
    this.userId = account.current().user_id;
    this.on = on;
    this.client = null;
    this.open = null;
    this.channels = new Map();
    const changed = (channelId) => on.changed(channelId);
    this.people = new People(account.http, changed);
    this.groups = new Groups(account.http);
    this.feed = new FeedModel({ api: account.api, people: this.people, me: this.userId, changed });
  }

  /** Stands on a client, which is started later. */
  use(client) {
    this.client = client;
    this.acts = new Acts(this, client);
    this.presence = new Presence({ client, changed: (channelId) => this.on.changed(channelId), wanted: () => this.wanted() });
    for (const kind of PUSHES) client.on(kind, (fields) => this.push(kind, fields));
    client.on("lost", () => this.forget());
  }

  get isLive() {
    return this.client?.state.state === "live";
  }

  me() {
    return this.userId;
  }

  channel(id) {
    if (!this.channels.has(id)) this.channels.set(id, new Channel(id));
    return this.channels.get(id);
  }

  /** Channels by recent activity. */
  list() {
    return [...this.channels.values()].filter((channel) => channel.kind).sort((a, b) => b.activeMs - a.activeMs);
  }

  unread() {
    return this.list().reduce((sum, channel) => sum + (channel.muted ? 0 : channel.unread), 0);
  }

  title(channel) {
    return channel.title || (channel.peer ? this.people.name(channel.peer.user_id) : "…");
  }

  // What is kept over a reload.

  kept() {
    return this.list().map((channel, at) => channel.kept(at < KEPT_CHANNELS));
  }

  restore(channels) {
    for (const kept of channels) {
      this.channels.set(kept.channel_id, Channel.fromKept(kept));
      this.people.know(kept.peer);
    }
  }

  /** Everything cached may be wrong: it is asked for again, and what is not in the list then is gone. */
  forget() {
    for (const channel of this.channels.values()) channel.forget();
  }

  // The connection comes and goes.

  /** What came while there was no connection is pushed now. */
  async live() {
    if (this.open) this.look(this.open);
    this.feed.live().catch(() => {});
    await this.loadChannels();
    // Not of the essence: who is a friend is asked for, so that friends' presence is watched.
    await Promise.allSettled([this.people.loadFriends(), this.people.loadBlocks()]);
    await this.presence.watch();
  }

  lost() {
    this.presence.lost();
    this.on.changed();
  }

  /** The list, asked for once however many events want it. */
  relist() {
    clearTimeout(this.relisting);
    this.relisting = setTimeout(() => this.loadChannels().catch(() => {}), RELIST_MS);
  }

  async loadChannels() {
    for (const row of await this.people.pages("/v1/channels", "channels")) {
      this.people.know(row.peer);
      this.channel(row.channel_id).describe(row);
    }
    if (this.open && !this.channel(this.open).kind) this.drop(this.open);
    this.on.changed();
    this.presence.watch();
  }

  /** A channel that this account is in no more. */
  drop(id) {
    this.channels.delete(id);
    if (this.open === id) this.on.gone(id);
  }

  /** Who is watched: members of the channel that is open, then everyone with whom there is a direct one, then friends. */
  wanted() {
    const members = this.open && this.channel(this.open).kind !== "large" ? this.people.membersOf(this.open).list : [];
    const peers = this.list().map((channel) => channel.peer).filter(Boolean);
    const others = [...members, ...peers, ...this.people.friends].map((user) => user.user_id);
    return others.filter((id) => id !== this.me());
  }

  // One channel is looked at.

  /** Comes to a channel: draws the line before what is new, and asks for what is not held. */
  choose(id) {
    const before = this.open;
    if (before && before !== id) {
      this.channel(before).opened = null;
      this.presence.write(before, false);
      this.client.close(before).catch(() => {});
    }
    this.open = id;
    if (!id) return;
    const channel = this.channel(id);
    channel.divider = channel.unread ? Math.max(channel.read_seq, channel.floor) : null;
    channel.jump = null;
    if (this.isLive) this.look(id);
  }

  /** Asks for what is not held of the channel that is looked at, and tells the server that it is. */
  async look(id) {
    const channel = this.channel(id);
    channel.notice = "";
    const failed = (what) => (error) => { if (this.isLive) channel.notice = `${what}: ${error.message}`; };
    await Promise.all([this.follow(channel).catch(failed("Messages")), this.meet(channel).catch(failed("Members"))]);
    this.on.changed(id);
  }

  /** A large channel's live delivery begins after the last message that is held: nothing is missed between the two. */
  async follow(channel) {
    const { channel_id, kind } = channel;
    if (!channel.tail || kind === "large" || channel.tail.to < channel.head_seq) await this.page(channel, "newest", {});
    if (this.open !== channel_id) return;
    channel.opened = await this.client.open(channel_id, kind === "large" ? { afterSeq: channel.tail.to } : {});
    channel.grow(channel.opened.head_seq);
    channel.read(channel.opened.read_seq);
    for (const { user_id, read_seq } of channel.opened.reads ?? []) this.otherRead(channel, user_id, read_seq);
  }

  /** Who is in a channel, and whether they are there. */
  async meet({ channel_id, kind }) {
    await this.people.loadMembers(channel_id);
    if (kind === "large") await this.presence.look(channel_id, 0);
    else await this.presence.watch();
  }

  async page(channel, direction, window) {
    while (channel.loading) await channel.loading.catch(() => {});
    channel.loading = this.client.history(channel.channel_id, { limit: PAGE, ...window });
    try {
      channel.takePage(direction, await channel.loading);
    } finally {
      channel.loading = null;
    }
    this.on.changed(channel.channel_id);
  }

  /** A page of what is older than what is looked at. */
  async older(id) {
    const channel = this.channel(id);
    const span = channel.jump ?? channel.tail;
    if (span && !span.complete && !channel.loading) await this.page(channel, "before", { before: span.from });
  }

  /** After a jump, a page of what is newer. */
  async newer(id) {
    const channel = this.channel(id);
    if (channel.jump && !channel.loading) await this.page(channel, "after", { after: channel.jump.to });
  }

  /** Goes to a message, wherever it is. */
  async jumpTo(id, seq) {
    const channel = this.channel(id);
    if (!channel.holds(seq)) await this.page(channel, "around", { around: seq });
  }

  /** Back from a jump. */
  toNewest(id) {
    const channel = this.channel(id);
    channel.jump = null;
    this.on.changed(id);
  }

  /** The message that another one answers. It is asked for if it is not held. */
  quoted(channel, seq) {
    const held = channel.messages.get(seq);
    if (!held && !channel.asked.has(seq) && this.isLive) {
      channel.asked.add(seq);
      this.client.history(channel.channel_id, { around: seq, limit: 1 })
        .then((page) => {
          page.messages.forEach((message) => channel.put(message, true));
          this.on.changed(channel.channel_id);
        })
        .catch(() => channel.asked.delete(seq));
    }
    return held;
  }

  /** The user has seen what is here of this channel, up to its end. */
  markRead(id) {
    const channel = this.channel(id);
    const seen = channel.tail?.to ?? 0;
    if (seen <= channel.read_seq || !this.isLive) return;
    channel.read(seen);
    this.client.mark(id, seen).catch(() => {});
    this.on.changed(id);
  }

  /** URLs of the attachments of a message or a post, by media id. */
  urls(message, options) {
    return this.account.api.media.urls(message, options);
  }

  search(query, channelId, cursor) {
    return this.client.search(query, { channelId: channelId ?? undefined, cursor });
  }

  /** Messages that name this account, newest first. */
  mentions(limit, cursor) {
    return this.account.http("GET", `/v1/mentions?limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
  }

  // What is pushed.

  push(kind, fields) {
    const channel = fields.channel_id && this.channels.get(fields.channel_id);
    switch (kind) {
      case "message": return this.arrived(fields.message);
      case "edited": return this.edited(fields.message);
      case "deleted": channel?.deleted(fields); break;
      case "reaction": channel?.reacted(fields, fields.user_id === this.me()); break;
      case "membership": return this.membership(fields);
      case "read": return this.wasRead(fields);
      case "snapshot": return this.snapshot(fields);
      case "head": channel?.grow(fields.head_seq); break;
      case "presence": return this.presence.take(fields.entries);
      case "feed_head": return this.feed.head(fields.count);
      case "typing": return fields.user_id === this.me() ? undefined : this.presence.typing(fields);
      // A later version's.
      default: return undefined;
    }
    return this.on.changed(fields.channel_id);
  }

  arrived(message) {
    const channel = this.channel(message.channel_id);
    const isNew = message.seq > channel.head_seq;
    if (message.from === this.me()) channel.divider = null;
    else if (isNew && !channel.unread && !this.on.looking(message.channel_id)) channel.divider = channel.head_seq;
    channel.arrived(message);
    this.presence.typing({ channel_id: message.channel_id, user_id: message.from, on: false });
    if (message.from === this.me()) {
      channel.read(message.seq);
    } else if (isNew) {
      this.on.heard(message);
    }
    if (!channel.kind) this.relist();
    this.on.changed(message.channel_id);
  }

  edited(message) {
    this.channel(message.channel_id).changed(message);
    this.on.changed(message.channel_id);
  }

  wasRead({ channel_id, user_id, read_seq }) {
    const channel = this.channel(channel_id);
    if (user_id === this.me()) channel.read(read_seq);
    else this.otherRead(channel, user_id, read_seq);
    this.on.changed(channel_id);
  }

  otherRead(channel, userId, readSeq) {
    if (channel.kind === "group" && channel.member_count > SMALL_GROUP) return;
    channel.reads.set(userId, Math.max(channel.reads.get(userId) ?? 0, readSeq));
  }

  membership({ channel_id, user_id, change }) {
    if (user_id === this.me() && ["removed", "left"].includes(change)) return this.drop(channel_id);
    if (["removed", "left"].includes(change)) this.channel(channel_id).reads.delete(user_id);
    this.relist();
    if (channel_id === this.open) this.meet(this.channel(channel_id)).catch(() => {});
    // Who was added to a channel that it looks at may see more of it.
    if (channel_id === this.open && user_id === this.me() && change === "added") this.look(channel_id);
    return undefined;
  }

  /** The cursor was too old: what is cached has holes. The last page tells; the list is asked for anew. */
  snapshot({ more }) {
    if (more) return;
    this.forget();
    this.loadChannels().catch(() => {});
    if (this.open) this.look(this.open);
  }
}
