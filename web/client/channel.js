// One channel as this tab holds it: its messages, which of them follow each other without a hole, and what is unread.
//
// Pure: no network, no storage, no drawing. Whatever comes, however often, is applied by (seq, revision): of two states of
// a message the one with the higher revision stands, and marks and heads only grow (PROTOCOL section 3).

/** Messages of a channel that are kept over a reload, and what else is. */
const KEPT_MAX = 50;
const KEPT_FIELDS = [
  "channel_id", "kind", "title", "peer", "role", "muted", "member_count", "created_ms", "head_seq", "read_seq", "floor",
  "last_message",
];

export class Channel {
  constructor(id) {
    this.channel_id = id;
    // Empty until GET /v1/channels has told.
    this.kind = "";
    this.title = "";
    this.head_seq = 0;
    this.read_seq = 0;
    // What is at or below it never counts as unread: the mark, or the seq before joining.
    this.floor = 0;
    this.last_message = null;
    this.messages = new Map();
    // {from, to, complete}: seqs held without a hole, up to the newest. `complete` if there is nothing older.
    this.tail = null;
    // The same of a part elsewhere that is looked at instead.
    this.jump = null;
    // Up to where other members have read, as far as it is told.
    this.reads = new Map();
    // The mark as it was when the user came: the line between read and new is after it.
    this.divider = null;
    // What was said when it was opened, and what went wrong with that.
    this.opened = null;
    this.notice = "";
    // What is being asked for: a page; quoted messages.
    this.loading = null;
    this.asked = new Set();
  }

  get unread() {
    return Math.max(0, this.head_seq - Math.max(this.read_seq, this.floor));
  }

  get activeMs() {
    return this.last_message?.sent_ms ?? this.created_ms ?? 0;
  }

  /** What is looked at: messages in order, without a hole. */
  shown() {
    const span = this.jump ?? this.tail;
    if (!span) return [];
    return [...this.messages.values()]
      .filter(({ seq }) => seq >= span.from && seq <= span.to)
      .sort((a, b) => a.seq - b.seq);
  }

  /** A row of GET /v1/channels. It may be older than what was pushed meanwhile. */
  describe({ head_seq, read_seq, unread, last_message, ...rest }) {
    Object.assign(this, rest);
    this.floor = Math.max(this.floor, head_seq - unread);
    this.grow(head_seq);
    this.read(read_seq);
    if (last_message) this.put(last_message);
  }

  grow(headSeq) {
    this.head_seq = Math.max(this.head_seq, headSeq);
  }

  read(readSeq) {
    this.read_seq = Math.max(this.read_seq, readSeq);
  }

  /** Takes a state of a message in, unless a later one is known. `mine` in reactions is told by `history` alone. */
  put(message, fromHistory = false) {
    const known = this.messages.get(message.seq);
    if (known && known.revision > message.revision) return;
    const mine = new Set(known?.reactions?.filter((tally) => tally.mine).map((tally) => tally.emoji));
    const reactions = (message.reactions ?? []).map((tally) => (fromHistory ? tally : { ...tally, mine: mine.has(tally.emoji) }));
    const taken = { ...message, reactions };
    this.messages.set(taken.seq, taken);
    if (taken.seq >= (this.last_message?.seq ?? 0)) this.last_message = taken;
  }

  /** A message that was pushed, or just sent: what is pushed comes in order. */
  arrived(message) {
    this.put(message);
    this.grow(message.seq);
    // Of a large channel only what is open is pushed, so that what comes may be far from what is held.
    if (!this.tail && this.kind !== "large") this.tail = { from: message.seq, to: message.seq, complete: false };
    const follows = this.tail && (this.kind !== "large" || message.seq === this.tail.to + 1);
    if (follows) this.tail.to = Math.max(this.tail.to, message.seq);
  }

  /** A message that is held has another state. Others are asked for when they are looked at. */
  changed(message) {
    if (this.messages.has(message.seq)) this.put(message);
  }

  /** A message's text is gone; its place stays. */
  deleted({ seq, revision }) {
    const known = this.messages.get(seq);
    if (known) this.put({ ...known, revision, body: "", deleted: true, reactions: [], mentions: [], media: [] });
  }

  /** An emoji was put to a message or taken away, by this account if `mine`. */
  reacted({ seq, emoji, count, on }, mine) {
    const known = this.messages.get(seq);
    if (!known || known.deleted) return;
    const tallies = known.reactions.filter((tally) => tally.emoji !== emoji || count > 0);
    let tally = tallies.find((candidate) => candidate.emoji === emoji);
    if (!tally && count > 0) tallies.push(tally = { emoji, mine: false });
    if (tally) Object.assign(tally, { count }, mine ? { mine: on } : {});
    known.reactions = tallies;
  }

  /** A page of `history`: "newest", "before", "after" or "around". */
  takePage(direction, page) {
    for (const message of page.messages) this.put(message, true);
    this.grow(page.head_seq);
    const from = page.messages[0]?.seq;
    const to = page.messages.at(-1)?.seq;
    if (direction === "newest") {
      // A page that does not touch what is held leaves a hole before it: what is older is asked for again when scrolled to.
      const fresh = { from: from ?? page.head_seq + 1, to: to ?? page.head_seq, complete: !page.more };
      this.tail = union(fresh, this.tail) ?? fresh;
      this.jump = null;
    } else if (direction === "before") {
      const span = this.jump ?? this.tail;
      if (from) span.from = Math.min(span.from, from);
      span.complete = !page.more;
    } else if (direction === "after" && this.jump) {
      this.jump.to = Math.max(this.jump.to, to ?? 0);
      this.join(!page.more);
    } else if (direction === "around" && from) {
      this.jump = { from, to, complete: from <= page.first_seq };
      this.join(to >= page.head_seq);
    }
  }

  /** If the part that is looked at has reached the newest messages, the two are one. */
  join(atEnd) {
    const both = union(this.jump, this.tail) ?? (atEnd ? this.jump : null);
    if (!both) return;
    this.tail = both;
    this.jump = null;
  }

  holds(seq) {
    const span = this.jump ?? this.tail;
    return Boolean(span) && seq >= span.from && seq <= span.to && this.messages.has(seq);
  }

  /** What is cached may be wrong, and the channel gone. */
  forget() {
    Object.assign(this, new Channel(this.channel_id));
  }

  /** Members but `me` who have read a message. */
  readers(seq, me) {
    return [...this.reads].filter(([user, read]) => user !== me && read >= seq).map(([user]) => user);
  }

  /** What is kept over a reload, beside the cursor: a copy, with the newest messages or without any. */
  kept(withMessages) {
    const about = Object.fromEntries(KEPT_FIELDS.map((field) => [field, this[field]]));
    const held = this.tail && withMessages ? [...this.messages.values()].filter(({ seq }) => seq >= this.tail.from) : [];
    const newest = held.sort((a, b) => a.seq - b.seq).slice(-KEPT_MAX);
    if (!newest.length) return { ...about, newest, tail: null };
    const complete = this.tail.complete && newest.length === held.length;
    return { ...about, newest, tail: { from: newest[0].seq, to: this.tail.to, complete } };
  }

  static fromKept({ newest, ...about }) {
    const channel = Object.assign(new Channel(about.channel_id), about);
    for (const message of newest) channel.messages.set(message.seq, message);
    return channel;
  }
}

/** Two spans as one, if there is no hole between them. */
function union(a, b) {
  if (!b || a.from > b.to + 1 || b.from > a.to + 1) return null;
  const first = a.from <= b.from ? a : b;
  return { from: first.from, to: Math.max(a.to, b.to), complete: first.complete };
}
