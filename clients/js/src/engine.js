// One device's session and what it is about: the switchboard between the connection, the outbox, the store and who listens.
//
// Owns the order in which events are handed over, and the cursor in the store (PROTOCOL rule 3): it is stored after whoever
// listens has taken an event, never before, so that what is held is complete up to it. Of a device one engine runs at a time.

import { Connection } from "./connection.js";
import { Gone, Refused } from "./errors.js";
import { Outbox } from "./outbox.js";
import { Timers } from "./timers.js";

/** Events received and not yet handed over, beyond which the client leaves the node until they are. */
const BACKLOG_MAX = 5000;
/** At most one `typing` in this time is told on by a server. */
const TYPING_MS = 3000;
const WATCHED_MAX = 500;
/** Channels that are kept open at once. */
const OPEN_MAX = 500;
const MARKS_MAX = 1000;
/** The shortest pause after a mark, a channel to be opened or users to be watched were refused for the moment. */
const PAUSE_MS = 500;

const CURSOR = "cursor";
const USER = "user";
/** The client's own close code, for a reader that is too slow. */
const SLOW = 3008;

/**
 * @typedef {object} EngineOptions
 * @property {import("./store.js").Store} store
 * @property {string} deviceId
 * @property {import("./transport/websocket.js").Transport[]} transports
 * @property {() => Promise<string>} choose
 * @property {(options: { fresh: boolean }) => Promise<string>} token
 * @property {string} clientName
 * @property {{ broke: (url: string) => void, opened: () => void }} nodes
 * @property {import("./files.js").Uploads} media
 * @property {import("./known.js").Known} known what was told before
 * @property {(name: string, detail: any) => Promise<void>} emit
 * @property {(error: unknown) => void} bad
 */

export class Engine {
  /** @param {EngineOptions} options */
  constructor({ store, deviceId, transports, choose, token, clientName, nodes, media, known, emit, bad }) {
    this.store = store;
    this.emit = emit;
    this.bad = bad;
    this.known = known;
    this.userId = "";
    /** @type {import("./connection.js").State} */
    this.state = { state: "connecting" };
    /** Jobs that hand over, in order. @type {(() => Promise<void>)[]} */
    this.backlog = [];
    this.handing = Promise.resolve();
    this.isHanding = false;
    /** Of the cursor in the store: what it is to be, and whether that is being written. @type {string | null | undefined} */
    this.cursorWanted = undefined;
    this.saving = Promise.resolve();
    this.isSaving = false;
    /** Counts what was dropped, so that no older event stores its cursor. */
    this.epoch = 0;
    this.isSnapshot = false;
    /** Channels that are open, and for large ones the seq up to which messages were pushed. @type {Map<string, number | undefined>} */
    this.opened = new Map();
    /** Who opened and watches, by tab. @type {Map<string, { channels: Set<string>, users: string[] }>} */
    this.tabs = new Map();
    this.watched = "";
    /** Read marks that the server has not answered, by channel. @type {Map<string, number>} */
    this.marks = new Map();
    this.marking = false;
    /** Ends the pause after a mark that was refused for the moment, while there is one. @type {(() => void) | undefined} */
    this.endMarkPause = undefined;
    this.timers = new Timers();
    this.wrote = { channelId: "", on: false, atMs: 0 };
    this.connection = new Connection({
      transports, choose, token, clientName, nodes,
      on: {
        state: (state) => this.told(state),
        live: (reply, isResumed) => this.live(reply, isResumed),
        lost: () => this.lost(),
        push: (kind, fields) => this.pushed(kind, fields),
        forget: () => this.forget(),
        ready: () => this.ready(),
        bad,
        wanted: () => ({ channels: [...this.opened], users: this.wanted() }),
      },
    });
    this.connection.deviceId = deviceId;
    this.outbox = new Outbox({
      store,
      ask: (command, fields) => this.connection.ask(command, fields),
      serverNow: () => this.connection.serverNow(),
      media,
      tell: (outcome) => void this.emit("outgoing", outcome),
      moved: (id, { id: file, sent_bytes, bytes }) => void this.emit("upload", { id, file, sent_bytes, bytes }),
      bad,
    });
  }

  async start() {
    const [cursor, user] = await Promise.all([this.store.get(CURSOR), this.store.get(USER), this.outbox.load()]);
    this.connection.cursor = typeof cursor === "string" ? cursor : null;
    this.userId = typeof user === "string" ? user : "";
    for (const outcome of this.outbox.list()) void this.emit("outgoing", outcome);
    this.connection.start();
  }

  /** Resolves when what was received is handed over, and its cursor stored. */
  async stop() {
    this.connection.stop();
    this.outbox.stop();
    this.timers.stop();
    await this.drained();
  }

  // What is called from outside, also by other tabs: each function's arguments are what JSON can say, and Blobs.

  /** @param {import("./outbox.js").Entry & { blobs?: Record<string, Blob> }} entry */
  act(entry) {
    return this.outbox.add(entry);
  }

  /** @param {string} id */
  again(id) {
    return this.outbox.again(id);
  }

  /** @param {string} id */
  drop(id) {
    return this.outbox.drop(id);
  }

  outgoing() {
    return this.outbox.list();
  }

  /** The blob of a file that waits. @param {string} id */
  blob(id) {
    return this.outbox.files.blob(id);
  }

  /**
   * @param {string} command
   * @param {Record<string, any>} fields
   */
  ask(command, fields) {
    return this.connection.ask(command, fields);
  }

  /**
   * Marks are sent when there is a connection, the highest of each channel.
   *
   * @param {string} channelId
   * @param {number} readSeq
   */
  mark(channelId, readSeq) {
    if (!this.marks.has(channelId) && this.marks.size >= MARKS_MAX) throw new Error(`marks of ${MARKS_MAX} channels wait to be sent`);
    const furthest = Math.max(this.marks.get(channelId) ?? 0, readSeq);
    // Behind the others, so that one in which the user reads on and on holds up none.
    this.marks.delete(channelId);
    this.marks.set(channelId, furthest);
    this.sendMarks();
  }

  /**
   * Told no oftener than the server takes it: that it stopped counts too, and where that comes too early silence tells it.
   *
   * @param {string} channelId
   * @param {boolean} on
   */
  typing(channelId, on) {
    const isSame = this.wrote.channelId === channelId;
    const isEarly = isSame && Date.now() - this.wrote.atMs < TYPING_MS;
    if (isEarly || (!on && !(isSame && this.wrote.on))) return;
    this.wrote = { channelId, on, atMs: Date.now() };
    this.connection.tell("typing", { channel_id: channelId, on });
  }

  /**
   * @param {string} tab
   * @param {string} channelId
   * @param {number} [afterSeq]
   */
  async open(tab, channelId, afterSeq) {
    if (!this.opened.has(channelId) && this.opened.size >= OPEN_MAX) throw new Error(`${OPEN_MAX} channels are open: close one`);
    this.of(tab).channels.add(channelId);
    this.opened.set(channelId, afterSeq ?? this.opened.get(channelId));
    try {
      return await this.askOpen(channelId);
    } catch (error) {
      // It is opened again with the next connection, unless the server does not let it.
      if (isFinal(error)) this.shut(tab, channelId);
      throw error;
    }
  }

  /**
   * @param {string} tab
   * @param {string} channelId
   */
  async close(tab, channelId) {
    if (this.shut(tab, channelId) && this.connection.live) await this.connection.ask("close", { channel_id: channelId });
  }

  /**
   * Replaces the users whom a tab watches.
   *
   * @param {string} tab
   * @param {string[]} userIds
   */
  async watch(tab, userIds) {
    this.of(tab).users = userIds.slice(0, WATCHED_MAX);
    await this.sendWatched();
  }

  /** A tab is gone. @param {string} tab */
  async left(tab) {
    const { channels } = this.of(tab);
    for (const channelId of channels) await this.close(tab, channelId).catch(() => {});
    this.tabs.delete(tab);
    await this.sendWatched().catch(() => {});
  }

  hurry() {
    this.connection.hurry();
  }

  // What the connection tells.

  /** @param {import("./connection.js").State} state */
  told(state) {
    const { url, bodyCharsMax, transport } = this.connection;
    this.state = { ...state, ...(state.state === "live" && { user_id: this.userId, url, transport, body_chars_max: bodyCharsMax }) };
    void this.emit("state", this.state);
  }

  /**
   * @param {any} reply
   * @param {boolean} isResumed
   */
  live(reply, isResumed) {
    if (this.userId && this.userId !== reply.user_id) {
      // Its cursor and what waits to be sent are another account's.
      this.connection.stop();
      this.connection.end({ reason: `the store holds what is user ${this.userId}'s, and the token is user ${reply.user_id}'s: give each account a store` });
      return;
    }
    if (!this.userId) {
      this.userId = reply.user_id;
      this.store.put(USER, reply.user_id).catch(this.bad);
    }
    // A device that starts anew holds nothing, or nothing that counts: whoever listens asks for it, and then the cursor is so far.
    if (!isResumed) this.hand(() => this.emit("lost", {}));
    const { epoch } = this;
    this.hand(async () => this.save(reply.cursor, epoch));
    this.told({ state: "live", resumed: isResumed });
    this.outbox.resume();
    // The pause was another node's, or another state of it.
    this.endMarkPause?.();
    this.sendMarks();
    this.watched = "";
    this.sendWatched().catch(this.bad);
    for (const each of this.opened) this.reopen(each[0]);
  }

  lost() {
    this.isSnapshot = false;
    this.outbox.suspend();
  }

  /**
   * @param {string} kind
   * @param {any} fields
   */
  pushed(kind, fields) {
    if (kind === "message" || kind === "edited") {
      const { message } = fields;
      const { channel_id, seq } = message;
      if (!fields.cursor && this.opened.has(channel_id)) this.opened.set(channel_id, Math.max(this.opened.get(channel_id) ?? 0, seq));
      if (message.client_msg_id) void this.outbox.arrived(message);
    }
    let detail = fields;
    if (kind === "snapshot") {
      detail = { ...fields, more: fields.more === true, first: !this.isSnapshot };
      this.isSnapshot = detail.more;
      if (detail.first) this.known.forgetMessages();
    }
    const { epoch } = this;
    const isNew = this.known.takes(kind, fields);
    if (!isNew && !fields.cursor) return;
    this.hand(async () => {
      if (epoch !== this.epoch) return;
      if (isNew) await this.emit(kind, detail);
      if (fields.cursor) this.save(fields.cursor, epoch);
    });
    if (this.backlog.length > BACKLOG_MAX) this.connection.leave(SLOW);
  }

  /** The cursor is another store's: nothing of it is kept. */
  forget() {
    this.epoch += 1;
    this.known.forget();
    this.backlog = [];
    for (const channelId of this.opened.keys()) this.opened.set(channelId, undefined);
    void this.emit("forgot", {});
    this.save(null, this.epoch);
  }

  async ready() {
    if (this.backlog.length > BACKLOG_MAX / 2) await this.drained();
    await this.saving;
  }

  // Handing over, and the cursor.

  /** @param {() => Promise<void>} job */
  hand(job) {
    this.backlog.push(job);
    if (!this.isHanding) this.handing = this.handAll();
  }

  async handAll() {
    this.isHanding = true;
    for (let job = this.backlog.shift(); job; job = this.backlog.shift()) await job().catch(this.bad);
    this.isHanding = false;
  }

  /** Everything that was received is handed over and its cursor stored. */
  async drained() {
    while (this.isHanding || this.isSaving) {
      await this.handing;
      await this.saving;
    }
  }

  /**
   * The cursor to be stored. Of several in a row the last is written: an older one is never wrong.
   *
   * @param {string | null} cursor null: none
   * @param {number} epoch
   */
  save(cursor, epoch) {
    if (epoch !== this.epoch) return;
    this.cursorWanted = cursor;
    if (!this.isSaving) this.saving = this.saveAll();
  }

  async saveAll() {
    this.isSaving = true;
    while (this.cursorWanted !== undefined) {
      const cursor = this.cursorWanted;
      this.cursorWanted = undefined;
      await (cursor === null ? this.store.delete(CURSOR) : this.store.put(CURSOR, cursor)).catch(this.bad);
    }
    this.isSaving = false;
  }

  // What goes to the server when there is a connection.

  async sendMarks() {
    if (this.marking || this.endMarkPause || !this.connection.live) return;
    this.marking = true;
    // The first each time: marks are made while one is on its way, of the same channel too.
    for (let next = first(this.marks); next && !this.endMarkPause; next = first(this.marks)) {
      const [channelId, readSeq] = next;
      try {
        await this.connection.ask("mark", { channel_id: channelId, read_seq: readSeq });
      } catch (error) {
        if (error instanceof Gone) break;
        if (!isFinal(error)) {
          this.pauseMarks(error);
          break;
        }
        this.bad(error);
      }
      if (this.marks.get(channelId) === readSeq) this.marks.delete(channelId);
    }
    this.marking = false;
  }

  /** @param {unknown} error */
  pauseMarks(error) {
    const end = this.afterPause(error, () => {
      this.endMarkPause = undefined;
      this.sendMarks();
    });
    this.endMarkPause = () => {
      end();
      this.endMarkPause = undefined;
    };
  }

  /**
   * Opens a channel on this connection; the reply.
   *
   * @param {string} channelId
   */
  async askOpen(channelId) {
    const { epoch } = this;
    const afterSeq = this.opened.get(channelId);
    const reply = await this.connection.ask("open", { channel_id: channelId, ...(afterSeq !== undefined && { after_seq: afterSeq }) });
    // From the newest on, which the next connection has to be told: others may have come meanwhile.
    const isAsked = epoch === this.epoch && this.opened.has(channelId);
    if (isAsked && this.opened.get(channelId) === undefined) this.opened.set(channelId, reply.head_seq);
    return reply;
  }

  /** @param {string} channelId */
  async reopen(channelId) {
    if (!this.opened.has(channelId)) return;
    const { attempts } = this.connection;
    try {
      await this.askOpen(channelId);
    } catch (error) {
      if (error instanceof Gone) return;
      if (!isFinal(error)) return void this.afterPause(error, () => { if (this.connection.attempts === attempts) this.reopen(channelId); });
      for (const tab of this.tabs.keys()) this.shut(tab, channelId);
      this.bad(error);
    }
  }

  async sendWatched() {
    const userIds = this.wanted();
    const list = userIds.join();
    if (list === this.watched || !this.connection.live) return;
    this.watched = list;
    try {
      const { entries } = await this.connection.ask("presence_watch", { user_ids: userIds });
      this.hand(() => this.emit("presence", { entries }));
    } catch (error) {
      if (this.watched === list) this.watched = "";
      if (isFinal(error)) throw error;
      // The next connection begins with it.
      if (error instanceof Gone) return;
      this.afterPause(error, () => this.sendWatched().catch(this.bad));
    }
  }

  /**
   * Acts when the pause is over after a refusal that passes, or an answer that was none; a function that keeps it from it.
   *
   * @param {any} error
   * @param {() => void} act
   */
  afterPause(error, act) {
    if (!(error instanceof Refused)) this.bad(error);
    return this.timers.after(Math.max(error?.retryAfterMs ?? 0, PAUSE_MS), act);
  }

  /** Users whom any tab watches. */
  wanted() {
    const all = new Set([...this.tabs.values()].flatMap(({ users }) => users));
    return [...all].slice(0, WATCHED_MAX);
  }

  /** @param {string} tab */
  of(tab) {
    let known = this.tabs.get(tab);
    if (!known) this.tabs.set(tab, (known = { channels: new Set(), users: [] }));
    return known;
  }

  /**
   * A tab needs a channel open no more; whether none does.
   *
   * @param {string} tab
   * @param {string} channelId
   */
  shut(tab, channelId) {
    this.of(tab).channels.delete(channelId);
    if ([...this.tabs.values()].some(({ channels }) => channels.has(channelId))) return false;
    return this.opened.delete(channelId);
  }
}

/** @template K, V @param {Map<K, V>} map @returns {[K, V] | undefined} */
const first = (map) => map.entries().next().value;

/** The server has refused it, and would again. @param {any} error */
const isFinal = (error) => error?.name === "Refused" && !error.temporary;
