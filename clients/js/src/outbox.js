// What the user has done and the server has not answered: messages, edits, deletions, reactions.
//
// An entry is stored before it is sent for the first time and deleted after it was answered; until then it is repeated under
// the same client_msg_id or op_id, across connections, crashes and nodes, so that nothing is lost and nothing happens twice
// (PROTOCOL rules 1 and 6). One entry of a channel is on its way at a time: order holds without further thought (rule 7).
// An entry that was refused for good keeps its place until somebody tries it again or gives it up; those behind it go on.
// A message with files is sent when they are at the server; those behind it do not wait for that, since it may take long.

import { BadInput, Gone, NotKept, Problem, Refused } from "./errors.js";
import { Files } from "./files.js";
import { uuidMs } from "./ids.js";
import { Timers } from "./timers.js";

/** Entries, those that were refused among them. A person writes no more than this while away. */
export const OUTBOX_MAX = 1000;
/** The server's window of rule 1: an older id is refused with 124 rather than risk a duplicate. */
const WINDOW_MS = 30 * 24 * 3600 * 1000;
const TOO_OLD = 124;
/** The shortest pause after a refusal that passes. */
const PAUSE_MS = 200;
const PREFIX = "outbox/";

/**
 * @typedef {object} Entry
 * @property {string} id its client_msg_id or op_id
 * @property {"send" | "edit" | "delete" | "react"} command
 * @property {Record<string, any>} fields of the command
 * @property {import("./types.js").FilePart[]} [files] of a message, in order; `fields.media` is made of them when all are at the server
 * @property {{ code: number, message: string }} [problem] why it was refused for good
 *
 * @typedef {object} Outcome what became of an entry; the fields beside `state` are those of the entry
 * @property {"pending" | "sent" | "failed" | "dropped"} state
 * @property {string} id
 * @property {Entry["command"]} command
 * @property {Record<string, any>} fields
 * @property {import("./types.js").FilePart[]} [files]
 * @property {any} [reply] of `sent`: the server's
 * @property {{ code: number, message: string }} [problem] of `failed`; `code` 0 where the server was not asked
 *
 * @typedef {Entry & { key: string, isKept: boolean, isDone: boolean, isUploading?: boolean }} Held
 */

export class Outbox {
  /**
   * @param {object} options
   * @param {import("./store.js").Store} options.store
   * @param {(command: string, fields: Record<string, any>) => Promise<any>} options.ask
   * @param {() => number} options.serverNow
   * @param {import("./files.js").Uploads} options.media
   * @param {(outcome: Outcome) => void} options.tell
   * @param {(id: string, file: import("./types.js").FilePart) => void} options.moved how far a file of an entry is has changed
   * @param {(error: unknown) => void} options.bad
   */
  constructor({ store, ask, serverNow, media, tell, moved, bad }) {
    this.store = store;
    this.ask = ask;
    this.serverNow = serverNow;
    this.tell = tell;
    this.bad = bad;
    this.files = new Files({
      store, media, bad,
      moved: (file) => {
        const entry = this.entries.find(({ files }) => files?.includes(file));
        if (entry) moved(entry.id, file);
      },
    });
    /** Oldest first. @type {Held[]} */
    this.entries = [];
    this.nextKey = 1;
    /** Channels of which an entry is on its way. @type {Set<string>} */
    this.busy = new Set();
    this.isLive = false;
    this.timers = new Timers();
  }

  /** Reads what was left by an earlier run. */
  async load() {
    const keys = await this.store.keys(PREFIX);
    const read = await Promise.all(keys.map(async (key) => ({ key, entry: await this.store.get(key) })));
    for (const { key, entry } of read) {
      this.nextKey = Math.max(this.nextKey, Number(key.slice(PREFIX.length)) + 1);
      if (isWhole(entry)) this.entries.push({ ...entry, key, isKept: true, isDone: false });
      else this.bad(new BadInput(`the store has an entry under ${key} that is none`));
    }
    await this.files.sweep(this.entries.flatMap(({ files = [] }) => files)).catch(this.bad);
  }

  /** All entries, oldest first, as they were told last. @returns {Outcome[]} */
  list() {
    return this.entries.map((entry) => outcome(entry, entry.problem ? "failed" : "pending"));
  }

  /**
   * Takes an entry on. Resolves when it is stored, and from then on it outlives everything; rejects with `NotKept`. The same
   * id twice is one entry. `blobs` are those of its files, by their ids.
   *
   * @param {Entry & { blobs?: Record<string, Blob> }} entry
   */
  async add({ id, command, fields, files, blobs = {} }) {
    if (this.find(id)) return;
    if (this.entries.length >= OUTBOX_MAX) throw new NotKept(`${OUTBOX_MAX} entries wait to be sent: nothing more is taken until some are`);
    const key = PREFIX + String(this.nextKey).padStart(12, "0");
    this.nextKey += 1;
    /** @type {Held} */
    const held = { id, command, fields, ...(files && { files }), key, isKept: false, isDone: false };
    this.entries.push(held);
    this.tell(outcome(held, "pending"));
    try {
      for (const file of files ?? []) await this.files.keep(file, blobs[file.id]);
      await this.store.put(key, kept(held));
    } catch (error) {
      await this.forgetFiles(held);
      this.forget(held);
      this.pump(fields.channel_id);
      throw new NotKept("the store did not take it", error);
    }
    held.isKept = true;
    if (held.isDone) return void this.store.delete(key).catch(this.bad);
    void this.upload(held);
    this.pump(fields.channel_id);
  }

  /** Tries a refused entry again, under the same id: if it had arrived after all, it does not happen twice. @param {string} id */
  async again(id) {
    const entry = this.find(id);
    if (!entry?.problem) return;
    delete entry.problem;
    // The server keeps for a day what no message has.
    for (const file of entry.files ?? []) if (await this.files.renew(file)) delete entry.fields.media;
    this.tell(outcome(entry, "pending"));
    await this.keep(entry);
    void this.upload(entry);
    this.pump(entry.fields.channel_id);
  }

  /** The user gives an entry up. One that is on its way may have arrived. @param {string} id */
  async drop(id) {
    const entry = this.find(id);
    if (!entry) return;
    await this.remove(entry);
    this.tell(outcome(entry, "dropped"));
    this.pump(entry.fields.channel_id);
  }

  /** The server has shown an own message: it is durable, whether or not the answer comes. @param {any} message */
  async arrived(message) {
    const entry = this.find(message.client_msg_id);
    if (!entry || entry.command !== "send" || entry.fields.channel_id !== message.channel_id) return;
    await this.sent(entry, { seq: message.seq, sent_ms: message.sent_ms, duplicate: false });
  }

  /** There is a connection. */
  resume() {
    this.isLive = true;
    for (const entry of this.entries) void this.upload(entry);
    for (const channelId of new Set(this.entries.map((entry) => entry.fields.channel_id))) this.pump(channelId);
  }

  /** There is none. */
  suspend() {
    this.isLive = false;
  }

  /** For good: what waits is the next run's. */
  stop() {
    this.isLive = false;
    this.timers.stop();
    this.files.stop();
  }

  /** Has the files of an entry brought to the server, one after the other; then it may be sent. @param {Held} entry */
  async upload(entry) {
    if (!this.isLive || !entry.isKept || entry.isUploading || entry.problem || !lacksFiles(entry)) return;
    entry.isUploading = true;
    try {
      for (const file of entry.files ?? []) {
        if (file.attachment) continue;
        const begun = (/** @type {string} */ mediaId) => {
          file.media_id = mediaId;
          if (!entry.isDone) void this.keep(entry);
        };
        file.attachment = await this.files.upload(file, begun);
        if (entry.isDone) return;
        file.media_id = file.attachment.media_id;
        await this.keep(entry);
      }
      const media = (entry.files ?? []).map(({ attachment }) => attachment?.media_id);
      await this.store.put(entry.key, kept({ ...entry, fields: { ...entry.fields, media } })).catch(this.bad);
      if (entry.isDone) return;
      // From here on it may be sent, and its answer come at once: nothing may be stored or told of it behind that.
      entry.fields.media = media;
      this.tell(outcome(entry, "pending"));
    } catch (error) {
      // Given up, or to be taken up by the next run.
      if (error instanceof NotKept) return;
      await this.fail(entry, { code: error instanceof Problem ? error.code : 0, message: String(/** @type {any} */ (error).message ?? error) });
    } finally {
      entry.isUploading = false;
    }
    this.pump(entry.fields.channel_id);
  }

  /** Sends what waits of a channel, one after the other. @param {string} channelId */
  async pump(channelId) {
    if (!this.isLive || this.busy.has(channelId)) return;
    const entry = this.entries.find((candidate) => candidate.fields.channel_id === channelId && !candidate.problem && !lacksFiles(candidate));
    if (!entry?.isKept) return;
    this.busy.add(channelId);
    const pauseMs = await this.attempt(entry).catch((error) => { this.bad(error); return PAUSE_MS; });
    const goOn = () => {
      this.busy.delete(channelId);
      this.pump(channelId);
    };
    if (pauseMs > 0) this.timers.after(pauseMs, goOn);
    else goOn();
  }

  /** One attempt; how long to wait before the next one of this channel. @param {Held} entry */
  async attempt(entry) {
    const ageMs = this.serverNow() - uuidMs(entry.id);
    if (ageMs > WINDOW_MS) {
      await this.fail(entry, { code: TOO_OLD, message: "it is over 30 days old, and sending it might double it" });
      return 0;
    }
    try {
      const reply = await this.ask(entry.command, entry.fields);
      await this.sent(entry, reply);
      return 0;
    } catch (error) {
      if (entry.isDone) return 0;
      // Without an answer it goes out again: with the next connection, or, where an answer was not whole, after a pause.
      if (error instanceof Gone) return 0;
      if (!(error instanceof Refused)) throw error;
      if (error.temporary) return Math.max(error.retryAfterMs, PAUSE_MS);
      await this.fail(entry, { code: error.code, message: error.message });
      return 0;
    }
  }

  /**
   * @param {Held} entry
   * @param {any} reply
   */
  async sent(entry, reply) {
    // Its event may have come first.
    if (entry.isDone) return;
    this.forget(entry);
    this.tell({ ...outcome(entry, "sent"), reply });
    await this.store.delete(entry.key).catch(this.bad);
    await this.forgetFiles(entry);
  }

  /**
   * @param {Held} entry
   * @param {{ code: number, message: string }} problem
   */
  async fail(entry, problem) {
    if (entry.isDone) return;
    entry.problem = problem;
    this.tell(outcome(entry, "failed"));
    await this.keep(entry);
  }

  /** @param {Held} entry */
  async keep(entry) {
    await this.store.put(entry.key, kept(entry)).catch(this.bad);
  }

  /** @param {Held} entry */
  async remove(entry) {
    this.forget(entry);
    await this.store.delete(entry.key).catch(this.bad);
    await this.forgetFiles(entry);
  }

  /** @param {Held} entry */
  async forgetFiles({ files = [] }) {
    for (const file of files) await this.files.forget(file);
  }

  /** @param {Held} entry */
  forget(entry) {
    entry.isDone = true;
    this.entries = this.entries.filter((other) => other !== entry);
  }

  /** @param {string} id */
  find(id) {
    return this.entries.find((entry) => entry.id === id);
  }
}

/** Whether what the store gave is an entry. @param {any} entry */
const isWhole = (entry) => typeof entry?.id === "string" && typeof entry.command === "string" && typeof entry.fields?.channel_id === "string";

/** Whether it waits for files. @param {Entry} entry */
const lacksFiles = ({ files, fields }) => Boolean(files?.length) && !fields.media;

/** What the store has of an entry. @param {Held} entry @returns {Entry} */
const kept = ({ id, command, fields, files, problem }) => ({ id, command, fields, ...(files && { files }), ...(problem && { problem }) });

/**
 * @param {Held} entry
 * @param {Outcome["state"]} state
 * @returns {Outcome}
 */
function outcome({ id, command, fields, files, problem }, state) {
  return { state, id, command, fields, ...(files && { files }), ...(problem && { problem }) };
}
