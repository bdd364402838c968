// The session with a node: connects, asks, hears, and connects again from the last cursor.
//
// Owns the cursor up to which everything was received, the pause between attempts and what is asked but not answered. Knows
// nothing of messages, and of sockets only what `transport/` says.

import { Gone, Refused } from "./errors.js";
import { json } from "./json.js";
import { Pulse } from "./pulse.js";
import { envelope, replyOf } from "./shapes.js";

/** Codes of RFC 6455 after which the same would happen again. */
const FINAL = [1002, 1007, 1009];
/** The server's codes from here on are final, those that this client does not know among them. */
const FINAL_FROM = 3500;
/** After these the device is nobody's any more. */
const SIGNED_OUT = [3500, 3503, 3511];
/** Nobody said why: the node is gone, or was never there. */
export const BROKEN = 1006;
const BAD_TOKEN = 3500;
const TOKEN_EXPIRED = 3005;
const UNAUTHENTICATED = 101;
const EXPIRED = 109;
const CURSOR = 112;

/** How long a node says nothing, unless it tells another pause, before its own pings, which a page does not see. */
const PING_MS = 25_000;
/** Numbers of PROTOCOL section 7, until the server has told its own. */
const RETRY = { base_ms: 500, cap_ms: 20_000 };
/** No server means a longer pause than this, whatever it says. */
const PAUSE_MS_MAX = 3_600_000;
/** Commands without an answer beyond which a node reads no further (PROTOCOL section 5), less some for what cannot wait. */
const ASKED_MAX = 240;
/** Connections in a row that did not come about, after which the next transport is tried. */
const TRIES = 3;
/**
 * How long a lesser transport is used before it is looked whether the first opens by now: it may be that there was no node at
 * all. The last doubles up to the most.
 */
const UPWARD_MS = [1_000, 5_000, 15_000];
const UPWARD_MS_MAX = 600_000;
/** Lines in a row that no server says, after which it is left. */
const BAD_MAX = 20;

/** @param {unknown} value @param {number} otherwise */
const pause = (value, otherwise) => (typeof value === "number" && value >= 0 ? Math.min(value, PAUSE_MS_MAX) : otherwise);
/** @param {number} looks how often it was looked before */
const upwardMs = (looks) => UPWARD_MS[looks] ?? Math.min(UPWARD_MS_MAX, UPWARD_MS[2] * 2 ** (looks - 2));

/**
 * @typedef {object} State
 * @property {"connecting" | "live" | "waiting" | "ended"} state
 * @property {string} [user_id] of `live`: whose device this is
 * @property {string} [url] of `live`: the node's socket
 * @property {string} [transport] of `live`: the way there, "websocket", "sse" or "poll"
 * @property {number} [body_chars_max] of `live`: how long a message may be
 * @property {boolean} [resumed] of `live`: whether it goes on from a cursor, so that nothing was missed
 * @property {number} [retry_ms] of `waiting`: until the next attempt
 * @property {number} [code] why the last connection closed: of PROTOCOL section 7, or 1006
 * @property {string} [reason] the server's words
 * @property {boolean} [signed_out] of `ended`: the token is not taken any more, and the user has to sign in
 */

/**
 * @typedef {object} Told what a connection tells
 * @property {(state: State) => void} state
 * @property {(reply: any, isResumed: boolean) => void} live
 * @property {() => void} lost
 * @property {(kind: string, fields: any) => void} push
 * @property {() => void} forget the cursor is not taken: what is held is to be dropped
 * @property {() => Promise<void>} ready resolves when what was received is handed over, so that more may come
 * @property {(error: unknown) => void} bad
 * @property {() => { channels: [string, number | undefined][], users: string[] }} wanted
 */

export class Connection {
  /**
   * @param {object} options
   * @param {import("./transport/websocket.js").Transport[]} options.transports
   * @param {() => Promise<string>} options.choose the node's socket to try
   * @param {(options: { fresh: boolean }) => Promise<string>} options.token
   * @param {string} options.clientName
   * @param {{ broke: (url: string) => void, opened: () => void }} options.nodes
   * @param {Told} options.on
   */
  constructor({ transports, choose, token, clientName, nodes, on }) {
    this.transports = transports;
    this.choose = choose;
    this.token = token;
    this.clientName = clientName;
    this.nodes = nodes;
    this.on = on;
    this.deviceId = "";
    /** Up to where everything was received. @type {string | null} */
    this.cursor = null;
    /** @type {Map<number, { command: string, resolve: (fields: any) => void, reject: (error: unknown) => void }>} */
    this.asked = new Map();
    this.nextId = 1;
    this.failures = 0;
    this.bad = 0;
    this.retry = RETRY;
    /** How long the server wants to hear nothing, beside the usual pause. */
    this.pauseMs = 0;
    this.clockOffsetMs = 0;
    this.bodyCharsMax = Infinity;
    this.pingMs = PING_MS;
    /** Whether the next token has to be another, and whether the last one was. */
    this.wantsFresh = false;
    this.hadFresh = false;
    this.running = false;
    this.live = false;
    /** Which transport is used, and how often it has not come about since it last did. */
    this.level = 0;
    this.unopened = 0;
    /** How often it was looked for the first one since that was used, and what ends the look that is under way. */
    this.looks = 0;
    /** @type {AbortController | undefined} */
    this.looking = undefined;
    /** Counts attempts, so that what belongs to an earlier one is told apart. */
    this.attempts = 0;
    /** @type {import("./transport/websocket.js").Link | undefined} */
    this.link = undefined;
    this.url = "";
    /** @type {{ jitter_ms: number, url?: string } | undefined} */
    this.drain = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** Until a node that drains is left. @type {ReturnType<typeof setTimeout> | undefined} */
    this.leaving = undefined;
    this.pulse = new Pulse({ echo: () => this.ask("echo", { data: "" }).catch(() => {}), over: () => this.leave(BROKEN, true) });
  }

  /** The transport that is used. */
  get transport() {
    return this.transports[this.level].name;
  }

  /** The server's time, as far as it is known: Unix milliseconds. */
  serverNow() {
    return Date.now() + this.clockOffsetMs;
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.failures = 0;
    this.attempt();
  }

  stop() {
    this.running = false;
    this.looking?.abort();
    this.looking = undefined;
    this.hangUp();
  }

  /**
   * Sends a command; the reply's fields. Rejects with `Refused`, `Gone` or `BadInput`.
   *
   * @param {string} command
   * @param {Record<string, any>} fields
   * @returns {Promise<any>}
   */
  ask(command, fields) {
    const { link } = this;
    if (!this.live || !link) return Promise.reject(new Gone());
    if (this.asked.size >= ASKED_MAX) {
      return Promise.reject(new Refused({ code: 111, message: `${ASKED_MAX} commands wait for their answers`, temporary: true, retry_after_ms: 1000 }));
    }
    const id = this.newId();
    const answer = new Promise((resolve, reject) => this.asked.set(id, { command, resolve, reject }));
    link.send(json({ id, [command]: fields }));
    this.pulse.asked();
    return answer;
  }

  /**
   * Sends a command whose reply nobody needs.
   *
   * @param {string} command
   * @param {Record<string, any>} fields
   */
  tell(command, fields) {
    if (this.live) this.link?.send(json({ [command]: fields }));
  }

  /** The network or the user is back: does not wait for the rest of the pause, and looks whether the node is still there. */
  hurry() {
    if (this.live) this.pulse.probe();
    if (!this.running || this.timer === undefined) return;
    clearTimeout(this.timer);
    this.attempt();
  }

  /**
   * Leaves this connection and makes another one: a page that is kept for the way back, or a node that says nothing.
   *
   * @param {number} code why, as it is told
   * @param {boolean} [isBroken] whether other nodes are to be tried first
   */
  leave(code, isBroken = false) {
    if (!this.running || !this.link) return;
    if (isBroken) this.nodes.broke(this.url);
    if (isBroken && !this.live) this.unmade();
    this.hangUp();
    this.later({ code });
  }

  newId() {
    this.nextId = this.nextId >= 0xffff_ffff ? 1 : this.nextId + 1;
    return this.nextId;
  }

  async attempt() {
    const attempt = (this.attempts += 1);
    const isStale = () => attempt !== this.attempts || !this.running;
    this.timer = undefined;
    this.on.state({ state: "connecting" });
    let url;
    let token;
    try {
      await this.on.ready();
      if (isStale()) return undefined;
      url = this.drain?.url ?? (await this.choose());
      this.drain = undefined;
      token = await this.token({ fresh: this.wantsFresh });
    } catch (error) {
      if (isStale()) return undefined;
      if (isSignedOut(error)) return this.end({ signed_out: true, reason: String(/** @type {any} */ (error)?.message ?? error) });
      this.on.bad(error);
      return this.later({});
    }
    if (isStale()) return undefined;
    this.hadFresh = this.wantsFresh;
    this.wantsFresh = false;
    const fields = { token, device_id: this.deviceId, client: this.clientName, ...(this.cursor !== null && { cursor: this.cursor }) };
    const hello = { id: this.newId(), connect: fields };
    this.asked.set(hello.id, {
      command: "connect",
      resolve: (reply) => this.welcomed(reply, "cursor" in fields),
      reject: (error) => this.refused(error),
    });
    this.url = url;
    this.pulse.open(this.pingMs / 2);
    try {
      this.link = this.transports[this.level].open({
        url, hello, wanted: this.on.wanted,
        onLine: (line) => { if (!isStale()) this.hear(line); },
        onClose: (closed) => { if (!isStale()) this.closed(closed); },
      });
    } catch (error) {
      this.on.bad(error);
      this.hangUp();
      this.later({});
    }
    return undefined;
  }

  /**
   * Uses another transport from now on.
   *
   * @param {number} level
   * @param {number} unopened how often it has not come about before: few more attempts are given to what did not lately
   */
  use(level, unopened) {
    this.level = level;
    this.unopened = unopened;
  }

  /** Where a lesser transport has come about, looks for the first one after a while; from one connection to the next. */
  upward() {
    if (this.level === 0) {
      this.looks = 0;
      this.looking?.abort();
      this.looking = undefined;
    } else if (!this.looking) {
      const looking = (this.looking = new AbortController());
      // What cannot be looked for beside the connection costs it each time.
      const looks = this.transports[0].probe ? this.looks : Math.max(this.looks, UPWARD_MS.length - 1);
      const timer = setTimeout(() => this.look(looking.signal), upwardMs(looks));
      looking.signal.addEventListener("abort", () => clearTimeout(timer));
    }
  }

  /** Whether the first transport opens by now; if so, it is used. @param {AbortSignal} signal */
  async look(signal) {
    const first = this.transports[0];
    // Nobody can be reached at the moment: it is looked when somebody can.
    let opens = false;
    if (this.live) {
      this.looks += 1;
      opens = first.probe ? await first.probe(this.url, signal).catch((error) => { this.on.bad(error); return false; }) : true;
    }
    if (signal.aborted) return;
    this.looking = undefined;
    if (opens) {
      // One attempt: where that fails the lesser one is used again.
      this.use(0, TRIES - 1);
      this.leave(1000);
    } else if (this.live) {
      this.upward();
    }
  }

  /**
   * @param {any} reply
   * @param {boolean} isResumed
   */
  welcomed(reply, isResumed) {
    this.failures = 0;
    this.unopened = 0;
    this.upward();
    this.hadFresh = false;
    this.retry = { base_ms: pause(reply.retry?.base_ms, RETRY.base_ms), cap_ms: pause(reply.retry?.cap_ms, RETRY.cap_ms) };
    this.clockOffsetMs = reply.server_time_ms - Date.now();
    this.bodyCharsMax = reply.limits?.body_chars_max ?? Infinity;
    this.pingMs = Math.max(1000, pause(reply.ping_ms, PING_MS));
    this.pulse.quietMs = this.pingMs / 2;
    this.cursor = reply.cursor;
    this.live = true;
    this.pulse.heard();
    this.nodes.opened();
    this.on.live(reply, isResumed);
  }

  /** `connect` was refused. @param {any} error */
  refused(error) {
    if (error instanceof Gone || !this.link) return;
    this.hangUp();
    this.pauseMs = pause(error.retryAfterMs, 0);
    if (error.code === CURSOR) {
      this.cursor = null;
      this.on.forget();
    } else if (error.code === EXPIRED || error.code === UNAUTHENTICATED) {
      return this.renew({ code: error.code, reason: error.message });
    } else if (error instanceof Refused && !error.temporary) {
      return this.end({ code: error.code, reason: error.message });
    } else if (!(error instanceof Refused)) {
      this.on.bad(error);
    }
    return this.later({ code: error.code });
  }

  /** @param {string} line */
  hear(line) {
    if (this.live) this.pulse.heard();
    let said;
    try {
      said = envelope(line);
      this.bad = 0;
    } catch (error) {
      this.on.bad(error);
      this.bad += 1;
      if (this.bad >= BAD_MAX) {
        this.bad = 0;
        this.leave(1002, true);
      }
      return;
    }
    if (said.push) this.pushed(...said.push);
    else if (said.id !== undefined) this.answered(said.id, said);
  }

  /**
   * @param {number} id
   * @param {{ error?: any, reply?: any }} said
   */
  answered(id, { error, reply }) {
    // The same answer twice, or one to nobody.
    const asked = this.asked.get(id);
    if (!asked) {
      if (error) this.on.bad(new Refused(error));
      return;
    }
    this.asked.delete(id);
    if (error) return asked.reject(new Refused(error));
    try {
      reply = replyOf(asked.command, reply);
    } catch (bad) {
      return asked.reject(bad);
    }
    asked.resolve(reply);
  }

  /**
   * @param {string} kind
   * @param {any} fields
   */
  pushed(kind, fields) {
    if (kind === "token_expiring") return void this.renewWhileLive();
    if (kind === "drain") return this.drained(fields);
    // Of a connection that is let in already, whatever the server says before that.
    if (!this.live) return undefined;
    this.on.push(kind, fields);
    if (fields.cursor) this.cursor = fields.cursor;
    return undefined;
  }

  async renewWhileLive() {
    const { attempts } = this;
    try {
      const token = await this.token({ fresh: true });
      if (this.attempts !== attempts) return;
      // What is no socket keeps the token that it began with.
      if (this.transport === "websocket") await this.ask("refresh", { token });
      else this.leave(TOKEN_EXPIRED);
    } catch (error) {
      // The server closes with 3005 when the time is over, and connecting again asks for a fresh one.
      if (!(error instanceof Gone)) this.on.bad(error);
    }
  }

  /** The node will stop: leaves it after a random part of the jitter, so that not everyone does at once. @param {any} fields */
  drained(fields) {
    const { attempts } = this;
    const jitterMs = pause(fields.jitter_ms, 0);
    this.drain = { jitter_ms: jitterMs, ...(fields.url && { url: fields.url }) };
    clearTimeout(this.leaving);
    this.leaving = setTimeout(() => {
      if (this.attempts !== attempts || !this.live) return;
      this.drain = { ...this.drain, jitter_ms: 0 };
      this.leave(1000);
    }, Math.random() * jitterMs);
  }

  /** @param {{ code: number, reason: string, opened: boolean }} closed */
  closed({ code, reason }) {
    if (code === BROKEN) this.nodes.broke(this.url);
    if (code === BROKEN && !this.live) this.unmade();
    this.hangUp();
    // A token that was not taken may be an old one; one that was just made is refused for good.
    if (code === TOKEN_EXPIRED || code === BAD_TOKEN) return this.renew({ code, reason });
    if (FINAL.includes(code) || code >= FINAL_FROM) return this.end({ code, reason, signed_out: SIGNED_OUT.includes(code) });
    return this.later({ code, reason });
  }

  /** The token was not taken. @param {{ code: number, reason: string }} why */
  renew(why) {
    if (this.hadFresh && why.code !== TOKEN_EXPIRED) return this.end({ ...why, signed_out: true });
    this.wantsFresh = true;
    return this.later(why);
  }

  /** A connection has gone before it was one: after a few the next transport is tried, and after the last one the first. */
  unmade() {
    this.unopened += 1;
    if (this.unopened >= TRIES && this.transports.length > 1) this.use((this.level + 1) % this.transports.length, 0);
  }

  /** Nothing more of this connection is heard, and what was asked on it is not answered. */
  hangUp() {
    const { link, live, asked } = this;
    this.attempts += 1;
    this.link = undefined;
    this.live = false;
    this.asked = new Map();
    clearTimeout(this.timer);
    this.timer = undefined;
    clearTimeout(this.leaving);
    this.pulse.stop();
    link?.close(1000);
    for (const { reject } of asked.values()) reject(new Gone());
    if (live) this.on.lost();
  }

  /** No further try. @param {Omit<State, "state">} why */
  end(why) {
    this.running = false;
    this.on.state({ state: "ended", signed_out: false, ...why });
  }

  /** @param {Omit<State, "state">} why */
  later(why) {
    if (!this.running) return;
    const { base_ms, cap_ms } = this.retry;
    const mostMs = this.drain?.jitter_ms ?? Math.min(cap_ms, base_ms * 2 ** Math.min(this.failures, 16));
    this.failures += 1;
    const retryMs = this.pauseMs + Math.random() * mostMs;
    this.pauseMs = 0;
    this.timer = setTimeout(() => this.attempt(), retryMs);
    this.on.state({ state: "waiting", retry_ms: Math.round(retryMs), ...why });
  }
}

/** Whether asking for a token says that the user has to sign in: HTTP 401, or an error that says so itself. @param {any} error */
const isSignedOut = (error) => error?.status === 401 || error?.signedOut === true;
