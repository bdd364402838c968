// Media: uploads, a few at a time, and the URLs of attachments, which are signed and expire.
//
// URLs are asked for by message, many messages in one request, and again before they expire. Those that an answer brought
// along, as of posts and uploads, are taken note of by `take`.

import { Problem } from "./errors.js";
import { Upload } from "./upload.js";

/** Uploads at once: more only share the same network. */
const AT_ONCE = 2;
/** Messages in one request for URLs, as the server takes them. */
const SEQS_MAX = 100;
/** How long a request for URLs waits for others to go along. */
const GATHER_MS = 10;
/** How long before it expires a URL is not given out any more. */
const MARGIN_MS = 60_000;
/** Attachments whose URLs are remembered, those that were used last. */
const KNOWN_MAX = 2_000;

/** @typedef {import("./types.js").MediaUrls} MediaUrls */

/** @typedef {{ resolve: (found: Record<string, MediaUrls>) => void, reject: (error: unknown) => void }} Waiting */

export class Media {
  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.api = api;
    /** Uploads whose turn it is not. @type {Upload[]} */
    this.queue = [];
    this.running = 0;
    /** @type {Map<string, { urls: MediaUrls, expiresMs: number }>} */
    this.known = new Map();
    /** Who waits for URLs, by channel and seq. @type {Map<string, Map<number, Waiting[]>>} */
    this.wanted = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.gathering = undefined;
  }

  /**
   * Uploads a file. It begins when it is its turn, of two at a time; `now`: at once, as of what another one waits for.
   *
   * @param {Blob} file
   * @param {import("./upload.js").UploadOptions & { now?: boolean }} [options]
   */
  upload(file, { now, ...options } = {}) {
    const upload = new Upload(file, options, (sent) => this.api.send(sent));
    upload.done.then((attachment) => this.take([attachment]), () => {});
    if (now) {
      void upload.run();
    } else {
      this.queue.push(upload);
      this.next();
    }
    return upload;
  }

  /** What the account has uploaded. @param {string} mediaId @returns {Promise<import("./types.js").Uploaded>} */
  get(mediaId) {
    return this.api.call("GET", `/v1/media/${encodeURIComponent(mediaId)}`);
  }

  /**
   * URLs of an attachment as far as they are known and hold for a while.
   *
   * @param {string} mediaId
   * @returns {MediaUrls | undefined}
   */
  knownUrls(mediaId) {
    const known = this.known.get(mediaId);
    return known && known.expiresMs - MARGIN_MS > Date.now() ? known.urls : undefined;
  }

  /**
   * URLs of a message's attachments, by media id: those that are known, or asked for along with others. What the caller may not
   * see is missing.
   *
   * @param {{ channel_id: string, seq: number, media?: { media_id: string }[] }} message
   * @param {{ fresh?: boolean }} [options] `fresh`: also if some are known
   * @returns {Promise<Record<string, MediaUrls>>}
   */
  async urls({ channel_id, seq, media = [] }, { fresh = false } = {}) {
    const known = media.map(({ media_id }) => [media_id, this.knownUrls(media_id)]);
    if (!fresh && known.length && known.every(([, urls]) => urls)) return Object.fromEntries(known);
    return new Promise((resolve, reject) => {
      const seqs = this.wanted.get(channel_id) ?? new Map();
      this.wanted.set(channel_id, seqs);
      seqs.set(seq, [...(seqs.get(seq) ?? []), { resolve, reject }]);
      this.gathering ??= setTimeout(() => this.ask(), GATHER_MS);
    });
  }

  /**
   * Takes note of URLs that an answer brought.
   *
   * @param {{ media_id: string, urls?: MediaUrls }[]} media
   * @param {number} [expiresMs] unless the URLs say it
   */
  take(media, expiresMs) {
    for (const { media_id, urls } of media) {
      if (!urls) continue;
      const whole = /** @type {MediaUrls} */ (Object.fromEntries(Object.entries(urls).map(([variant, url]) => [variant, this.absolute(url)])));
      this.known.delete(media_id);
      this.known.set(media_id, { urls: whole, expiresMs: expiresMs ?? expiryOf(urls.original) });
    }
    for (const oldest of this.known.keys()) {
      if (this.known.size <= KNOWN_MAX) break;
      this.known.delete(oldest);
    }
  }

  // Inside.

  /** @private */
  next() {
    while (this.running < AT_ONCE) {
      const upload = this.queue.shift();
      if (!upload) return;
      if (upload.state !== "waiting") continue;
      this.running += 1;
      upload.run().finally(() => {
        this.running -= 1;
        this.next();
      });
    }
  }

  /** @private */
  async ask() {
    this.gathering = undefined;
    const { wanted } = this;
    this.wanted = new Map();
    const requests = [];
    for (const [channelId, seqs] of wanted) {
      const all = [...seqs];
      for (let from = 0; from < all.length; from += SEQS_MAX) requests.push(this.askOf(channelId, all.slice(from, from + SEQS_MAX)));
    }
    await Promise.all(requests);
  }

  /**
   * @param {string} channelId
   * @param {[number, Waiting[]][]} seqs
   * @private
   */
  async askOf(channelId, seqs) {
    const waiting = seqs.flatMap(([, all]) => all);
    try {
      const { media, expires_ms } = await this.api.call("POST", "/v1/media/urls", { channel_id: channelId, seqs: seqs.map(([seq]) => seq) });
      if (typeof media !== "object" || media === null) throw new Problem(200, 0, "the server names no URLs");
      this.take(Object.entries(media).map(([media_id, urls]) => ({ media_id, urls })), expires_ms);
      // Of one message, or of others in the same request: whoever asked looks for its own.
      const found = Object.fromEntries(Object.keys(media).map((id) => [id, /** @type {any} */ (this.known.get(id)).urls]));
      for (const { resolve } of waiting) resolve(found);
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  /** @param {string} url @private */
  absolute(url) {
    return url.startsWith("/") ? (this.api.nodes.reachable()[0] ?? "") + url : url;
  }
}

/** When a signed URL expires, as it says itself; 0 if it does not. @param {string} url */
function expiryOf(url) {
  const expires = Number(new URLSearchParams(url.split("?")[1] ?? "").get("expires"));
  if (!Number.isFinite(expires)) return 0;
  // Seconds or milliseconds, of which the former are smaller than any of the latter since 1970.
  return expires > 1e11 ? expires : expires * 1000;
}
