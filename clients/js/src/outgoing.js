// One thing that the user does, from when it is done until the server has answered.

import { NotKept, Refused } from "./errors.js";

/** @typedef {import("./outbox.js").Outcome} Outcome */

export class Outgoing {
  /**
   * @param {string} id
   * @param {Outcome["command"]} command
   * @param {Record<string, any>} fields
   * @param {{ again: (outgoing: Outgoing) => Promise<void>, drop: (outgoing: Outgoing) => Promise<void> }} by
   */
  constructor(id, command, fields, by) {
    /** The client_msg_id of a message, the op_id of another operation. */
    this.id = id;
    this.command = command;
    /** As they are sent. */
    this.fields = fields;
    /** Files of a message, in order, and how far each is. @type {import("./types.js").FilePart[]} */
    this.files = [];
    /** Those of the files, by id, until the outbox has them. @type {Record<string, Blob>} */
    this.blobs = {};
    this.by = by;
    /** @type {Outcome["state"]} */
    this.state = "pending";
    /** The server's reply, when it is sent: of a message `{ seq, sent_ms, duplicate }`. @type {any} */
    this.reply = undefined;
    /** Why it failed. @type {Error | undefined} */
    this.error = undefined;
    /** The server's reply; rejects with what refused it. Nobody has to look. @type {Promise<any>} */
    this.done = this.renew();
    /** Resolves when the store has it, so that the program may end; rejects if it was not taken on. @type {Promise<void>} */
    this.kept = Promise.resolve();
  }

  get clientMsgId() {
    return this.id;
  }

  get channelId() {
    return this.fields.channel_id;
  }

  /** A message's place in its channel, once it is sent. @returns {number | undefined} */
  get seq() {
    return this.reply?.seq ?? this.fields.seq;
  }

  /** Tries it again, after it failed: under the same id, so that it cannot happen twice. */
  async retry() {
    if (this.state !== "failed") return;
    this.state = "pending";
    this.error = undefined;
    this.done = this.renew();
    await this.by.again(this);
  }

  /** Gives it up. What is on its way may have arrived. */
  async cancel() {
    await this.by.drop(this);
  }

  /** @param {Outcome} outcome */
  take({ state, fields, files, reply, problem }) {
    this.fields = fields;
    if (files) this.files = files;
    if (state === "pending" && this.state !== "pending") this.done = this.renew();
    this.state = state;
    switch (state) {
      case "pending": break;
      case "sent":
        this.reply = reply;
        this.resolve?.(reply);
        break;
      case "failed": this.fail(new Refused({ ...problem, code: problem?.code ?? 0 })); break;
      case "dropped": this.fail(new NotKept("it was given up")); break;
    }
  }

  /** @param {Error} error */
  fail(error) {
    this.error = error;
    this.reject?.(error);
  }

  /** @private */
  renew() {
    const done = new Promise((resolve, reject) => {
      /** @type {(reply: any) => void} */
      this.resolve = resolve;
      /** @type {(error: Error) => void} */
      this.reject = reject;
    });
    done.catch(() => {});
    return done;
  }
}
