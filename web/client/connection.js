// The socket: connects, asks, hears, and connects again from the last cursor.
//
// Owns the cursor (PROTOCOL rule 3: what came before it is held by whoever listens), the pause between attempts and what is
// asked but not answered. Knows nothing of messages.

import * as account from "./account.js";
import * as nodes from "./nodes.js";
import { Pulse } from "./pulse.js";
import { json } from "./text.js";

/** Close codes after which this device is nobody's any more. */
const SIGNED_OUT = {
  3500: "Your sign-in is not valid here any more.",
  3503: "This device was signed out.",
  3511: "This account was deleted.",
};
/** Close codes after which the same would happen again (PROTOCOL: do not retry), and the remedy. */
const ENDED = {
  1002: "the server did not understand this page: reload it",
  1007: "the server did not understand this page: reload it",
  1009: "what this page sent is too large for the server",
  3501: "the server did not understand this page: reload it",
  3502: "signing in took too long: reload to try again",
  3504: "too many devices use this account: sign one out under Devices, then reload",
  3505: "open in another tab; reload to use it here",
  3509: "the server refused too much of what this page sent: reload to try again",
};
/** The server's codes from here on are final, those that this page does not know among them. */
const FINAL_FROM = 3500;
/** The browser's own code where nobody closed: the node is gone, or was never there. */
const BROKEN = 1006;
const BAD_TOKEN = 3500;
const TOKEN_EXPIRED = 3005;
/** How long a node says nothing, unless it tells another pause, before its own pings, which a page does not see. */
const PING_MS = 25_000;

export class Refused extends Error {
  constructor({ code, message, temporary, retry_after_ms }) {
    super(message);
    this.code = code;
    this.temporary = temporary;
    this.retryAfterMs = retry_after_ms;
  }
}

/** The connection went before the answer came: asking again is safe, and needed. */
export class Gone extends Error {
  constructor() {
    super("there is no connection at the moment");
  }
}

export class Connection {
  /**
   * `cursor` is the one that was held, or null. `on` has `state(text, live)`, `live()`, `lost()`, `push(kind, fields)`,
   * `forget()`, `stale()` (of the nodes that there are this page may reach none, and loaded again it could) and
   * `signedOut(why)`.
   */
  constructor(cursor, on) {
    this.on = on;
    this.cursor = cursor;
    this.asked = new Map();
    this.nextId = 1;
    this.failures = 0;
    this.refreshed = false;
    this.retry = { base_ms: 500, cap_ms: 20000 };
    /** How long the server wants to hear nothing, beside the usual pause. */
    this.pauseMs = 0;
    this.clockOffsetMs = 0;
    this.bodyCharsMax = Infinity;
    this.stopped = false;
    this.live = false;
    this.pingMs = PING_MS;
    this.pulse = new Pulse({ echo: () => this.ask("echo", { data: "" }).catch(() => {}), over: () => this.giveUp() });
    document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
      if (effectiveDirective === "connect-src") nodes.forbidden(blockedURI);
    });
    window.addEventListener("online", () => this.hurry());
    window.addEventListener("pagehide", ({ persisted }) => { if (persisted) this.leave(); });
    window.addEventListener("pageshow", ({ persisted }) => { if (persisted) this.hurry(); });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.hurry(); });
    this.start();
  }

  /** The server's time, as far as it is known. */
  serverNow() {
    return Date.now() + this.clockOffsetMs;
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.pulse.stop();
    this.socket?.close(1000);
    this.lost();
  }

  /** Sends a command; the reply's fields. Rejects with `Refused` or `Gone`. */
  ask(command, fields) {
    const ready = this.live || command === "connect";
    if (!ready || this.socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Gone());
    const id = this.nextId++;
    this.socket.send(json({ id, [command]: fields }));
    if (this.live) this.pulse.asked();
    return new Promise((resolve, reject) => this.asked.set(id, { command, resolve, reject }));
  }

  /** Sends a command whose reply nobody needs. */
  tell(command, fields) {
    if (this.live) this.socket.send(json({ [command]: fields }));
  }

  async start() {
    this.timer = null;
    this.on.state("connecting…", false);
    let socket;
    let url;
    try {
      url = this.drain?.url ?? (await this.choose());
      this.drain = undefined;
      if (this.stopped) return;
      socket = new WebSocket(url, ["rookery.json.v1"]);
    } catch (problem) {
      return this.later(problem.status === 401);
    }
    this.socket = socket;
    this.url = url;
    this.pulse.open(this.pingMs / 2);
    socket.onopen = () => this.hello().catch(() => socket.close());
    socket.onmessage = ({ data }) => {
      // What a node says after it was given up it says again elsewhere.
      if (this.socket !== socket) return;
      if (this.live) this.pulse.heard();
      data.split("\n").filter(Boolean).forEach((line) => this.hear(JSON.parse(line)));
    };
    socket.onclose = ({ code, reason }) => {
      if (code === BROKEN) nodes.broke(url);
      if (this.socket === socket) this.closed(code, reason);
    };
  }

  /** The socket to try. */
  async choose() {
    const servers = await account.http("GET", "/v1/servers/best");
    const url = nodes.choose(servers);
    if (url) return url;
    if (await nodes.wouldReach(servers)) this.on.stale();
    return servers[0].url;
  }

  /** The node keeps its socket open and says nothing: whoever closes it would wait for its answer. */
  giveUp() {
    const { socket, url } = this;
    this.socket = undefined;
    socket.close();
    nodes.broke(url);
    this.closed(BROKEN, "");
  }

  /** The browser keeps the page for the way back, and its socket with it: the user would count as reached there. */
  leave() {
    const { socket } = this;
    if (this.stopped || !socket) return;
    this.socket = undefined;
    socket.close(1000);
    this.closed(1000, "");
  }

  async hello() {
    const { token, device } = account.current();
    const fields = { token, device_id: device, client: "web" };
    if (this.cursor) fields.cursor = this.cursor;
    let reply;
    try {
      reply = await this.ask("connect", fields);
    } catch (error) {
      if (error.code === 112) {
        // A cursor of another store, or ahead of it: drop it and what is cached.
        this.cursor = null;
        this.on.forget();
      } else if (error.code === 109) {
        await account.refresh();
      }
      this.pauseMs = error.retryAfterMs ?? 0;
      throw error;
    }
    this.failures = 0;
    this.refreshed = false;
    this.retry = reply.retry;
    this.clockOffsetMs = reply.server_time_ms - Date.now();
    this.bodyCharsMax = reply.limits.body_chars_max;
    this.pingMs = reply.ping_ms;
    this.cursor = reply.cursor;
    this.live = true;
    this.pulse.heard();
    nodes.opened();
    this.on.state("online", true);
    this.on.live();
  }

  hear(envelope) {
    if (envelope.push) {
      const [kind] = Object.keys(envelope.push);
      const fields = envelope.push[kind];
      if (kind === "token_expiring") return this.refreshToken();
      if (kind === "drain") return this.drained(fields);
      this.on.push(kind, fields);
      // After it was taken in, never before: the cursor says that everything up to it is held here.
      if (fields.cursor) this.cursor = fields.cursor;
      return undefined;
    }
    const asked = this.asked.get(envelope.id);
    if (!asked) return undefined;
    this.asked.delete(envelope.id);
    return envelope.error ? asked.reject(new Refused(envelope.error)) : asked.resolve(envelope[asked.command]);
  }

  async refreshToken() {
    try {
      await account.refresh();
      await this.ask("refresh", { token: account.current().token });
    } catch {
      // The server closes with 3005 when the time is over, and connecting again refreshes.
    }
  }

  /** The node will stop: leaves it after a random part of the jitter, so that not everyone does at once. */
  drained(fields) {
    const { socket } = this;
    this.drain = fields;
    setTimeout(() => {
      if (this.socket !== socket || !this.live) return;
      this.drain = { ...fields, jitter_ms: 0 };
      socket.close(1000);
    }, Math.random() * fields.jitter_ms);
  }

  lost() {
    this.live = false;
    this.on.lost();
    for (const { reject } of this.asked.values()) reject(new Gone());
    this.asked.clear();
  }

  async closed(code, reason) {
    this.pulse.stop();
    this.lost();
    if (this.stopped) return undefined;
    // A token that was not taken may be an old one; one that was just renewed is refused for good.
    if (code === TOKEN_EXPIRED || (code === BAD_TOKEN && !this.refreshed)) {
      this.refreshed = true;
      try {
        await account.refresh();
      } catch (problem) {
        if (problem.status === 401) return this.end(() => this.on.signedOut());
      }
      return this.later(false);
    }
    if (code in SIGNED_OUT) return this.end(() => this.on.signedOut(SIGNED_OUT[code]));
    if (code in ENDED || code >= FINAL_FROM) {
      const words = ENDED[code] ?? `the server ended this connection (${reason || code}): reload to try again`;
      return this.end(() => this.on.state(words, false));
    }
    return this.later(false);
  }

  /** No further try: `tell` says why. */
  end(tell) {
    this.stopped = true;
    tell();
  }

  later(signedOut) {
    if (this.stopped) return;
    if (signedOut) {
      this.end(() => this.on.signedOut());
      return;
    }
    const { base_ms, cap_ms } = this.retry;
    const waitMs = this.drain?.jitter_ms ?? Math.min(cap_ms, base_ms * 2 ** Math.min(this.failures, 16));
    this.failures += 1;
    this.on.state("offline, trying again…", false);
    this.timer = setTimeout(() => this.start(), this.pauseMs + Math.random() * waitMs);
    this.pauseMs = 0;
  }

  /** The network or the user is back: does not wait for the rest of the pause, and looks whether the node is still there. */
  hurry() {
    if (this.live) this.pulse.probe();
    if (this.stopped || !this.timer) return;
    clearTimeout(this.timer);
    this.start();
  }
}
