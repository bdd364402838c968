// What is done after a while, unless it is all over by then: no timer outlives whoever set it.

export class Timers {
  constructor() {
    /** @type {Set<ReturnType<typeof setTimeout>>} */
    this.set = new Set();
    this.isOver = false;
  }

  /**
   * Acts once, after `ms`, unless it is stopped before; a function that keeps it from it.
   *
   * @param {number} ms
   * @param {() => void} act
   */
  after(ms, act) {
    if (this.isOver) return () => {};
    const timer = setTimeout(() => {
      this.set.delete(timer);
      act();
    }, ms);
    this.set.add(timer);
    return () => {
      this.set.delete(timer);
      clearTimeout(timer);
    };
  }

  /** For good: what is set later is not done either. */
  stop() {
    this.isOver = true;
    for (const timer of this.set) clearTimeout(timer);
    this.set.clear();
  }
}
