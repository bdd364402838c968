// Who this device is: the tokens of one login, kept in a store, and another access token when one is wanted.

import { Api } from "./api.js";
import { Problem } from "./errors.js";

const KEY = "account";

/** @typedef {import("./api.js").Tokens} Tokens */

export class Account {
  /**
   * @param {object} options
   * @param {string | string[]} [options.apiUrl]
   * @param {import("./store.js").Store} options.store
   */
  constructor({ apiUrl = "", store }) {
    this.store = store;
    this.api = new Api({ url: apiUrl });
    /** For `new Client({ token })`. */
    this.token = (/** @type {{ fresh: boolean }} */ { fresh }) => this.current({ fresh });
  }

  /** Who is signed in here, or undefined. @returns {Promise<Tokens | undefined>} */
  signedIn() {
    return this.store.get(KEY);
  }

  /** @param {Parameters<Api["signUp"]>[0]} fields */
  async signUp(fields) {
    return this.keep(await this.api.signUp(fields));
  }

  /** @param {Parameters<Api["login"]>[0]} fields */
  async login(fields) {
    return this.keep(await this.api.login(fields));
  }

  /** Forgets the account, here whatever happens, and at the server if it can be reached. */
  async signOut() {
    const tokens = await this.signedIn();
    await this.store.delete(KEY);
    if (tokens) await this.api.logout(tokens.refresh_token, tokens.token).catch(() => {});
  }

  /**
   * @param {{ fresh: boolean }} options
   * @returns {Promise<string>}
   */
  async current({ fresh }) {
    const tokens = await this.signedIn();
    if (!tokens) throw new Problem(401, 101, "nobody is signed in here");
    if (!fresh) return tokens.token;
    // A refresh token is used once: of several tabs one does it, and the others take what came of it.
    return exclusively(`rookery/refresh/${tokens.user_id}`, async () => {
      const now = await this.signedIn();
      if (now && now.token !== tokens.token) return now.token;
      const next = await this.api.refresh(tokens.refresh_token);
      return (await this.keep({ ...tokens, ...next })).token;
    });
  }

  /** @param {Tokens} tokens */
  async keep(tokens) {
    await this.store.put(KEY, tokens);
    return tokens;
  }
}

/**
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} act
 * @returns {Promise<T>}
 */
function exclusively(name, act) {
  const locks = globalThis.navigator?.locks;
  return locks ? /** @type {Promise<T>} */ (locks.request(name, act)) : act();
}
