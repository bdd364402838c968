// What the user does to messages: writes, edits, deletes, reacts. Each becomes an entry of the outbox.
//
// Owns how a deed is named and what its answer means here. A deed's own event may come before its answer or after: both say
// the same, and `Channel` takes either.

import { uuid7 } from "./ids.js";
import { Outbox } from "./outbox.js";
import { mentioned } from "./text.js";

const STALE = 122;

export class Acts {
  constructor(model, ask) {
    this.model = model;
    this.outbox = new Outbox({
      ask,
      answered: (entry, reply) => this.answered(entry, reply),
      refused: (entry) => this.refused(entry),
      changed: (channelId) => model.on.changed(channelId),
    });
  }

  /** Takes a deed on: it is shown at once, and sent when there is a connection. Its id has the server's time. */
  act(command, idField, fields) {
    const nowMs = this.model.connection.serverNow();
    const id = uuid7(nowMs);
    this.outbox.add(command, { ...fields, [idField]: id }, id, nowMs);
  }

  write(channelId, body, replyTo) {
    const mentions = mentioned(body, this.model.people.membersOf(channelId).list);
    const extra = { ...(replyTo && { reply_to: replyTo }), ...(mentions.length && { mentions }) };
    this.act("send", "client_msg_id", { channel_id: channelId, body, ...extra });
  }

  /** `message` as the user saw it: if it was changed elsewhere since, the edit is refused. */
  edit({ channel_id, seq, revision }, body) {
    this.act("edit", "op_id", { channel_id, seq, base_revision: revision, body });
  }

  delete({ channel_id, seq }) {
    this.act("delete", "op_id", { channel_id, seq });
  }

  react({ channel_id, seq }, emoji, on) {
    this.act("react", "op_id", { channel_id, seq, emoji, on });
  }

  /** Whether an edit was refused because the message was changed elsewhere meanwhile. */
  isStale(entry) {
    return entry.code === STALE;
  }

  /** The user gives up what was refused. */
  giveUp(entry) {
    this.outbox.drop(entry.id);
    this.model.on.changed(entry.fields.channel_id);
  }

  answered({ command, fields }, reply) {
    const channel = this.model.channel(fields.channel_id);
    const known = channel.messages.get(fields.seq);
    switch (command) {
      case "send": {
        const { body, reply_to, mentions, client_msg_id, channel_id } = fields;
        const message = { ...reply, channel_id, client_msg_id, body, reply_to, mentions, from: this.model.me(), revision: 0 };
        if (!channel.messages.has(reply.seq)) this.model.arrived(message);
        break;
      }
      case "edit":
        if (known) channel.put({ ...known, ...reply, body: fields.body, edited_ms: this.model.connection.serverNow() });
        break;
      case "delete": channel.deleted({ seq: fields.seq, revision: reply.revision }); break;
      case "react": channel.reacted({ ...fields, count: reply.count }, true); break;
    }
    this.model.on.changed(fields.channel_id);
  }

  /** A stale edit: the message as it is now is asked for, so that the user edits that. */
  async refused(entry) {
    if (!this.isStale(entry)) return;
    const { fields } = entry;
    const channel = this.model.channel(fields.channel_id);
    try {
      const page = await this.model.connection.ask("history", { channel_id: fields.channel_id, around: fields.seq, limit: 1 });
      page.messages.forEach((message) => channel.put(message, true));
    } catch {
      // Its event brings it too.
    }
    this.model.on.changed(fields.channel_id);
  }
}
