// What this tab knows: channels, their messages, and what it has written but the server has not acknowledged.
//
// Owns the outbox: a message stays in it, under the same client_msg_id, until its reply or its own push comes, across
// connections and reloads. Draws nothing; `changed(channelId?)` tells who does.

import * as account from "./account.js";
import { Gone } from "./connection.js";
import { uuid7 } from "./ids.js";

const PAGE = 50;
const OUTBOX_KEY = "rookery.outbox";

export class Model {
  constructor(changed) {
    this.changed = changed;
    this.channels = new Map();
    this.names = new Map();
    this.outbox = JSON.parse(sessionStorage.getItem(OUTBOX_KEY) ?? "[]")
      .map((entry) => ({ ...entry, state: entry.state === "failed" ? "failed" : "pending" }));
    this.connection = null;
    this.open = null;
  }

  me() {
    return account.current().user_id;
  }

  channel(id) {
    if (!this.channels.has(id)) {
      this.channels.set(id, {
        channel_id: id, kind: "", title: "", head_seq: 0, read_seq: 0, unread: 0, messages: new Map(), first: 1, complete: false,
      });
    }
    return this.channels.get(id);
  }

  /** Channels by recent activity. */
  list() {
    const time = (channel) => channel.last_message?.sent_ms ?? channel.created_ms ?? 0;
    return [...this.channels.values()].filter((channel) => channel.kind).sort((a, b) => time(b) - time(a));
  }

  title(channel) {
    return channel.title || channel.peer?.display_name || (channel.kind === "direct" ? "…" : "group");
  }

  name(userId) {
    if (!this.names.has(userId)) {
      this.names.set(userId, "…");
      account.http("GET", `/v1/users/${userId}`)
        .then((user) => { this.names.set(userId, user.display_name); this.changed(); })
        .catch(() => this.names.delete(userId));
    }
    return this.names.get(userId);
  }

  /** Messages of a channel in order, then what waits in the outbox. */
  messages(id) {
    const kept = [...this.channel(id).messages.values()].sort((a, b) => a.seq - b.seq);
    return [...kept, ...this.outbox.filter((entry) => entry.channel_id === id)];
  }

  async loadChannels() {
    let cursor = "";
    do {
      const page = await account.http("GET", `/v1/channels?limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      for (const fresh of page.channels) {
        if (fresh.peer) this.names.set(fresh.peer.user_id, fresh.peer.display_name);
        const known = this.channel(fresh.channel_id);
        Object.assign(known, fresh, {
          head_seq: Math.max(known.head_seq, fresh.head_seq), read_seq: Math.max(known.read_seq, fresh.read_seq),
        });
        known.unread = fresh.unread;
      }
      cursor = page.cursor ?? "";
    } while (cursor);
    this.changed();
  }

  /** Everything cached may be wrong: it is asked for again. */
  forget() {
    for (const channel of this.channels.values()) {
      channel.messages.clear();
      channel.complete = false;
    }
  }

  /** The connection lives (again): what came while there was none is pushed; what was written goes out. */
  async live() {
    this.flush();
    await this.loadChannels();
    if (this.open) await this.loadNewest(this.open);
  }

  /** Opens a channel: its newest page. */
  async loadNewest(id) {
    const channel = this.channel(id);
    const page = await this.connection.ask("history", { channel_id: id, limit: PAGE });
    this.take(channel, page);
    const oldest = page.messages[0]?.seq ?? 0;
    // A page that does not touch what is here would leave a hole: what is older is asked for again when scrolled to.
    for (const seq of channel.messages.keys()) if (seq < oldest && !this.reaches(channel, oldest)) channel.messages.delete(seq);
    channel.complete = !page.more && oldest <= page.first_seq;
    this.changed(id);
  }

  reaches(channel, seq) {
    return channel.messages.has(seq - 1);
  }

  /** A page of what is older than what is here. */
  async loadOlder(id) {
    const channel = this.channel(id);
    const oldest = Math.min(...channel.messages.keys());
    if (channel.complete || channel.loading || !Number.isFinite(oldest)) return;
    channel.loading = true;
    try {
      const page = await this.connection.ask("history", { channel_id: id, before: oldest, limit: PAGE });
      this.take(channel, page);
      channel.complete = !page.more;
      this.changed(id);
    } finally {
      channel.loading = false;
    }
  }

  take(channel, page) {
    for (const message of page.messages) channel.messages.set(message.seq, message);
    channel.head_seq = Math.max(channel.head_seq, page.head_seq);
  }

  push(kind, fields) {
    if (kind === "message") this.arrived(fields.message);
    else if (kind === "read") this.wasRead(fields);
    else if (kind === "membership" || (kind === "snapshot" && !fields.more)) {
      if (kind === "snapshot") this.forget();
      if (kind === "membership" && fields.user_id === this.me() && ["removed", "left"].includes(fields.change)) {
        this.channels.delete(fields.channel_id);
      }
      this.loadChannels().catch(() => {});
      if (this.open && kind === "snapshot") this.loadNewest(this.open).catch(() => {});
    }
  }

  arrived(message) {
    const channel = this.channel(message.channel_id);
    channel.messages.set(message.seq, message);
    channel.head_seq = Math.max(channel.head_seq, message.seq);
    channel.last_message = message;
    if (message.from === this.me()) {
      this.settle(message.client_msg_id);
      channel.read_seq = Math.max(channel.read_seq, message.seq);
    }
    channel.unread = Math.max(0, channel.head_seq - channel.read_seq);
    if (!channel.kind) this.loadChannels().catch(() => {});
    this.changed(message.channel_id);
  }

  wasRead({ channel_id, user_id, read_seq }) {
    if (user_id !== this.me()) return;
    const channel = this.channel(channel_id);
    channel.read_seq = Math.max(channel.read_seq, read_seq);
    channel.unread = Math.max(0, channel.head_seq - channel.read_seq);
    this.changed(channel_id);
  }

  /** The user has seen everything of this channel. */
  async markRead(id) {
    const channel = this.channel(id);
    if (channel.read_seq >= channel.head_seq || channel.marking || !this.connection.live) return;
    channel.marking = true;
    try {
      const { read_seq, unread } = await this.connection.ask("mark", { channel_id: id, read_seq: channel.head_seq });
      channel.read_seq = Math.max(channel.read_seq, read_seq);
      channel.unread = unread;
    } catch {
      // The next look at the channel marks it again.
    } finally {
      channel.marking = false;
      this.changed(id);
    }
  }

  /** Takes a message on: it is shown at once, and sent when there is a connection. */
  write(channelId, body) {
    const entry = {
      channel_id: channelId, client_msg_id: uuid7(this.connection.serverNow()), body, from: this.me(),
      sent_ms: this.connection.serverNow(), state: "pending",
    };
    this.outbox.push(entry);
    this.saveOutbox();
    this.changed(channelId);
    this.send(entry);
  }

  /** Tries a failed message again, under the same id: if it had arrived after all, it is not sent twice. */
  writeAgain(clientMsgId) {
    const entry = this.outbox.find((candidate) => candidate.client_msg_id === clientMsgId);
    if (!entry) return;
    entry.state = "pending";
    this.saveOutbox();
    this.changed(entry.channel_id);
    this.send(entry);
  }

  flush() {
    for (const entry of this.outbox) if (entry.state === "pending") this.send(entry);
  }

  async send(entry) {
    const { channel_id, client_msg_id, body } = entry;
    try {
      const { seq, sent_ms } = await this.connection.ask("send", { channel_id, client_msg_id, body });
      const channel = this.channel(channel_id);
      const message = { channel_id, client_msg_id, body, seq, sent_ms, from: this.me(), revision: 0 };
      if (!channel.messages.has(seq)) this.arrived(message);
      this.settle(client_msg_id);
    } catch (error) {
      // Without an answer it stays pending and goes out with the next connection.
      if (error instanceof Gone) return;
      if (error.temporary) {
        setTimeout(() => { if (entry.state === "pending") this.send(entry); }, Math.max(error.retryAfterMs, 500));
        return;
      }
      entry.state = "failed";
      entry.problem = error.message;
      this.saveOutbox();
    }
    this.changed(channel_id);
  }

  settle(clientMsgId) {
    this.outbox = this.outbox.filter((entry) => entry.client_msg_id !== clientMsgId);
    this.saveOutbox();
  }

  saveOutbox() {
    sessionStorage.setItem(OUTBOX_KEY, JSON.stringify(this.outbox));
  }

  /** Opens a direct channel with one name, or makes a group with several. Its id. */
  async openWith(names, title) {
    const users = await Promise.all(names.map((name) => this.find(name)));
    const body = users.length === 1 && !title
      ? { kind: "direct", user_id: users[0] }
      : { kind: "group", title: title || names.join(", "), member_ids: users };
    const channel = await account.http("POST", "/v1/channels", body, { "idempotency-key": uuid7(Date.now()) });
    await this.loadChannels();
    return channel.channel_id;
  }

  async find(name) {
    const found = await account.http("GET", `/v1/users?username=${encodeURIComponent(name)}`);
    const user = Array.isArray(found) ? found[0] : found.users?.[0] ?? found;
    if (!user?.user_id) throw new Error(`nobody is called ${name}`);
    this.names.set(user.user_id, user.display_name);
    return user.user_id;
  }
}
