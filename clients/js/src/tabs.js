// Tabs of one device: one of them holds the connection, and the others talk through it.
//
// A Web Lock says which one leads: whoever holds it runs the engine, and when that tab closes, however it ends, the browser
// gives the lock to the next. So no tab throws another out (3505) and no entry of the outbox is sent by two. Events go from
// the leader to the others by a BroadcastChannel before the cursor is stored, calls the other way; a call that was not
// answered is made again of the next leader, which is safe, since each has its id or only asks.

import { BadInput, Gone, NotKept, Refused } from "./errors.js";
import { isObject } from "./shapes.js";

const CALLS_MAX = 1000;
/** Functions of the engine that another tab may call. */
const CALLS = ["act", "again", "drop", "outgoing", "blob", "ask", "mark", "typing", "open", "close", "watch", "left", "hurry"];

/** @typedef {import("./engine.js").Engine} Engine */

/**
 * @typedef {object} Group
 * @property {(name: string, ...args: any[]) => Promise<any>} call
 * @property {(name: string, detail: any) => void} tell to the other tabs
 * @property {() => Promise<void>} start
 * @property {() => Promise<void>} stop
 *
 * @typedef {object} GroupOptions
 * @property {string} name
 * @property {string} tab
 * @property {() => Promise<Engine>} lead makes and starts the engine: this tab leads from now on
 * @property {(leader: { state: any, outgoing: any[], isNew: boolean }) => void} follow another tab leads; `isNew` the first time that one is known
 * @property {(name: string, detail: any) => void} event of the leader
 * @property {(error: unknown) => void} bad
 */

/** Whether this platform has what it takes. */
export const canShare = () => Boolean(globalThis.navigator?.locks) && "BroadcastChannel" in globalThis;

/** One tab, or a process: it leads. @implements {Group} */
export class Alone {
  /** @param {GroupOptions} options */
  constructor({ lead }) {
    this.lead = lead;
    /** @type {Engine | undefined} */
    this.engine = undefined;
  }

  async start() {
    this.engine = await this.lead();
  }

  async stop() {
    const { engine } = this;
    this.engine = undefined;
    await engine?.stop();
  }

  /**
   * @param {string} name
   * @param {any[]} args
   */
  async call(name, ...args) {
    if (!this.engine) throw new Gone("the client is not started");
    return /** @type {any} */ (this.engine)[name](...args);
  }

  tell() {}
}

/** @implements {Group} */
export class Tabs {
  /** @param {GroupOptions} options */
  constructor({ name, tab, lead, follow, event, bad }) {
    this.name = `rookery/${name}`;
    this.tab = tab;
    this.lead = lead;
    this.follow = follow;
    this.event = event;
    this.bad = bad;
    /** Of the tab that leads, if it is this one. @type {Engine | undefined} */
    this.engine = undefined;
    /** Which tab leads, as far as it was told. */
    this.leader = "";
    this.nextCall = 1;
    /** @type {Map<number, { name: string, args: any[], resolve: (value: any) => void, reject: (error: unknown) => void }>} */
    this.calls = new Map();
    /** @type {BroadcastChannel | undefined} */
    this.channel = undefined;
    /** @type {AbortController | undefined} */
    this.life = undefined;
    /** Resolves when this tab leads no more, or does not wait for it any more. @type {Promise<unknown>} */
    this.term = Promise.resolve();
  }

  async start() {
    const life = (this.life = new AbortController());
    const { signal } = life;
    const ended = new Promise((resolve) => signal.addEventListener("abort", resolve));
    const channel = (this.channel = new BroadcastChannel(this.name));
    channel.onmessage = ({ data }) => this.heard(data);
    // Held for as long as this tab lives, so that the leader can tell which are gone.
    const hold = (/** @type {string} */ name, /** @type {() => Promise<unknown>} */ act) => navigator.locks.request(name, { signal }, act)
      .catch((error) => { if (!signal.aborted) this.bad(error); });
    hold(`${this.name}/${this.tab}`, () => ended);
    this.term = hold(this.name, async () => {
      if (signal.aborted) return;
      this.engine = await this.lead();
      // It may have been stopped meanwhile, and then it leads nobody.
      if (!signal.aborted) this.leader = this.tab;
      if (!signal.aborted) this.announce();
      for (const { name, args, resolve, reject } of this.taken()) this.call(name, ...args).then(resolve, reject);
      const sweep = setInterval(() => this.sweep().catch(this.bad), 30_000);
      await ended;
      clearInterval(sweep);
      const { engine } = this;
      this.engine = undefined;
      await engine?.stop();
    });
    this.say({ hello: this.tab });
  }

  /** Lets another tab lead. */
  async stop() {
    if (!this.life) return;
    if (!this.engine) this.say({ call: 0, tab: this.tab, name: "left", args: [this.tab] });
    // It may start again before the engine has ended: what belongs to this life is taken before that.
    const { channel, term } = this;
    const calls = this.taken();
    this.leader = "";
    this.life.abort();
    this.life = undefined;
    for (const { reject } of calls) reject(new Gone("the client was stopped"));
    await term;
    channel?.close();
    if (this.channel === channel) this.channel = undefined;
  }

  /**
   * @param {string} name
   * @param {any[]} args
   */
  async call(name, ...args) {
    if (this.engine) return /** @type {any} */ (this.engine)[name](...args);
    if (!this.life) throw new Gone("the client is not started");
    if (this.calls.size >= CALLS_MAX) throw new NotKept(`${CALLS_MAX} calls wait for the tab that holds the connection`);
    const call = this.nextCall;
    this.nextCall += 1;
    const answer = new Promise((resolve, reject) => this.calls.set(call, { name, args, resolve, reject }));
    this.say({ call, tab: this.tab, name, args });
    return answer;
  }

  /**
   * @param {string} name
   * @param {any} detail
   */
  tell(name, detail) {
    this.say({ event: name, detail, tab: this.tab });
  }

  /** @param {any} message */
  say(message) {
    this.channel?.postMessage(message);
  }

  /** What another tab says, if it is one of ours. @param {any} message */
  heard(message) {
    if (!isObject(message)) return;
    if (this.engine) {
      if (message.hello) this.announce();
      else if (message.name && CALLS.includes(message.name)) this.serve(message);
      return;
    }
    if (message.leading) this.led(message);
    else if (message.event) this.event(message.event, message.detail);
    else if (message.tab === this.tab && message.answer) this.answered(message);
  }

  announce() {
    if (this.engine) this.say({ leading: this.tab, state: this.engine.state, outgoing: this.engine.outgoing() });
  }

  /** @param {{ leading: string, state: any, outgoing: any[] }} leader */
  led({ leading, state, outgoing }) {
    if (leading === this.leader) return;
    const isNew = this.leader === "";
    this.leader = leading;
    this.follow({ state, outgoing, isNew });
    for (const [call, { name, args }] of this.calls) this.say({ call, tab: this.tab, name, args });
  }

  /** @param {{ call: number, tab: string, name: string, args: any[] }} asked */
  async serve({ call, tab, name, args }) {
    try {
      this.say({ answer: call, tab, value: await this.call(name, ...args) });
    } catch (error) {
      const { name: kind, message, code, temporary, retryAfterMs } = /** @type {any} */ (error);
      this.say({ answer: call, tab, error: { kind, message, code, temporary, retry_after_ms: retryAfterMs } });
    }
  }

  /** @param {{ answer: number, value?: any, error?: any }} said */
  answered({ answer, value, error }) {
    const call = this.calls.get(answer);
    this.calls.delete(answer);
    if (error) call?.reject(asError(error));
    else call?.resolve(value);
  }

  /** Calls that nobody has answered, which are somebody else's from now on. */
  taken() {
    const calls = [...this.calls.values()];
    this.calls.clear();
    return calls;
  }

  /** Forgets tabs that ended without a word. */
  async sweep() {
    const { engine } = this;
    if (!engine) return;
    const { held = [] } = await navigator.locks.query();
    const alive = new Set(held.map(({ name }) => name));
    for (const tab of engine.tabs.keys()) if (!alive.has(`${this.name}/${tab}`)) await engine.left(tab);
  }
}

/** @param {any} error */
function asError(error) {
  switch (error.kind) {
    case "Refused": return new Refused(error);
    case "Gone": return new Gone(error.message);
    case "NotKept": return new NotKept(error.message);
    case "BadInput": return new BadInput(error.message);
    default: return new Error(error.message);
  }
}
