// One file on its way to the server: in one request if it is small, else in parts by tus 1.0, which go on after whatever the
// server has.
//
// Owns the attempts and their pauses. What passes (no network, a node that is gone, 429, 5xx) is tried again until it is
// cancelled; what is refused for good is a failure that `retry()` takes up again, also of a later process: by `mediaId`.

import { NotKept, Problem } from "./errors.js";

/** Bytes up to which a file goes in one request: what breaks is sent once more. */
export const WHOLE_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes of a part of a larger one: what a network of 2 Mbit/s takes some 20 s for. */
export const PART_BYTES = 5 * 1024 * 1024;
const PAUSE_MS = 500;
const PAUSE_MS_MAX = 30_000;
/** How often the attachment is asked for after the last part, and the pause between: a picture is looked at first. */
const LOOKS = 60;
const LOOK_MS = 500;

const TUS = { "tus-resumable": "1.0.0" };
const UPLOADS = "/v1/media/uploads";

/** @typedef {import("./types.js").Uploaded} Uploaded */

/**
 * @typedef {object} UploadOptions
 * @property {string} [name] of the file; a `File` has its own
 * @property {string | (() => Promise<string | undefined>)} [poster] media id of a picture that stands for a video, or what makes one when it is its turn
 * @property {string} [mediaId] of an upload in parts that an earlier process began
 * @property {(upload: Upload) => void} [changed] is told of each step
 */

export class Upload {
  /**
   * @param {Blob} file
   * @param {UploadOptions} options
   * @param {(sent: { method: string, path: string, headers?: Record<string, string>, body?: Blob, signal: AbortSignal, progress?: (bytes: number) => void }) => Promise<import("./transfer.js").Answer>} ask
   *   as this account; rejects with `Problem`, of status 0 if nobody answers
   */
  constructor(file, { name, poster, mediaId, changed = () => {} }, ask) {
    this.file = file;
    this.name = name ?? /** @type {any} */ (file).name ?? "file";
    /** @type {string | (() => Promise<string | undefined>) | undefined} */
    this.poster = poster;
    this.changed = changed;
    this.ask = ask;
    /** "waiting" for others, or for the next attempt. @type {"waiting" | "sending" | "done" | "failed" | "cancelled"} */
    this.state = "waiting";
    this.bytes = file.size;
    this.sentBytes = 0;
    /** Of an upload in parts, once it has begun; in the end the attachment's. @type {string | undefined} */
    this.mediaId = mediaId;
    /** @type {Uploaded | undefined} */
    this.attachment = undefined;
    /** Why it failed, or waits for another attempt. @type {Error | undefined} */
    this.error = undefined;
    this.life = new AbortController();
    /** The attachment; rejects with `Problem`, or with `NotKept` after `cancel()`. Nobody has to look. @type {Promise<Uploaded>} */
    this.done = this.renew();
  }

  /** Takes up again what failed. */
  retry() {
    if (this.state !== "failed") return;
    this.error = undefined;
    this.done = this.renew();
    this.become("waiting");
    this.run();
  }

  /** Gives it up, here and at the server. */
  cancel() {
    if (this.state === "cancelled") return;
    const { mediaId, state } = this;
    this.release();
    // What is whole there goes by itself when nothing refers to it.
    if (mediaId && state !== "done") this.ask({ method: "DELETE", path: `${UPLOADS}/${mediaId}`, headers: TUS, signal: AbortSignal.timeout(PAUSE_MS_MAX) }).catch(() => {});
  }

  /** Stops here, so that another one goes on from `mediaId`. */
  release() {
    const wasOver = this.state === "done" || this.state === "failed";
    this.life.abort(new NotKept("the upload was cancelled"));
    this.become("cancelled");
    if (!wasOver) this.reject?.(this.life.signal.reason);
  }

  /** Carries it out. Called once it is its turn. */
  async run() {
    const { signal } = this.life;
    for (let failures = 0; ; failures += 1) {
      const before = this.sentBytes;
      try {
        signal.throwIfAborted();
        this.become("sending");
        if (typeof this.poster === "function") this.poster = await this.poster();
        signal.throwIfAborted();
        const attachment = await (this.bytes <= WHOLE_BYTES_MAX && !this.mediaId ? this.whole() : this.inParts());
        signal.throwIfAborted();
        this.attachment = attachment;
        this.mediaId = attachment.media_id;
        this.sentBytes = this.bytes;
        this.error = undefined;
        this.become("done");
        this.resolve?.(attachment);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!passes(error)) return void this.fail(/** @type {Error} */ (error));
        if (this.sentBytes > before) failures = 0;
        this.error = /** @type {Problem} */ (error);
        this.become("waiting");
        await pause(Math.max(/** @type {Problem} */ (error).retryAfterMs, Math.min(PAUSE_MS * 2 ** failures, PAUSE_MS_MAX)), signal);
        if (signal.aborted) return;
      }
    }
  }

  /** @returns {Promise<Uploaded>} */
  async whole() {
    this.sentBytes = 0;
    const query = new URLSearchParams({ name: this.name, ...(typeof this.poster === "string" && { poster: this.poster }) });
    const { text } = await this.ask({
      method: "POST", path: `/v1/media?${query}`, body: this.file, signal: this.life.signal, progress: (bytes) => this.sent(bytes),
      headers: { "content-type": this.file.type || "application/octet-stream" },
    });
    return JSON.parse(text);
  }

  /** tus 1.0: a place is made, what it has is asked for, and the rest follows it part by part. */
  async inParts() {
    const { signal } = this.life;
    let at = this.mediaId ? await this.offset() : 0;
    this.mediaId ??= await this.create();
    this.sent(at);
    while (at < this.bytes) {
      const from = at;
      const part = this.file.slice(from, from + PART_BYTES);
      const { header } = await this.ask({
        method: "PATCH", path: `${UPLOADS}/${this.mediaId}`, body: part, signal, progress: (bytes) => this.sent(from + bytes),
        headers: { ...TUS, "upload-offset": String(from), "content-type": "application/offset+octet-stream" },
      });
      at = Number(header("upload-offset") ?? from + part.size);
      this.sent(at);
    }
    return this.look();
  }

  /** Makes the place; its media id. @returns {Promise<string>} */
  async create() {
    const metadata = [`filename ${base64(this.name)}`, this.file.type && `filetype ${base64(this.file.type)}`, typeof this.poster === "string" && `poster ${base64(this.poster)}`];
    const { header } = await this.ask({
      method: "POST", path: UPLOADS, signal: this.life.signal,
      headers: { ...TUS, "upload-length": String(this.bytes), "upload-metadata": metadata.filter(Boolean).join(",") },
    });
    const mediaId = /\/(\d+)\/?$/u.exec(header("location") ?? "")?.[1];
    if (!mediaId) throw new Problem(201, 0, "the server does not say where the upload goes");
    return mediaId;
  }

  /** How much the server has. If it knows nothing of the upload any more there is none, and it begins anew. */
  async offset() {
    try {
      const { header } = await this.ask({ method: "HEAD", path: `${UPLOADS}/${this.mediaId}`, headers: TUS, signal: this.life.signal });
      const [offset, length] = [Number(header("upload-offset") ?? 0), header("upload-length")];
      // What is whole may have another length by now: a picture's metadata is removed.
      return length !== null && offset >= Number(length) ? this.bytes : offset;
    } catch (error) {
      if (!isGone(error)) throw error;
      this.mediaId = undefined;
      return 0;
    }
  }

  /** The attachment of an upload that has all its bytes, when it is ready. @returns {Promise<Uploaded>} */
  async look() {
    const { signal } = this.life;
    for (let looks = 1; ; looks += 1) {
      const { text } = await this.ask({ method: "GET", path: `/v1/media/${this.mediaId}`, signal }).catch((error) => {
        if (error instanceof Problem && error.status === 409 && looks < LOOKS) return { text: "{}" };
        throw error;
      });
      const found = JSON.parse(text);
      if (found.media_id && found.ready !== false) return found;
      if (looks >= LOOKS) throw new Problem(200, 0, "the server has the file, and does not get ready with it");
      await pause(LOOK_MS, signal);
      signal.throwIfAborted();
    }
  }

  /** @param {number} bytes */
  sent(bytes) {
    // A request has more than the file in it.
    this.sentBytes = Math.min(bytes, this.bytes);
    this.changed(this);
  }

  /** @param {Upload["state"]} state */
  become(state) {
    this.state = state;
    this.changed(this);
  }

  /** @param {Error} error */
  fail(error) {
    this.error = error;
    this.become("failed");
    this.reject?.(error);
  }

  /** @private @returns {Promise<Uploaded>} */
  renew() {
    /** @type {Promise<Uploaded>} */
    const done = new Promise((resolve, reject) => {
      /** @type {(attachment: Uploaded) => void} */
      this.resolve = resolve;
      /** @type {(error: Error) => void} */
      this.reject = reject;
    });
    done.catch(() => {});
    return done;
  }
}

/** The server has no such upload, or not any more. @param {any} error */
const isGone = (error) => error instanceof Problem && (error.status === 404 || error.status === 410);

/** Whether the same may go well later: nobody answered, the server is busy, or it has another offset than this client. @param {any} error */
const passes = (error) => error instanceof Problem && (error.status === 0 || error.status === 408 || error.status === 409 || error.status === 429 || error.status >= 500);

/** @param {string} text */
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

/** Resolves after `ms`, or when it is aborted. @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(end, ms);
  function end() {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    resolve();
  }
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
});
