// What the user has done and the server has not answered: messages, edits, deletions, reactions.
//
// An entry is repeated under the same client_msg_id or op_id until it is answered, across connections and reloads, so that
// nothing is lost and nothing happens twice (PROTOCOL rules 1 and 6). One entry of a channel is on its way at a time: order
// holds without further thought (rule 7).

import { Gone } from "./connection.js";

const KEY = "rookery.outbox";
const PAUSE_MS = 500;

export class Outbox {
  /** `ask(command, fields)` sends; `answered(entry, reply)`, `refused(entry)` and `changed(channelId)` tell what came of it. */
  constructor({ ask, answered, refused, changed }) {
    Object.assign(this, { ask, answered, refused, changed });
    this.entries = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    // Channels of which an entry is on its way.
    this.busy = new Set();
  }

  /** Entries of a channel, oldest first: `{id, command, fields, at_ms, problem?, code?}`. A problem waits for the user. */
  of(channelId) {
    return this.entries.filter((entry) => entry.fields.channel_id === channelId);
  }

  add(command, fields, id, atMs) {
    this.entries.push({ id, command, fields, at_ms: atMs });
    this.save();
    this.pump(fields.channel_id);
  }

  /** Tries a refused entry again, under the same id: if it had arrived after all, it does not happen twice. */
  again(id) {
    const entry = this.entries.find((candidate) => candidate.id === id);
    if (!entry) return;
    delete entry.problem;
    delete entry.code;
    this.save();
    this.pump(entry.fields.channel_id);
  }

  /** Answered, or given up by the user. */
  drop(id) {
    this.entries = this.entries.filter((entry) => entry.id !== id);
    this.save();
  }

  /** There is a connection. */
  resume() {
    for (const channelId of new Set(this.entries.map((entry) => entry.fields.channel_id))) this.pump(channelId);
  }

  /** Sends what waits of a channel, one after the other. */
  async pump(channelId) {
    this.changed(channelId);
    const entry = this.of(channelId).find((candidate) => !candidate.problem);
    if (!entry || this.busy.has(channelId)) return;
    this.busy.add(channelId);
    const { reply, error } = await this.ask(entry.command, entry.fields).then((reply) => ({ reply }), (error) => ({ error }));
    this.busy.delete(channelId);
    let pauseMs = 0;
    if (reply) {
      this.drop(entry.id);
      this.answered(entry, reply);
    } else if (error instanceof Gone) {
      // Without an answer it goes out again with the next connection.
      return;
    } else if (error.temporary) {
      pauseMs = Math.max(error.retryAfterMs, PAUSE_MS);
    } else {
      Object.assign(entry, { problem: error.message, code: error.code });
      this.save();
      this.refused(entry);
    }
    setTimeout(() => this.pump(channelId), pauseMs);
  }

  save() {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.entries));
    } catch {
      // Full: what was done lives as long as the page does.
    }
  }
}
