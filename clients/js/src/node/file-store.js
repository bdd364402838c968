// A store in a directory, for programs under Node: bots, bridges, desktop applications.
//
// One file a key, written beside its place and moved there when it is on the disk, so that a crash leaves the old value or the
// new one. A directory is one process's at a time.

import { mkdir, open, readFile, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";

const UNFINISHED = ".new";

/** @implements {Store} */
export class FileStore {
  /** @param {string} directory is made if it is not there */
  constructor(directory) {
    this.directory = directory;
    /** Of each key the writes go one after the other. @type {Map<string, Promise<unknown>>} */
    this.writing = new Map();
    this.made = mkdir(directory, { recursive: true, mode: 0o700 });
    this.made.catch(() => {});
  }

  /** @param {string} key */
  async get(key) {
    await this.made;
    try {
      return JSON.parse(await readFile(this.path(key), "utf8"));
    } catch (error) {
      if (/** @type {any} */ (error).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /**
   * @param {string} key
   * @param {any} value
   */
  put(key, value) {
    return this.after(key, async () => {
      await this.made;
      const path = this.path(key);
      const file = await open(path + UNFINISHED, "w", 0o600);
      try {
        await file.writeFile(JSON.stringify(value));
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(path + UNFINISHED, path);
      await this.sync();
    });
  }

  /** @param {string} key */
  delete(key) {
    return this.after(key, () => rm(this.path(key), { force: true }));
  }

  /** @param {string} prefix */
  async keys(prefix) {
    await this.made;
    const names = (await readdir(this.directory)).filter((name) => !name.endsWith(UNFINISHED));
    return names.map(decodeURIComponent).filter((key) => key.startsWith(prefix)).sort();
  }

  /** The directory itself, so that the name is there too. */
  async sync() {
    const directory = await open(this.directory, "r");
    await directory.sync().finally(() => directory.close());
  }

  /** @param {string} key */
  path(key) {
    return join(this.directory, encodeURIComponent(key));
  }

  /**
   * @param {string} key
   * @param {() => Promise<void>} act
   * @returns {Promise<void>}
   */
  after(key, act) {
    const write = (this.writing.get(key) ?? Promise.resolve()).then(act, act);
    this.writing.set(key, write);
    const ended = () => { if (this.writing.get(key) === write) this.writing.delete(key); };
    write.then(ended, ended);
    return write;
  }
}

/** @typedef {import("../store.js").Store} Store */
