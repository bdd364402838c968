// The pulse of a node: whether anything still comes over its connection.
//
// A node that stands still keeps its sockets open, and a page sees no WebSocket pings. So after a while without a word the
// client asks for an echo, which a node that lives answers at once whatever its store does, and gives the node up if nothing
// at all comes then.

/** How long a socket may take to open and to be let in: somewhat more than the node's own bound, which says why. */
const OPEN_MS = 15_000;
/** How long whatever was asked may stay unanswered before an echo is asked for: what waits for the store takes a while. */
const SOON_MS = 3_000;
/** How long an echo may take, on a bad network. */
const ECHO_MS = 10_000;

export class Pulse {
  /**
   * `echo()` asks for one; `over()` is told that the node says nothing.
   *
   * @param {{ echo: () => void, over: () => void }} on
   */
  constructor({ echo, over }) {
    this.echo = echo;
    this.over = over;
    this.quietMs = OPEN_MS;
    this.waiting = false;
    this.soon = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /**
   * A connection is being opened, on which `quietMs` without a word will be a reason to ask.
   *
   * @param {number} quietMs
   */
  open(quietMs) {
    this.quietMs = quietMs;
    this.await(OPEN_MS);
  }

  /** A word has come, whatever it was. */
  heard() {
    this.waiting = false;
    this.after(this.quietMs, () => this.probe());
  }

  /** Something was asked, so that a word should come soon. */
  asked() {
    if (!this.waiting && !this.soon) {
      this.after(SOON_MS, () => this.probe());
      this.soon = true;
    }
  }

  /** Asks at once, as whoever comes back to the page wants to know. */
  probe() {
    if (this.waiting) return;
    this.await(ECHO_MS);
    this.echo();
  }

  /** The connection is gone. */
  stop() {
    this.waiting = false;
    clearTimeout(this.timer);
  }

  /** @param {number} ms */
  await(ms) {
    this.waiting = true;
    this.after(ms, () => {
      this.waiting = false;
      this.over();
    });
  }

  /**
   * @param {number} ms
   * @param {() => void} act
   */
  after(ms, act) {
    clearTimeout(this.timer);
    this.soon = false;
    this.timer = setTimeout(act, ms);
  }
}
