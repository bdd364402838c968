// Lines over plain HTTP (PROTOCOL section 11): what is pushed comes as answers to GET, commands go by POST.
//
// Owns what both ways have in common. A way of asking is a `Round`: one GET, and how its answer is cut into lines. What is
// followed, channels that are open and users who are watched, is said by the GET, and answered in it; so a command that
// follows something else begins another round, and takes its answer from there.

import { json } from "../json.js";

/** @typedef {import("./websocket.js").Link} Link */
/** @typedef {import("./websocket.js").Transport} Transport */
/** @typedef {import("./websocket.js").Way} Way */

/**
 * @typedef {object} Round
 * @property {string} path
 * @property {(isFirst: boolean) => Record<string, string>} query what is asked for beside what all ask for
 * @property {(body: ReadableStream<Uint8Array>, said: (line: string) => void, closed: (code: number) => void) => Promise<void>} read resolves at the end of the answer
 * @property {boolean} goesOn whether an answer that is over is followed by another round
 */

const BROKEN = 1006;
const TOKEN_EXPIRED = 3005;
const EXPIRED = 109;
const BAD_REQUEST = 107;
/** Channels that one request may open. */
const OPEN_MAX = 100;
/** How long what is followed may change further before it is asked for. */
const SOON_MS = 50;
/** Lines of one POST, and their characters: less than a body may have in bytes, whatever they are. */
const LINES_MAX = 200;
const CHARS_MAX = 400_000;

/**
 * @param {string} name
 * @param {Round} round
 * @returns {Transport}
 */
export function plain(name, round) {
  return { name, open: (way) => new PlainLink(way, round) };
}

/** @implements {Link} */
class PlainLink {
  /**
   * @param {Way} way
   * @param {Round} round
   */
  constructor(way, round) {
    this.way = way;
    this.round = round;
    const { token, device_id: deviceId, cursor, client } = way.hello.connect;
    this.token = token;
    this.deviceId = deviceId;
    this.client = client;
    /** The last that came. @type {string | undefined} */
    this.cursor = cursor;
    this.isDone = false;
    this.isOpen = false;
    /** What this round follows, by its number in it: the answer, once it is there. @type {Map<number, { key: string, said?: Record<string, any> }>} */
    this.followed = new Map();
    /** Commands that wait for such an answer: their ids, by what they follow. @type {Map<string, { id: number, command: string }[]>} */
    this.waiting = new Map();
    /** Lines that are not on their way yet. @type {string[]} */
    this.lines = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.posting = new AbortController();
    this.getting = new AbortController();
    this.run();
  }

  /** @param {number} _code a request has none */
  close(_code) {
    this.isDone = true;
    clearTimeout(this.timer);
    this.getting.abort();
    this.posting.abort();
  }

  /** @param {string} line */
  send(line) {
    const { id, ...request } = JSON.parse(line);
    const command = Object.keys(request)[0];
    const fields = request[command];
    switch (command) {
      case "open": return this.follow(id, command, `open ${fields.channel_id}`);
      case "presence_watch":
        // That nobody is watched any more has no answer.
        if (!fields.user_ids.length) this.answerSoon({ id, presence_watch: { entries: [] } });
        else return this.follow(id, command, `watch ${fields.user_ids.join()}`);
        return this.again();
      case "close":
        this.answerSoon({ id, close: {} });
        return this.again();
      // A stream has the token that it began with.
      case "refresh": return this.answerSoon({ id, error: { code: BAD_REQUEST, message: "not over plain HTTP" } });
      default:
        if (!this.lines.length) queueMicrotask(() => this.post());
        this.lines.push(line);
        return undefined;
    }
  }

  /** @param {number} id @param {string} command @param {string} key */
  follow(id, command, key) {
    const known = [...this.followed.values()].find((each) => each.key === key);
    if (known?.said) return this.answerSoon({ ...renamed(known.said, command), id });
    const waiting = this.waiting.get(key) ?? [];
    waiting.push({ id, command });
    this.waiting.set(key, waiting);
    if (!known) this.again();
    return undefined;
  }

  /** What is followed has changed: another round begins, soon. */
  again() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.getting.abort(), SOON_MS);
  }

  /** Rounds, one after the other. */
  async run() {
    for (let isFirst = true; !this.isDone; isFirst = false) {
      this.getting = new AbortController();
      const { signal } = this.getting;
      let isOver;
      try {
        isOver = await this.once(isFirst, signal);
      } catch (error) {
        if (this.isDone) return;
        isOver = !signal.aborted;
      }
      if (isOver) return this.over(BROKEN);
    }
  }

  /** One round; whether it was the last. @param {boolean} isFirst @param {AbortSignal} signal */
  async once(isFirst, signal) {
    const answer = await fetch(this.address(isFirst), { headers: this.headers(), signal, cache: "no-store" });
    if (!answer.ok || !answer.body) {
      await this.refused(answer, isFirst);
      return true;
    }
    this.isOpen = true;
    let isFirstLine = true;
    let isClosed = false;
    await this.round.read(answer.body, (line) => {
      if (signal.aborted) return;
      this.heard(line, isFirst && isFirstLine);
      isFirstLine = false;
    }, (code) => {
      isClosed = true;
      this.over(code);
    });
    return isClosed || !this.round.goesOn;
  }

  /** A path of the node, beside its socket's. @param {string} path */
  at(path) {
    const url = new URL(this.way.url.replace(/^ws/u, "http"));
    url.pathname = url.pathname.replace(/\/connection\/websocket$|\/+$/u, "") + path;
    return url;
  }

  /** @param {boolean} isFirst */
  address(isFirst) {
    const url = this.at(this.round.path);
    const isAsking = isFirst || this.waiting.size > 0;
    const fields = { device_id: this.deviceId, client: this.client, cursor: this.cursor, ...this.round.query(isAsking) };
    for (const [name, value] of Object.entries(fields)) if (value !== undefined) url.searchParams.append(name, value);
    const { channels, users } = this.way.wanted();
    this.followed = new Map();
    for (const [channelId, afterSeq] of channels.slice(0, OPEN_MAX)) {
      url.searchParams.append("open", afterSeq === undefined ? channelId : `${channelId}:${afterSeq}`);
      this.followed.set(this.followed.size + 2, { key: `open ${channelId}` });
    }
    if (users.length) {
      url.searchParams.append("watch", users.join());
      this.followed.set(this.followed.size + 2, { key: `watch ${users.join()}` });
    }
    return url;
  }

  headers() {
    return { authorization: `Bearer ${this.token}` };
  }

  /** @param {string} line @param {boolean} isHello */
  heard(line, isHello) {
    if (this.isDone) return;
    let said;
    try {
      said = JSON.parse(line);
    } catch {
      // Whoever listens tells of it.
    }
    const pushed = said?.push && Object.values(said.push)[0]?.cursor;
    const cursor = pushed ?? said?.connect?.cursor;
    if (typeof cursor === "string") this.cursor = cursor;
    if (isHello) return this.way.onLine(json({ ...said, id: this.way.hello.id }));
    if (said === undefined || said?.push) return this.way.onLine(line);
    // The first line of a later round says nothing new; the others answer what is followed.
    const followed = this.followed.get(said?.id);
    if (!followed) return undefined;
    followed.said = said;
    const waiting = this.waiting.get(followed.key);
    this.waiting.delete(followed.key);
    for (const { id, command } of waiting ?? []) this.way.onLine(json({ ...renamed(said, command), id }));
    // Who is there now, of whom nothing was told between two rounds.
    const entries = said.presence_watch?.entries;
    if (!waiting && entries) this.way.onLine(json({ push: { presence: { entries } } }));
    return undefined;
  }

  /** A GET that was answered with a problem. @param {Response} answer @param {boolean} isFirst */
  async refused(answer, isFirst) {
    const problem = await problemOf(answer);
    if (this.isDone || !problem) return this.over(BROKEN);
    // At the beginning it is an answer to `connect`; later the next connection has it.
    if (isFirst) return this.way.onLine(json({ id: this.way.hello.id, error: problem }));
    return this.over(problem.code === EXPIRED ? TOKEN_EXPIRED : BROKEN);
  }

  async post() {
    while (this.lines.length && !this.isDone) {
      let chars = 0;
      let count = 0;
      while (count < this.lines.length && count < LINES_MAX && (count === 0 || chars + this.lines[count].length <= CHARS_MAX)) {
        chars += this.lines[count].length;
        count += 1;
      }
      this.posted(this.lines.splice(0, count));
    }
  }

  /** @param {string[]} lines */
  async posted(lines) {
    const url = this.at("/connection/command");
    url.search = `?${new URLSearchParams({ device_id: this.deviceId })}`;
    try {
      const answer = await fetch(url, { method: "POST", headers: { ...this.headers(), "content-type": "application/x-ndjson" }, body: lines.join("\n"), signal: this.posting.signal });
      if (answer.ok && answer.body) {
        await readLines(answer.body, (line) => { if (!this.isDone) this.way.onLine(line); });
        return;
      }
      const problem = await problemOf(answer);
      if (!problem || problem.code === EXPIRED) return this.over(problem ? TOKEN_EXPIRED : BROKEN);
      for (const id of lines.map((line) => JSON.parse(line).id)) if (id) this.answerSoon({ id, error: problem });
    } catch {
      // Whether it arrived nobody knows: what was asked is asked again on the next connection.
      this.over(BROKEN);
    }
  }

  /** @param {Record<string, any>} said */
  answerSoon(said) {
    queueMicrotask(() => { if (!this.isDone) this.way.onLine(json(said)); });
  }

  /** @param {number} code */
  over(code) {
    if (this.isDone) return;
    this.close(code);
    this.way.onClose({ code, reason: "", opened: this.isOpen });
  }
}

/** An answer under the name of the command that waits for it. @param {Record<string, any>} said @param {string} command */
const renamed = (said, command) => (said.error ? { error: said.error } : { [command]: said[command] ?? {} });

/** What a node refuses a request with, or undefined: it was none, or a proxy spoke. @param {Response} answer */
async function problemOf(answer) {
  try {
    const { code, detail, temporary, retry_after_ms } = await answer.json();
    return typeof code === "number" ? { code, message: detail, temporary, retry_after_ms } : undefined;
  } catch {
    return undefined;
  }
}

/** Characters of one line, beyond which it is no server of ours. */
const LINE_CHARS_MAX = 16 * 1024 * 1024;

/**
 * Cuts an answer into lines, at their ends, without empty ones.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {(line: string) => void} said
 */
export async function readLines(body, said) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const lines = (rest + decoder.decode(value, { stream: !done })).split(/\r\n|\n|\r/u);
      rest = done ? "" : /** @type {string} */ (lines.pop());
      for (const line of lines) if (line) said(line);
      if (done) return;
      if (rest.length > LINE_CHARS_MAX) throw new Error(`a line of over ${LINE_CHARS_MAX} characters`);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
