// What the user does to messages: writes, edits, deletes, reacts. The client's outbox carries it.
//
// Owns what an answer means here. A deed's own event may come before its answer or after: both say the same, and `Channel`
// takes either.

import { mentioned } from "./text.js";

const STALE = 122;

export class Acts {
  constructor(model, client) {
    this.model = model;
    this.client = client;
    client.on("outgoing", (outcome) => this.became(outcome));
    client.on("upload", () => model.on.changed());
  }

  /** `media` are uploads, which may be under way. */
  write(channelId, body, replyTo, media = []) {
    const mentions = mentioned(body, this.model.people.membersOf(channelId).list);
    this.client.send(channelId, body, { replyTo, mentions, media });
  }

  /** `message` as the user saw it: if it was changed elsewhere since, the edit is refused. */
  edit(message, body) {
    this.client.edit(message, body);
  }

  delete(message) {
    this.client.delete(message);
  }

  react(message, emoji, on) {
    this.client.react(message, emoji, on);
  }

  /** What is not answered of a channel, oldest first: `{id, command, fields, files, problem?, code?}`. A problem waits for the user. */
  waiting(channelId) {
    return this.client.outgoing(channelId).map(({ id, command, fields, files, error }) => (
      { id, command, fields, files, problem: error?.message, code: error?.code }));
  }

  /** Whether an edit was refused because the message was changed elsewhere meanwhile. */
  isStale(entry) {
    return entry.code === STALE;
  }

  /** Tries what was refused again. */
  again({ id }) {
    this.find(id)?.retry();
  }

  /** The user gives up what was refused. */
  giveUp({ id }) {
    this.find(id)?.cancel();
  }

  /** The file of a message that waits, as long as it is not at the server. */
  file(fileId) {
    return this.client.file(fileId);
  }

  find(id) {
    return this.client.outgoing().find((outgoing) => outgoing.id === id);
  }

  /** An entry of the outbox has another state. */
  became({ state, command, fields, files, reply, problem }) {
    if (state === "sent") this.answered(command, fields, files, reply);
    else if (state === "failed" && problem.code === STALE) this.look(fields);
    this.model.on.changed(fields.channel_id);
  }

  answered(command, fields, files, reply) {
    const channel = this.model.channel(fields.channel_id);
    const known = channel.messages.get(fields.seq);
    switch (command) {
      case "send": {
        const { body, reply_to, mentions, client_msg_id, channel_id } = fields;
        const media = files?.map(({ attachment }) => attachment);
        const message = { ...reply, channel_id, client_msg_id, body, reply_to, mentions, media, from: this.model.me(), revision: 0 };
        if (!channel.messages.has(reply.seq)) this.model.arrived(message);
        break;
      }
      case "edit":
        if (known) channel.put({ ...known, ...reply, body: fields.body, edited_ms: this.client.serverNow() });
        break;
      case "delete": channel.deleted({ seq: fields.seq, revision: reply.revision }); break;
      case "react": channel.reacted({ ...fields, count: reply.count }, true); break;
    }
  }

  /** After a stale edit: the message as it is now is asked for, so that the user edits that. */
  async look({ channel_id, seq }) {
    const channel = this.model.channel(channel_id);
    try {
      const page = await this.client.history(channel_id, { around: seq, limit: 1 });
      page.messages.forEach((message) => channel.put(message, true));
    } catch {
      // Its event brings it too.
    }
    this.model.on.changed(channel_id);
  }
}
