// Events of the client: whoever listens is told in turn, and is waited for.

/**
 * @template {Record<string, any>} Events what is told under each name
 */
export class Emitter {
  constructor() {
    /** @type {Map<keyof Events, Set<(detail: any) => unknown>>} */
    this.listeners = new Map();
  }

  /**
   * Listens; the function that is returned ends it. A promise that `listener` returns is waited for: the cursor is stored
   * after it.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(detail: Events[Name]) => unknown} listener
   * @returns {() => void}
   */
  on(name, listener) {
    let listeners = this.listeners.get(name);
    if (!listeners) this.listeners.set(name, (listeners = new Set()));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /**
   * Tells all who listen, and resolves when they are done. What one of them throws is told as `error`, and keeps nothing from
   * the others.
   *
   * @protected
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} detail
   */
  async emit(name, detail) {
    const waits = [];
    for (const listener of this.listeners.get(name) ?? []) {
      try {
        waits.push(listener(detail));
      } catch (error) {
        waits.push(Promise.reject(error));
      }
    }
    for (const outcome of await Promise.allSettled(waits)) {
      if (outcome.status === "rejected") this.report(outcome.reason, String(name));
    }
  }

  /**
   * Tells of an error that nobody waits for.
   *
   * @protected
   * @param {unknown} error
   * @param {string} during
   */
  report(error, during) {
    const listeners = [...(this.listeners.get("error") ?? [])];
    if (!listeners.length || during === "error") return console.error(`rookery, ${during}:`, error);
    for (const listener of listeners) {
      try {
        listener({ error, during });
      } catch (second) {
        console.error("rookery, error:", second);
      }
    }
    return undefined;
  }
}
