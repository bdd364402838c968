// The client: what an application calls, and what it is told.
//
// One for each tab or process. It asks whichever tab leads (`tabs.js`), whose engine has the connection.

import { Api } from "./api.js";
import { Emitter } from "./emitter.js";
import { Engine } from "./engine.js";
import { Gone, NotKept } from "./errors.js";
import { deviceId, uuid7 } from "./ids.js";
import { Known } from "./known.js";
import { Nodes } from "./nodes.js";
import { Outgoing } from "./outgoing.js";
import { IndexedDbStore, MemoryStore } from "./store.js";
import { Alone, Tabs, canShare } from "./tabs.js";
import { singleFlight } from "./tokens.js";
import { poll } from "./transport/poll.js";
import { sse } from "./transport/sse.js";
import { websocket } from "./transport/websocket.js";
import { Upload } from "./upload.js";

const DEVICE = "device";
/** Events of another tab that this one's listeners have not taken, beyond which it starts anew when they have. */
const BEHIND_MAX = 5000;
/** What is few, and nobody tells again. */
const KEPT_EVENTS = ["state", "outgoing", "lost", "forgot"];

/**
 * @typedef {object} Options
 * @property {import("./tokens.js").TokenCallback} token
 * @property {string | string[]} [url] sockets of nodes, `ws://HOST:PORT/connection/websocket`; if absent, nodes are asked for at `apiUrl`
 * @property {string | string[]} [apiUrl] `http://HOST:PORT` of one node or several, "" for the page's own; without it there is no `api`
 * @property {Api} [api] in the place of one that is made of `apiUrl`
 * @property {string} [deviceId] 1 to 64 of `[A-Za-z0-9_-]`; if absent, one is made and kept in the store
 * @property {import("./store.js").Store} [store] the account's own; if absent, the database "rookery-client" in browsers, and elsewhere memory
 * @property {any} [WebSocket] constructor of sockets where the platform has none
 * @property {("websocket" | "sse" | "poll")[]} [transports] in the order in which they are tried; all of them unless given
 * @property {boolean | string} [tabs] whether tabs share one connection, or the name under which: by default those of one store and device
 * @property {string} [clientName] is told to the account's other devices
 * @property {() => Promise<string>} [choose] the socket to try, in the place of `url`
 */

/** @extends {Emitter<import("./types.js").Events>} */
export class Client extends Emitter {
  /** @param {Options} options */
  constructor(options) {
    super();
    if (typeof options.token !== "function") throw new TypeError("new Client({ token }) needs a function that gives an access token");
    if (options.url === undefined && options.apiUrl === undefined && !options.api) throw new TypeError("new Client({ url }) or ({ apiUrl }): where is the server?");
    this.options = options;
    /** @type {import("./store.js").Store & { name?: string }} */
    this.store = options.store ?? ("indexedDB" in globalThis ? new IndexedDbStore() : new MemoryStore());
    this.token = singleFlight(options.token);
    /** HTTP, if `apiUrl` was given. */
    this.api = options.api ?? new Api({ nodes: new Nodes(options.apiUrl ?? []), token: this.token });
    this.nodes = this.api.nodes;
    this.deviceId = options.deviceId ?? "";
    this.tab = deviceId("tab");
    /** How it stands with the server, as it was told last. @type {import("./connection.js").State} */
    this.state = { state: "ended", signed_out: false };
    /** The server's time less this device's. */
    this.clockOffsetMs = 0;
    this.known = new Known();
    /** What is not answered yet, oldest first. @type {Map<string, Outgoing>} */
    this.handles = new Map();
    /** What this tab has open and watches, for the next tab that leads. @type {Map<string, number | undefined>} */
    this.opened = new Map();
    /** @type {string[]} */
    this.watching = [];
    /** Events of another tab, told one after the other: how many wait, and whether some were left out. */
    this.telling = Promise.resolve();
    this.behind = 0;
    this.hasMissed = false;
    /** @type {import("./tabs.js").Group | undefined} */
    this.group = undefined;
    /** @type {AbortController | undefined} */
    this.page = undefined;
  }

  /** Reads the store and begins to connect; `state` tells how that goes. Rejects if the store cannot be read. */
  async start() {
    if (this.group) return;
    this.deviceId ||= await this.device();
    const { tabs } = this.options;
    const shares = tabs !== false && canShare();
    const group = new (shares ? Tabs : Alone)({
      name: typeof tabs === "string" ? tabs : `${this.store.name ?? ""}/${this.deviceId}`,
      tab: this.tab,
      lead: () => this.lead(),
      follow: (leader) => this.follow(leader),
      event: (name, detail) => this.followed(name, detail),
      bad: (error) => this.report(error, "tabs"),
    });
    this.group = group;
    this.watchPage();
    try {
      await group.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Ends the connection, and resolves when what was received is handed over and its cursor stored. What is not answered goes out after the next start. */
  async stop() {
    this.page?.abort();
    const { group } = this;
    this.group = undefined;
    await group?.stop();
  }

  /** The network or the user is back: connects at once, or looks whether the node is still there. Browsers need not call it. */
  hurry() {
    this.call("hurry").catch(() => {});
  }

  /** The server's time, as far as it is known: Unix milliseconds. */
  serverNow() {
    return Date.now() + this.clockOffsetMs;
  }

  // What the user does: goes out when there is a connection, whatever happens until then.

  /**
   * Sends a message. It is shown as `outgoing` at once, and comes as `message` as everybody's does.
   *
   * Of its files those that are not at the server are kept in the store, if that can, and uploaded before it is sent; `upload`
   * tells how far they are. An upload that is under way is taken over.
   *
   * @param {string} channelId
   * @param {string} body may be empty where there is media
   * @param {{ replyTo?: number, mentions?: string[], kind?: string, media?: (string | Blob | import("./upload.js").Upload)[] }} [options]
   *   `media`: at most 10 files, uploads, or media ids
   */
  send(channelId, body, { replyTo, mentions, kind, media = [] } = {}) {
    const isWhole = media.every((each) => typeof each === "string");
    const fields = {
      channel_id: channelId, body, ...(replyTo && { reply_to: replyTo }), ...(mentions?.length && { mentions }), ...(kind && { kind }),
      ...(media.length && isWhole && { media }),
    };
    return isWhole ? this.act("send", "client_msg_id", fields) : this.act("send", "client_msg_id", fields, media);
  }

  /** The file of a message that waits in the outbox, as for a preview; undefined once it is at the server. @param {string} fileId @returns {Promise<Blob | undefined>} */
  file(fileId) {
    return this.call("blob", fileId);
  }

  /**
   * Edits an own message. It fails with 122 if the message has another revision meanwhile.
   *
   * @param {{ channel_id: string, seq: number, revision: number }} message as the user saw it
   * @param {string} body
   */
  edit({ channel_id, seq, revision }, body) {
    return this.act("edit", "op_id", { channel_id, seq, base_revision: revision, body });
  }

  /** Deletes an own message, or as an admin any. @param {{ channel_id: string, seq: number }} message */
  delete({ channel_id, seq }) {
    return this.act("delete", "op_id", { channel_id, seq });
  }

  /**
   * Puts an emoji to a message, or takes it away.
   *
   * @param {{ channel_id: string, seq: number }} message
   * @param {string} emoji
   * @param {boolean} [on]
   */
  react({ channel_id, seq }, emoji, on = true) {
    return this.act("react", "op_id", { channel_id, seq, emoji, on });
  }

  /** What is not answered yet or has failed, oldest first. @param {string} [channelId] */
  outgoing(channelId) {
    return [...this.handles.values()].filter((handle) => channelId === undefined || handle.channelId === channelId);
  }

  /**
   * Everything up to `readSeq` is read. Without a connection it is told when there is one.
   *
   * @param {string} channelId
   * @param {number} readSeq
   */
  async mark(channelId, readSeq) {
    await this.call("mark", channelId, readSeq);
  }

  /** The user writes, or has stopped: may be called on every key. @param {string} channelId @param {boolean} [on] */
  async typing(channelId, on = true) {
    await this.call("typing", channelId, on);
  }

  // What is asked: rejects with `Gone` without a connection, with `Refused` if the server does not answer it.

  /**
   * @param {string} channelId
   * @param {{ before?: number, after?: number, around?: number, limit?: number }} [window] the newest unless one is given
   * @returns {Promise<import("./types.js").HistoryPage>}
   */
  history(channelId, { limit = 50, ...window } = {}) {
    return this.call("ask", "history", { channel_id: channelId, limit, ...window });
  }

  /**
   * @param {string} query
   * @param {{ channelId?: string, from?: string, beforeMs?: number, cursor?: string, limit?: number }} [within]
   * @returns {Promise<{ hits: import("./types.js").SearchHit[], more: boolean, cursor?: string }>}
   */
  search(query, { channelId, from, beforeMs, cursor, limit = 20 } = {}) {
    const within = { channel_id: channelId, from, before_ms: beforeMs, cursor };
    return this.call("ask", "search", { query, limit, ...Object.fromEntries(Object.entries(within).filter(([, value]) => value !== undefined)) });
  }

  /**
   * Live delivery of a large channel after `afterSeq`, and of any the presence of its members; across connections, until `close`.
   *
   * @param {string} channelId
   * @param {{ afterSeq?: number }} [from]
   * @returns {Promise<{ head_seq: number, read_seq: number, online: number, reads?: { user_id: string, read_seq: number }[] }>}
   */
  async open(channelId, { afterSeq } = {}) {
    this.opened.set(channelId, afterSeq);
    try {
      return await this.call("open", this.tab, channelId, afterSeq);
    } catch (error) {
      if (/** @type {any} */ (error).temporary === false) this.opened.delete(channelId);
      throw error;
    }
  }

  /** @param {string} channelId */
  async close(channelId) {
    this.opened.delete(channelId);
    await this.call("close", this.tab, channelId);
  }

  /**
   * Who is there, once: of users, or of a channel's members.
   *
   * @param {string[] | { channelId: string, page?: number }} of
   * @returns {Promise<{ entries: import("./types.js").PresenceEntry[] }>}
   */
  presence(of) {
    return this.call("ask", "presence_get", Array.isArray(of) ? { user_ids: of } : { channel_id: of.channelId, page: of.page ?? 0 });
  }

  /** Whose presence is told as `presence`, at most 500; replaces the earlier ones, across connections. @param {string[]} userIds */
  async watch(userIds) {
    this.watching = [...userIds];
    await this.call("watch", this.tab, this.watching);
  }

  // Inside.

  /**
   * @param {import("./outbox.js").Entry["command"]} command
   * @param {"client_msg_id" | "op_id"} idField
   * @param {Record<string, any>} fields
   * @param {(string | Blob | Upload)[]} [media]
   * @private
   */
  act(command, idField, fields, media) {
    const id = uuid7(this.serverNow());
    const handle = this.handle(id, command, { ...fields, [idField]: id });
    if (media) {
      const taken = media.map((each) => this.part(each));
      handle.files = taken.map(({ part }) => part);
      handle.blobs = Object.fromEntries(taken.flatMap(({ part, blob }) => (blob ? [[part.id, blob]] : [])));
    }
    handle.kept = this.add(handle);
    handle.kept.catch(() => {});
    return handle;
  }

  /**
   * A file as the outbox has it, and its blob unless it is at the server.
   *
   * @param {string | Blob | Upload} media
   * @returns {{ part: import("./types.js").FilePart, blob?: Blob }}
   * @private
   */
  part(media) {
    const id = uuid7(this.serverNow());
    if (typeof media === "string") {
      const attachment = { media_id: media, kind: /** @type {"file"} */ ("file"), content_type: "", name: "", bytes: 0 };
      return { part: { id, name: "", bytes: 0, type: "", sent_bytes: 0, media_id: media, attachment } };
    }
    if (!(media instanceof Upload)) {
      return { part: { id, name: /** @type {any} */ (media).name ?? "file", bytes: media.size, type: media.type, sent_bytes: 0 }, blob: media };
    }
    const { name, bytes, file, sentBytes, mediaId, poster, attachment } = media;
    const known = { ...(mediaId && { media_id: mediaId }), ...(typeof poster === "string" && { poster }) };
    const part = { id, name, bytes, type: file.type, sent_bytes: sentBytes, ...known };
    if (attachment) {
      const { urls, expires_ms, ...whole } = attachment;
      return { part: { ...part, attachment: whole } };
    }
    media.release();
    return { part, blob: file };
  }

  /** @param {Outgoing} handle @private */
  async add(handle) {
    const { id, command, fields, files, blobs } = handle;
    try {
      await this.call("act", { id, command, fields, ...(files.length && { files, blobs }) });
      handle.blobs = {};
    } catch (error) {
      // It was not taken on: nobody else knows it.
      if (handle.state !== "pending") return;
      const problem = { code: 0, message: error instanceof NotKept ? error.message : String(/** @type {any} */ (error).message ?? error) };
      handle.state = "failed";
      handle.fail(error instanceof Error ? error : new Error(problem.message));
      this.handles.delete(id);
      void this.emit("outgoing", { state: "failed", id, command, fields, problem });
      throw error;
    }
  }

  /**
   * @param {string} id
   * @param {import("./outbox.js").Entry["command"]} command
   * @param {Record<string, any>} fields
   * @private
   */
  handle(id, command, fields) {
    const handle = new Outgoing(id, command, fields, {
      again: (outgoing) => (this.handles.has(outgoing.id) ? this.call("again", outgoing.id) : this.addAgain(outgoing)),
      drop: (outgoing) => this.call("drop", outgoing.id),
    });
    this.handles.set(id, handle);
    return handle;
  }

  /** @param {Outgoing} handle @private */
  async addAgain(handle) {
    this.handles.set(handle.id, handle);
    handle.kept = this.add(handle);
    await handle.kept;
  }

  /**
   * @param {string} name
   * @param {any[]} args
   * @returns {Promise<any>}
   * @private
   */
  async call(name, ...args) {
    if (!this.group) throw new Gone("the client is not started");
    return this.group.call(name, ...args);
  }

  /** This tab leads. @private */
  async lead() {
    /** @type {Engine} */
    const engine = new Engine({
      store: this.store,
      deviceId: this.deviceId,
      transports: (this.options.transports ?? ["websocket", "sse", "poll"]).map((name) => this.transport(name)),
      choose: this.options.choose ?? (() => this.choose()),
      token: this.token,
      clientName: this.options.clientName ?? "js",
      nodes: this.nodes,
      media: this.api.media,
      known: this.known,
      emit: (name, detail) => {
        // Before the cursor after it is stored, so that the next leader goes on where the others are.
        this.group?.tell(name, detail);
        return this.take(name, detail, engine.connection.clockOffsetMs);
      },
      bad: (error) => this.report(error, "connection"),
    });
    for (const [channelId, afterSeq] of this.opened) {
      engine.of(this.tab).channels.add(channelId);
      engine.opened.set(channelId, afterSeq);
    }
    engine.of(this.tab).users = this.watching;
    await engine.start();
    return engine;
  }

  /** @param {string} name @private */
  transport(name) {
    switch (name) {
      case "websocket": return websocket(this.options.WebSocket);
      case "sse": return sse();
      case "poll": return poll();
      default: throw new TypeError(`no transport ${name}`);
    }
  }

  /** @param {{ state: any, outgoing: any[], isNew: boolean }} leader @private */
  follow({ state, outgoing, isNew }) {
    this.followed("state", state);
    for (const outcome of outgoing) this.followed("outgoing", outcome);
    // What was told before this tab was there, nobody tells it again.
    if (isNew) this.followed("lost", {});
    for (const [channelId, afterSeq] of this.opened) this.call("open", this.tab, channelId, afterSeq).catch(() => {});
    if (this.watching.length) this.call("watch", this.tab, this.watching).catch(() => {});
  }

  /** An event of the tab that leads. @param {string} name @param {any} detail @private */
  followed(name, detail) {
    if (this.behind >= BEHIND_MAX && !KEPT_EVENTS.includes(name)) {
      this.hasMissed = true;
      return;
    }
    // What is to be dropped is told again.
    if (name === "lost") this.known.forget();
    if (name === "snapshot" && detail.first) this.known.forgetMessages();
    if (!this.known.takes(name, detail)) return;
    this.behind += 1;
    this.telling = this.telling.then(async () => {
      await this.take(name, detail, this.clockOffsetMs);
      this.behind -= 1;
      if (this.behind > 0 || !this.hasMissed) return;
      this.hasMissed = false;
      this.followed("lost", {});
    });
  }

  /**
   * @param {string} name
   * @param {any} detail
   * @param {number} clockOffsetMs
   * @private
   */
  async take(name, detail, clockOffsetMs) {
    this.clockOffsetMs = clockOffsetMs;
    // It is another store's server, which has other seqs: nothing for applications, who get `lost`.
    if (name === "forgot") {
      for (const channelId of this.opened.keys()) this.opened.set(channelId, undefined);
      return;
    }
    if (name === "state") this.state = detail;
    if (name === "outgoing") this.track(detail);
    if (name === "upload") this.moved(detail);
    if (name === "message" && !detail.cursor && this.opened.has(detail.message.channel_id)) {
      this.opened.set(detail.message.channel_id, detail.message.seq);
    }
    await this.emit(/** @type {keyof import("./types.js").Events} */ (name), detail);
  }

  /** @param {import("./outbox.js").Outcome} outcome @private */
  track(outcome) {
    const { id, command, fields, state } = outcome;
    const handle = this.handles.get(id) ?? this.handle(id, command, fields);
    handle.take(outcome);
    if (state === "sent" || state === "dropped") this.handles.delete(id);
  }

  /** @param {{ id: string, file: string, sent_bytes: number }} moved @private */
  moved({ id, file, sent_bytes }) {
    const handle = this.handles.get(id);
    if (handle) handle.files = handle.files.map((each) => (each.id === file ? { ...each, sent_bytes } : each));
  }

  /** @private */
  async choose() {
    const { url, apiUrl, api } = this.options;
    const given = [url ?? []].flat().map((each) => ({ url: each }));
    let servers = given;
    if (apiUrl !== undefined || api) {
      try {
        servers = await this.api.servers();
      } catch (error) {
        if (!given.length) throw error;
      }
    }
    const chosen = this.nodes.choose(servers);
    if (!chosen) throw new Error("there is no node to connect to");
    return chosen;
  }

  /** The device's name: the store's, or a new one. @private */
  async device() {
    const get = async () => {
      const known = await this.store.get(DEVICE);
      if (typeof known === "string") return known;
      const made = deviceId("js");
      await this.store.put(DEVICE, made);
      return made;
    };
    // Tabs that start at once over a new store would be two devices with one outbox.
    const { locks } = globalThis.navigator ?? {};
    return locks ? locks.request(`rookery/device/${this.store.name ?? ""}`, get) : get();
  }

  /** What a page knows of the network and of its user. @private */
  watchPage() {
    this.page?.abort();
    if (!("document" in globalThis) || !("window" in globalThis)) return;
    const { signal } = (this.page = new AbortController());
    window.addEventListener("online", () => this.hurry(), { signal });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.hurry(); }, { signal });
    // The browser keeps the page for the way back, and would keep its socket with it: the user would count as reached there.
    window.addEventListener("pagehide", () => { this.group?.stop(); }, { signal });
    window.addEventListener("pageshow", ({ persisted }) => { if (persisted) this.group?.start(); }, { signal });
  }
}
