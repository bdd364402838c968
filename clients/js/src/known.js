// What was told already, so that nothing is told twice or backwards.
//
// A snapshot, an answer and an event may say the same; of two states of a message the one with the higher revision stands,
// and marks and heads only grow (PROTOCOL section 3). Only the newest is remembered, so that it stays small: what is told
// again after that is the same (channel, seq, revision), by which applications keep messages.

const CHANNELS_MAX = 200;
const MESSAGES_MAX = 200;
const READERS_MAX = 50;

/** A map that forgets what was not touched for longest. @template K, V */
class Recent {
  /** @param {number} most */
  constructor(most) {
    this.most = most;
    /** @type {Map<K, V>} */
    this.map = new Map();
  }

  /** @param {K} key */
  get(key) {
    return this.map.get(key);
  }

  /**
   * @param {K} key
   * @param {V} value
   */
  set(key, value) {
    this.map.delete(key);
    this.map.set(key, value);
    for (const oldest of this.map.keys()) {
      if (this.map.size <= this.most) break;
      this.map.delete(oldest);
    }
  }
}

class Channel {
  headSeq = 0;
  /** Revision by seq. @type {Recent<number, number>} */
  revisions = new Recent(MESSAGES_MAX);
  /** Read seq by user. @type {Recent<string, number>} */
  reads = new Recent(READERS_MAX);
}

export class Known {
  constructor() {
    /** @type {Recent<string, Channel>} */
    this.channels = new Recent(CHANNELS_MAX);
  }

  /** It is another store's server: nothing that was told counts. */
  forget() {
    this.channels = new Recent(CHANNELS_MAX);
  }

  /** A snapshot: messages may have changed unseen, but heads and marks have not gone back. */
  forgetMessages() {
    for (const channel of this.channels.map.values()) channel.revisions = new Recent(MESSAGES_MAX);
  }

  /** @param {string} id */
  channel(id) {
    const channel = this.channels.get(id) ?? new Channel();
    this.channels.set(id, channel);
    return channel;
  }

  /**
   * Takes note of a push; whether it says anything new.
   *
   * @param {string} kind
   * @param {any} fields
   * @returns {boolean}
   */
  takes(kind, fields) {
    switch (kind) {
      case "message":
      case "edited": return this.message(fields.message);
      case "deleted": return this.message(fields);
      case "read": return grows(this.channel(fields.channel_id).reads, fields.user_id, fields.read_seq);
      case "head": {
        const channel = this.channel(fields.channel_id);
        const isNew = fields.head_seq > channel.headSeq;
        channel.headSeq = Math.max(channel.headSeq, fields.head_seq);
        return isNew;
      }
      default: return true;
    }
  }

  /** @param {{ channel_id: string, seq: number, revision: number }} state */
  message({ channel_id, seq, revision }) {
    const channel = this.channel(channel_id);
    channel.headSeq = Math.max(channel.headSeq, seq);
    return grows(channel.revisions, seq, revision);
  }
}

/**
 * @template K
 * @param {Recent<K, number>} marks
 * @param {K} key
 * @param {number} value
 */
function grows(marks, key, value) {
  const before = marks.get(key);
  if (before !== undefined && before >= value) return false;
  marks.set(key, value);
  return true;
}
