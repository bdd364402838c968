// HTTP: everything that is asked rather than pushed, and what needs no connection. PROTOCOL section 8 has the answers.

import { Problem } from "./errors.js";
import { Feed } from "./feed.js";
import { json } from "./json.js";
import { Media } from "./media.js";
import { ANSWER_MS, Nodes } from "./nodes.js";
import { part, query } from "./query.js";
import { transfer } from "./transfer.js";

const EXPIRED = 109;
const UNKNOWN = 104;
const PAGE = 200;
/** No server means a longer pause than this, whatever it says. */
const PAUSE_MS_MAX = 3_600_000;

/** @typedef {{ user_id: string, token: string, expires_ms: number, refresh_token: string }} Tokens */
/** @typedef {{ cursor?: string, limit?: number }} Page */

export class Api {
  /**
   * @param {object} options
   * @param {string | string[]} [options.url] of one node or several, `http://HOST:PORT`; "" is the page's own
   * @param {(options: { fresh: boolean }) => Promise<string> | string} [options.token] for what asks who it is
   * @param {Nodes} [options.nodes]
   */
  constructor({ url = "", token, nodes = new Nodes(url) }) {
    this.nodes = nodes;
    this.token = token;
    /** Posts, likes, replies, who follows whom. */
    this.feed = new Feed(this);
    /** Uploads, and URLs of attachments. */
    this.media = new Media(this);
  }

  // Who one is.

  /** @param {{ username: string, password: string, display_name?: string, device_id?: string }} fields @returns {Promise<Tokens>} */
  signUp(fields) {
    return this.request("POST", "/v1/auth/signup", fields);
  }

  /** @param {{ username: string, password: string, device_id?: string }} fields @returns {Promise<Tokens>} */
  login(fields) {
    return this.request("POST", "/v1/auth/login", fields);
  }

  /** Each refresh token is used once. @param {string} refreshToken @returns {Promise<Tokens>} */
  refresh(refreshToken) {
    return this.request("POST", "/v1/auth/refresh", { refresh_token: refreshToken });
  }

  /** Ends the login of a refresh token, or, where there is none, that of an access token. @param {string | undefined} refreshToken @param {string} [token] */
  logout(refreshToken, token) {
    return this.request("POST", "/v1/auth/logout", refreshToken === undefined ? undefined : { refresh_token: refreshToken }, { token });
  }

  me() {
    return this.call("GET", "/v1/me");
  }

  /** @param {Record<string, any>} fields */
  updateMe(fields) {
    return this.call("PATCH", "/v1/me", fields);
  }

  /** @param {string} userId */
  user(userId) {
    return this.call("GET", `/v1/users/${part(userId)}`);
  }

  /** @param {string} username */
  findUser(username) {
    return this.call("GET", `/v1/users${query({ username })}`);
  }

  /** The account's devices, the one that connected last first. @returns {Promise<any[]>} */
  async devices() {
    return (await this.call("GET", "/v1/me/devices")).devices;
  }

  /** Ends a device's session and its login. @param {string} deviceId */
  revokeDevice(deviceId) {
    return this.call("DELETE", `/v1/me/devices/${part(deviceId)}`);
  }

  // Channels.

  /** A page of the account's channels by recent activity. @param {Page} [page] */
  channels(page = {}) {
    return this.call("GET", `/v1/channels${query(page)}`);
  }

  /** All of them. @returns {Promise<any[]>} */
  allChannels() {
    return this.all("/v1/channels", "channels");
  }

  /** @param {string} channelId */
  channel(channelId) {
    return this.call("GET", `/v1/channels/${part(channelId)}`);
  }

  /**
   * `{kind: "direct", user_id}`, `{kind: "group", title, member_ids}` or `{kind: "large", title, history?}`. The same `key`,
   * made once for what the user wants, makes it once.
   *
   * @param {Record<string, any>} fields
   * @param {string} [key]
   */
  createChannel(fields, key) {
    return this.call("POST", "/v1/channels", fields, key ? { "idempotency-key": key } : {});
  }

  /** @param {string} channelId @param {string} title */
  rename(channelId, title) {
    return this.call("PATCH", `/v1/channels/${part(channelId)}`, { title });
  }

  /** @param {string} channelId @param {Page} [page] */
  members(channelId, page = {}) {
    return this.call("GET", `/v1/channels/${part(channelId)}/members${query(page)}`);
  }

  /** Adds a member, or gives one another role. @param {string} channelId @param {string} userId @param {"member" | "admin" | "owner"} [role] */
  putMember(channelId, userId, role = "member") {
    return this.call("PUT", `/v1/channels/${part(channelId)}/members/${part(userId)}`, { role });
  }

  /** @param {string} channelId @param {string} userId */
  removeMember(channelId, userId) {
    return this.call("DELETE", `/v1/channels/${part(channelId)}/members/${part(userId)}`);
  }

  /** @param {string} channelId */
  leave(channelId) {
    return this.removeMember(channelId, "me");
  }

  /** @param {string} channelId @param {boolean} muted */
  mute(channelId, muted) {
    return this.call("PATCH", `/v1/channels/${part(channelId)}/members/me`, { muted });
  }

  // People.

  /** @returns {Promise<any[]>} */
  friends() {
    return this.all("/v1/me/friends", "friends");
  }

  /** Asks for friendship, or accepts it. @param {string} userId */
  befriend(userId) {
    return this.call("PUT", `/v1/me/friends/${part(userId)}`);
  }

  /** Ends a friendship, or declines it. @param {string} userId */
  unfriend(userId) {
    return this.call("DELETE", `/v1/me/friends/${part(userId)}`);
  }

  /** @returns {Promise<any[]>} */
  blocks() {
    return this.all("/v1/me/blocks", "blocks");
  }

  /** @param {string} userId @param {boolean} on */
  block(userId, on) {
    return this.call(on ? "PUT" : "DELETE", `/v1/me/blocks/${part(userId)}`);
  }

  /** Messages that name this account, newest first. @param {Page} [page] */
  mentions(page = {}) {
    return this.call("GET", `/v1/mentions${query(page)}`);
  }

  /** The nodes that live, the best first. @returns {Promise<{ url: string, api_url?: string }[]>} */
  async servers() {
    const servers = await this.request("GET", "/v1/servers/best");
    const isWhole = Array.isArray(servers) && servers.length > 0 && servers.every((server) => typeof server?.url === "string");
    if (!isWhole) throw new Problem(200, 0, "the server names no node");
    return servers;
  }

  // Any other route.

  /**
   * Asks as this account. An expired token is renewed once. Rejects with `Problem`.
   *
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {Record<string, string>} [headers]
   * @param {{ isRepeatable?: boolean }} [options] `isRepeatable`: a POST that happens once however often it is asked for
   * @returns {Promise<any>}
   */
  call(method, path, body, headers = {}, { isRepeatable } = {}) {
    return this.as((token) => this.request(method, path, body, { token, headers, isRepeatable }));
  }

  /**
   * Asks as this account with a file in the request, or for what is in an answer's headers. Rejects with `Problem`.
   *
   * @param {{ method: string, path: string, headers?: Record<string, string>, body?: Blob, signal: AbortSignal, progress?: (bytes: number) => void }} sent
   * @returns {Promise<import("./transfer.js").Answer>}
   */
  send({ method, path, headers = {}, body, signal, progress }) {
    return this.as(async (token) => {
      const api = this.nodes.reachable()[0];
      if (api === undefined) throw new Problem(0, 0, "the server cannot be reached");
      let answer;
      try {
        answer = await transfer({ method, url: api + path, headers: { ...headers, authorization: `Bearer ${token}` }, body, signal, progress });
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof TypeError) && /** @type {any} */ (error)?.name !== "TimeoutError") throw error;
        // The next attempt goes to another node.
        this.nodes.unreachable(api);
        throw new Problem(0, 0, "the server cannot be reached");
      }
      if (answer.status >= 400) throw problem(answer.status, fieldsOf(answer.text), answer.header("retry-after"));
      return answer;
    });
  }

  /**
   * @template T
   * @param {(token: string) => Promise<T>} act
   * @returns {Promise<T>}
   * @private
   */
  async as(act) {
    if (!this.token) throw new Problem(401, 101, "this Api was made without token");
    try {
      return await act(await this.token({ fresh: false }));
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== EXPIRED) throw error;
      return act(await this.token({ fresh: true }));
    }
  }

  /**
   * The rows under `field` of all pages of a list.
   *
   * @param {string} path
   * @param {string} field
   * @returns {Promise<any[]>}
   */
  async all(path, field) {
    const rows = [];
    let cursor;
    do {
      const page = await this.call("GET", path + query({ limit: PAGE, cursor }));
      rows.push(...page[field]);
      cursor = page.cursor;
    } while (cursor);
    return rows;
  }

  /**
   * Asks as nobody, or with a token.
   *
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {{ token?: string, headers?: Record<string, string>, isRepeatable?: boolean }} [as]
   * @returns {Promise<any>}
   */
  async request(method, path, body, { token, headers = {}, isRepeatable } = {}) {
    const answer = await this.reach(path, isRepeatable ?? (method !== "POST" || "idempotency-key" in headers), {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...headers,
      },
      body: body === undefined ? undefined : json(body),
    });
    const fields = fieldsOf(await answer.text());
    if (answer.ok && fields === undefined) throw new Problem(answer.status, 0, `the server answered ${answer.status} with something that is not JSON`);
    const unknown = fields?.code === UNKNOWN ? `this server does not know ${method} ${path.split("?")[0]}` : undefined;
    if (!answer.ok) throw problem(answer.status, fields, answer.headers.get("retry-after"), unknown);
    return fields;
  }

  /**
   * Asks the first node that can be reached; only the first of all if what is asked for must not happen twice.
   *
   * @param {string} path
   * @param {boolean} isRepeatable
   * @param {RequestInit & { method: string, headers: Record<string, string> }} options
   */
  async reach(path, isRepeatable, options) {
    for (const api of this.nodes.reachable()) {
      try {
        // A node that stands still answers nobody, and keeps the connection.
        return await fetch(api + path, { ...options, signal: AbortSignal.timeout(ANSWER_MS) });
      } catch {
        this.nodes.unreachable(api);
      }
      if (!isRepeatable) break;
    }
    throw new Problem(0, 0, "the server cannot be reached");
  }
}

/** What an answer says: null if nothing, undefined if what is not JSON. @param {string} text @returns {any} */
function fieldsOf(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return undefined;
  }
}

/** @param {number} status @param {any} fields @param {string | null} after seconds of `Retry-After` @param {string} [detail] */
function problem(status, fields, after, detail) {
  if (fields === undefined) return new Problem(status, 0, `the server answered ${status} with something that is not JSON`);
  const seconds = Number(after ?? 0);
  const afterMs = seconds > 0 ? Math.min(seconds * 1000, PAUSE_MS_MAX) : 0;
  return new Problem(status, fields?.code ?? 0, detail ?? fields?.detail ?? fields?.title, afterMs);
}
