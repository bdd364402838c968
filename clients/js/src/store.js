// Where a client keeps what outlives it: its cursor, its outbox, its device.
//
// A store is four asynchronous functions over texts as keys and values that JSON can say, and Blobs as values if it keeps them. What `put` has resolved must be
// there after a crash: that is all a client asks of it. Each account has a store of its own.

/**
 * @typedef {object} Store
 * @property {(key: string) => Promise<any>} get The value, or undefined
 * @property {(key: string, value: any) => Promise<void>} put Resolves when it is kept
 * @property {(key: string) => Promise<void>} delete
 * @property {(prefix: string) => Promise<string[]>} keys Keys that begin so, in ascending order
 * @property {boolean} [keepsBlobs] Whether a value may be a Blob: without it files that are sent do not outlive the process
 */

/** For tests, and where nothing should outlive the process. Values are copied, as a real store would. @implements {Store} */
export class MemoryStore {
  constructor() {
    /** @type {Map<string, any>} */
    this.map = new Map();
    this.keepsBlobs = true;
  }

  /** @param {string} key */
  async get(key) {
    return structuredClone(this.map.get(key));
  }

  /**
   * @param {string} key
   * @param {any} value
   */
  async put(key, value) {
    this.map.set(key, structuredClone(value));
  }

  /** @param {string} key */
  async delete(key) {
    this.map.delete(key);
  }

  /** @param {string} prefix */
  async keys(prefix) {
    return [...this.map.keys()].filter((key) => key.startsWith(prefix)).sort();
  }
}

const TABLE = "rookery";

/** A database of the browser: one for each account. @implements {Store} */
export class IndexedDbStore {
  /** @param {string} [name] of the database: the user is a part of it where several use this browser */
  constructor(name = "rookery-client") {
    this.name = name;
    this.keepsBlobs = true;
    /** @type {Promise<IDBDatabase> | undefined} */
    this.opening = undefined;
  }

  /** @param {string} key */
  get(key) {
    return this.run("readonly", (table) => table.get(key));
  }

  /**
   * @param {string} key
   * @param {any} value
   */
  async put(key, value) {
    await this.run("readwrite", (table) => table.put(value, key));
  }

  /** @param {string} key */
  async delete(key) {
    await this.run("readwrite", (table) => table.delete(key));
  }

  /** @param {string} prefix */
  async keys(prefix) {
    const keys = await this.run("readonly", (table) => table.getAllKeys(IDBKeyRange.bound(prefix, `${prefix}\uffff`)));
    return keys.map(String);
  }

  /** Lets go of the database, so that another version of it may be made, or it may be deleted. */
  async close() {
    const opening = this.opening;
    this.opening = undefined;
    (await opening)?.close();
  }

  open() {
    this.opening ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(this.name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        // The browser may close it, as when the user clears the data of a site: the next use opens it anew.
        request.result.onclose = () => { this.opening = undefined; };
        request.result.onversionchange = () => this.close();
        resolve(request.result);
      };
    });
    this.opening.catch(() => { this.opening = undefined; });
    return this.opening;
  }

  /**
   * @template T
   * @param {IDBTransactionMode} mode
   * @param {(table: IDBObjectStore) => IDBRequest<T>} act
   * @returns {Promise<T>}
   */
  async run(mode, act) {
    const database = await this.open();
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(TABLE, mode, { durability: "strict" });
      const request = act(transaction.objectStore(TABLE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}
