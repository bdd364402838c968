// Files of messages in the outbox: kept beside their entry, and uploaded before it is sent.
//
// Owns the blobs in the store and the uploads of this process. A file goes on where its upload was, also in the next run; one
// that the store did not keep is gone with the process, and its entry fails then.

import { NotKept, Problem } from "./errors.js";

const PREFIX = "file/";

/**
 * @typedef {import("./types.js").FilePart} FilePart
 * @typedef {import("./types.js").Attachment} Attachment
 * @typedef {Pick<import("./media.js").Media, "upload">} Uploads
 */

export class Files {
  /**
   * @param {object} options
   * @param {import("./store.js").Store} options.store
   * @param {Uploads} options.media
   * @param {(file: FilePart) => void} options.moved how far one is has changed
   * @param {(error: unknown) => void} options.bad
   */
  constructor({ store, media, moved, bad }) {
    this.store = store;
    this.media = media;
    this.moved = moved;
    this.bad = bad;
    /** What the store does not keep. @type {Map<string, Blob>} */
    this.blobs = new Map();
    /** @type {Map<string, import("./upload.js").Upload>} */
    this.uploads = new Map();
  }

  /** Keeps the blob of a file, in the store if that can. @param {FilePart} file @param {Blob | undefined} blob */
  async keep({ id }, blob) {
    if (!blob) return;
    try {
      if (!this.store.keepsBlobs) throw new NotKept("the store keeps no files");
      await this.store.put(PREFIX + id, blob);
    } catch (error) {
      // As where the browser's quota is used up: it is still sent, if the page lives for as long as that takes.
      this.bad(error);
      this.blobs.set(id, blob);
    }
  }

  /** The blob of a file that is not at the server. @param {string} id @returns {Promise<Blob | undefined>} */
  async blob(id) {
    const blob = this.blobs.get(id) ?? (await this.store.get(PREFIX + id));
    return blob instanceof Blob ? blob : undefined;
  }

  /**
   * Uploads a file; its attachment. `begun(mediaId)` is told once there is something to go on from. Rejects with `Problem` if it
   * is refused for good, and with `NotKept` if it was stopped.
   *
   * @param {FilePart} file
   * @param {(mediaId: string) => void} begun
   * @returns {Promise<Attachment>}
   */
  async upload(file, begun) {
    const blob = await this.blob(file.id);
    if (!blob) throw new Problem(0, 0, `${file.name} was not kept: attach it once more`);
    const upload = this.media.upload(blob, {
      name: file.name,
      mediaId: file.media_id,
      poster: file.poster,
      changed: ({ sentBytes, mediaId }) => {
        if (mediaId && mediaId !== file.media_id) begun(mediaId);
        if (sentBytes !== file.sent_bytes) {
          file.sent_bytes = sentBytes;
          this.moved(file);
        }
      },
    });
    this.uploads.set(file.id, upload);
    try {
      const { urls, expires_ms, ...attachment } = await upload.done;
      return attachment;
    } finally {
      this.uploads.delete(file.id);
    }
  }

  /** Has a file brought to the server anew, if it is kept: what was there may be gone by now. Whether it is. @param {FilePart} file */
  async renew(file) {
    if (!(await this.blob(file.id))) return false;
    delete file.attachment;
    delete file.media_id;
    file.sent_bytes = 0;
    return true;
  }

  /** Clears what an earlier run has left of files that are none of these. @param {FilePart[]} files */
  async sweep(files) {
    if (!this.store.keepsBlobs) return;
    const wanted = new Set(files.map(({ id }) => PREFIX + id));
    for (const key of await this.store.keys(PREFIX)) if (!wanted.has(key)) await this.store.delete(key);
  }

  /** The message is sent, or wanted no more: nothing of the file is kept here. @param {FilePart} file */
  async forget({ id }) {
    this.uploads.get(id)?.cancel();
    this.blobs.delete(id);
    if (this.store.keepsBlobs) await this.store.delete(PREFIX + id).catch(this.bad);
  }

  /** Uploads end here, and go on in the next run. */
  stop() {
    for (const upload of this.uploads.values()) upload.release();
  }
}
