// The application of a conformance row: runs under Node and, loaded by `harness.html`, in a browser.

import { Client, MemoryStore } from "../src/index.js";

/** Events of which each is shown once and in order. */
export const STRICT = ["message", "edited", "deleted", "reaction", "membership", "read", "snapshot", "head", "presence", "typing", "published", "feed_head"];
const LOOSE = ["state", "outgoing", "lost", "error"];

export class Application {
  /**
   * @param {{ url: string, cursor?: string, tokens?: any[], WebSocket?: any }} row
   * @param {(kind: string, detail: any) => void} told
   */
  constructor({ url, cursor, tokens, WebSocket }, told) {
    this.options = { url: `${url}/connection/websocket`, deviceId: "dev-1", WebSocket, tabs: false };
    this.store = new MemoryStore();
    if (cursor) this.store.map.set("cursor", cursor);
    this.tokens = [...(tokens ?? Array.from({ length: 9 }, (_, at) => `t${at + 1}`))];
    this.told = told;
    this.calls = new Map();
  }

  async start() {
    this.client = new Client({ ...this.options, store: this.store, token: () => this.token() });
    for (const kind of STRICT) this.client.on(kind, (detail) => this.told(kind, detail));
    for (const kind of LOOSE) this.client.on(kind, (detail) => this.told(kind, kind === "error" ? {} : detail));
    await this.client.start();
  }

  async stop() {
    await this.client?.stop();
  }

  token() {
    const token = this.tokens.length > 1 ? this.tokens.shift() : this.tokens[0];
    if (token.signed_out) throw Object.assign(new Error("nobody is signed in"), { signedOut: true });
    if (token.fails) throw new Error("no token at the moment");
    return token;
  }

  /** Makes a call; the id of what was taken into the outbox. */
  async call(name, fields, as) {
    const promise = this.calling(name, fields, as);
    if (promise instanceof Promise) promise.catch(() => {});
    if (as && !["retry", "cancel"].includes(name)) this.calls.set(as, promise);
    return promise instanceof Promise ? undefined : promise.id;
  }

  /** `{value}` or `{problem}` of a call. */
  result(as) {
    return Promise.resolve(this.calls.get(as)).then((value) => ({ value: value ?? {} }), ({ name, code, message }) => ({ problem: { name, code, message } }));
  }

  calling(name, fields, as) {
    const { client } = this;
    const { channel_id: channelId } = fields;
    switch (name) {
      case "send": return client.send(channelId, fields.body, { replyTo: fields.reply_to, mentions: fields.mentions });
      case "edit": return client.edit(fields, fields.body);
      case "delete": return client.delete(fields);
      case "react": return client.react(fields, fields.emoji, fields.on);
      case "retry": return this.calls.get(as).retry();
      case "cancel": return this.calls.get(as).cancel();
      case "history": {
        const { channel_id: _, ...window } = fields;
        return client.history(channelId, window);
      }
      case "search": return client.search(fields.query);
      case "mark": return client.mark(channelId, fields.read_seq);
      case "typing": return client.typing(channelId, fields.on);
      case "open": return client.open(channelId, { afterSeq: fields.after_seq });
      case "close": return client.close(channelId);
      case "presence": return client.presence(fields.user_ids);
      case "watch": return client.watch(fields.user_ids);
      default: throw new Error(`no call ${name}`);
    }
  }
}
