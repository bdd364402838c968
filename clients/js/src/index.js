// Rookery's client for browsers and Node: everything that an application may use.

export { Account } from "./account.js";
export { Api } from "./api.js";
export { Client } from "./client.js";
export { BadInput, Gone, NotKept, Problem, Refused } from "./errors.js";
export { deviceId, uuid7 } from "./ids.js";
export { json, wellFormed } from "./json.js";
export { Outgoing } from "./outgoing.js";
export { IndexedDbStore, MemoryStore } from "./store.js";
export { Upload } from "./upload.js";

/** @typedef {import("./client.js").Options} ClientOptions */
/** @typedef {import("./connection.js").State} State */
/** @typedef {import("./outbox.js").Outcome} Outcome */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Attachment} Attachment */
/** @typedef {import("./types.js").Events} Events */
/** @typedef {import("./types.js").FilePart} FilePart */
/** @typedef {import("./types.js").HistoryPage} HistoryPage */
/** @typedef {import("./types.js").MediaUrls} MediaUrls */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Post} Post */
/** @typedef {import("./types.js").PostPage} PostPage */
/** @typedef {import("./types.js").ReplyPage} ReplyPage */
/** @typedef {import("./types.js").Uploaded} Uploaded */
/** @typedef {import("./types.js").PresenceEntry} PresenceEntry */
/** @typedef {import("./types.js").SearchHit} SearchHit */
