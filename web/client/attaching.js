// Files that the user attaches to what is being written: their uploads, which begin at once.
//
// Owns which there are and their order. What is written may be sent before they are whole: whoever sends takes them over.

/** Files of one message or post, as the server takes them. */
export const FILES_MAX = 10;

export class Attaching {
  /** `media` has `upload(file, {changed})`, of the client; `changed()` is told of each step. */
  constructor(media, changed) {
    Object.assign(this, { media, changed });
    this.items = [];
    this.nextId = 1;
  }

  /** Adds files; how many were left out because there are too many. `posterOf(file)` is a promise of a picture for a video, or null. */
  add(files, posterOf) {
    const taken = [...files].slice(0, FILES_MAX - this.items.length);
    for (const file of taken) {
      const upload = this.media.upload(file, { changed: () => this.changed(), poster: posterOf && file.type?.startsWith("video/") ? () => this.poster(file, posterOf) : undefined });
      this.items.push({ id: this.nextId, file, upload });
      this.nextId += 1;
    }
    this.changed();
    return files.length - taken.length;
  }

  /** The media id of the picture that stands for a video; none if there is none, or it is not taken. */
  async poster(file, posterOf) {
    const picture = await posterOf(file);
    if (!picture) return undefined;
    return this.media.upload(picture, { name: "poster.jpg", now: true }).done.then(({ media_id }) => media_id, () => undefined);
  }

  /** Takes one away, and ends its upload. */
  remove(item) {
    this.items = this.items.filter((other) => other !== item);
    item.upload.cancel();
    this.changed();
  }

  get isEmpty() {
    return this.items.length === 0;
  }

  get hasFailed() {
    return this.items.some(({ upload }) => upload.state === "failed");
  }

  /** Hands the uploads to whoever sends them, in order. */
  take() {
    const uploads = this.items.map(({ upload }) => upload);
    this.items = [];
    this.changed();
    return uploads;
  }

  /** The attachments when all are at the server; rejects with why one is not. */
  whole() {
    return Promise.all(this.items.map(({ upload }) => upload.done));
  }

  clear() {
    for (const { upload } of this.items) upload.cancel();
    this.items = [];
    this.changed();
  }
}
