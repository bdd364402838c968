// What this tab holds, kept over a reload: channels, their newest messages, and the cursor after them; and the client's outbox.
//
// Channels and cursor are one record, written at once: a cursor is never kept without what came before it, so that the server
// goes on from exactly there (PROTOCOL rule 3). Each device has its own; those of tabs long closed are cleared.

import { MemoryStore } from "../rookery-client/index.js";

const TABLE = "devices";
const CURSOR = "cursor";
/** The window in which the server knows what was sent. */
const KEPT_MS = 30 * 24 * 3600 * 1000;
const SAVE_MS = 500;

let opening;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("rookery", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

async function transaction(mode, act) {
  const table = (await open()).transaction(TABLE, mode).objectStore(TABLE);
  const request = act(table);
  return new Promise((resolve, reject) => {
    table.transaction.oncomplete = () => resolve(request?.result);
    table.transaction.onabort = () => reject(table.transaction.error);
  });
}

/** A store of the client, whose cursor is written with what `kept()` gives. */
export class Held {
  constructor(device, kept) {
    this.device = device;
    this.kept = kept;
    this.keepsBlobs = true;
    this.cursor = undefined;
    this.saving = null;
    this.isDropped = false;
    // Where the browser has no database for this page: what is held lives as long as the page does.
    this.memory = null;
  }

  /** The channels that were held by this device, none if there were none. */
  async load() {
    try {
      const held = await transaction("readonly", (table) => table.get(this.device));
      this.cursor = held?.cursor;
      return held?.channels ?? [];
    } catch {
      this.memory = new MemoryStore();
      return [];
    }
  }

  /** What is held has changed: it is written soon. */
  changed() {
    if (this.cursor !== undefined) this.save().catch(() => {});
  }

  // As a store of the client.

  async get(key) {
    if (key === CURSOR) return this.cursor;
    if (this.memory) return this.memory.get(key);
    return (await transaction("readonly", (table) => table.get(this.path(key))))?.value;
  }

  async put(key, value) {
    if (key === CURSOR) {
      this.cursor = value;
      return this.save();
    }
    if (this.memory) return this.memory.put(key, value);
    return transaction("readwrite", (table) => table.put({ value, at_ms: Date.now() }, this.path(key)));
  }

  async delete(key) {
    if (key === CURSOR) this.cursor = undefined;
    if (this.memory) return this.memory.delete(key);
    return transaction("readwrite", (table) => table.delete(key === CURSOR ? this.device : this.path(key)));
  }

  async keys(prefix) {
    if (this.memory) return this.memory.keys(prefix);
    const range = IDBKeyRange.bound(this.path(prefix), `${this.path(prefix)}\uffff`);
    const paths = await transaction("readonly", (table) => table.getAllKeys(range));
    return paths.map((path) => path.slice(this.path("").length));
  }

  path(key) {
    return `${this.device}/${key}`;
  }

  /** Resolves when the record is written, with what is held by then. */
  save() {
    this.saving ??= new Promise((resolve, reject) => {
      setTimeout(() => {
        this.saving = null;
        this.write().then(resolve, reject);
      }, SAVE_MS);
    });
    return this.saving;
  }

  async write() {
    if (this.memory || this.isDropped || this.cursor === undefined) return;
    const record = { cursor: this.cursor, channels: this.kept(), at_ms: Date.now() };
    await transaction("readwrite", (table) => table.put(record, this.device));
  }

  /** Nothing of this device is kept any more. */
  async drop() {
    this.isDropped = true;
    if (this.memory) return;
    const range = IDBKeyRange.bound(this.path(""), `${this.path("")}\uffff`);
    await transaction("readwrite", (table) => { table.delete(this.device); table.delete(range); }).catch(() => {});
  }
}

/** Clears what closed tabs have left. */
export async function sweep() {
  await transaction("readwrite", (table) => {
    table.openCursor().onsuccess = ({ target: { result } }) => {
      if (!result) return;
      if (Date.now() - result.value.at_ms > KEPT_MS) result.delete();
      result.continue();
    };
  }).catch(() => {});
}
