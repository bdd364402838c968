// Who this tab is: tokens and device, for as long as the tab lives, and HTTP in that name.
//
// Kept in sessionStorage, so that two tabs are two devices, of one user or of two.

import { deviceId } from "./ids.js";
import * as nodes from "./nodes.js";
import { json } from "./text.js";

const KEY = "rookery.account";
const UNKNOWN = 104;

/** What the server refused, in its own words. */
export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail || `the server answered ${status}`);
    this.status = status;
    this.code = code;
  }
}

let account = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
let refreshing = null;

function keep(next) {
  account = next;
  if (next) sessionStorage.setItem(KEY, JSON.stringify(next));
  else sessionStorage.removeItem(KEY);
}

export const current = () => account;

/** Asks the first node that can be reached; only the first of all if what is asked for must not happen twice. */
async function reach(path, options) {
  const { method, headers } = options;
  const once = method === "POST" && !headers["idempotency-key"];
  for (const api of nodes.reachable()) {
    try {
      // A node that stands still answers nobody, and keeps the connection.
      return await fetch(api + path, { ...options, signal: AbortSignal.timeout(nodes.ANSWER_MS) });
    } catch {
      nodes.unreachable(api);
    }
    if (once) break;
  }
  throw new Problem(0, 0, "the server cannot be reached");
}

async function request(method, path, body, token, headers = {}) {
  const answer = await reach(path, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...headers,
    },
    body: body === undefined ? undefined : json(body),
  });
  const text = await answer.text();
  let fields = null;
  try {
    fields = text ? JSON.parse(text) : null;
  } catch {
    throw new Problem(answer.status, 0, `the server answered ${answer.status} with something that is not JSON`);
  }
  const unknown = fields?.code === UNKNOWN ? `this server does not know ${method} ${path.split("?")[0]}` : undefined;
  if (!answer.ok) throw new Problem(answer.status, fields?.code ?? 0, unknown ?? fields?.detail ?? fields?.title);
  return fields;
}

async function enter(path, body) {
  // A copied tab brings its original's storage along; signing in makes it a device of its own.
  const device = deviceId();
  const tokens = await request("POST", path, { ...body, device_id: device });
  keep({ ...tokens, device });
  const me = await http("GET", "/v1/me");
  keep({ ...account, username: me.username, display_name: me.display_name });
  return account;
}

export const signIn = (username, password) => enter("/v1/auth/login", { username, password });
export const signUp = (username, password) => enter("/v1/auth/signup", { username, password });
export const devSignIn = (username) => enter("/v1/dev/login", { username });

/** A new access token for the same login. Asked for once, however many want it. */
export function refresh() {
  refreshing ??= request("POST", "/v1/auth/refresh", { refresh_token: account.refresh_token })
    .then((tokens) => keep({ ...account, ...tokens }))
    .finally(() => { refreshing = null; });
  return refreshing;
}

/** HTTP as this account. An expired token is refreshed once. */
export async function http(method, path, body, headers) {
  try {
    return await request(method, path, body, account?.token, headers);
  } catch (problem) {
    if (problem.code !== 109 || !account) throw problem;
    await refresh();
    return request(method, path, body, account.token, headers);
  }
}

/** The account's devices, the one that connected last first: `{device_id, client, connected_ms, last_active_ms}`. */
export const devices = async () => (await http("GET", "/v1/me/devices")).devices;

/** Ends a device's session and its login. */
export const revoke = (deviceId) => http("DELETE", `/v1/me/devices/${encodeURIComponent(deviceId)}`);

/** Forgets the account, here whatever happens, and at the server if it can be reached. */
export async function signOut() {
  const { refresh_token, token } = account ?? {};
  keep(null);
  if (refresh_token) await request("POST", "/v1/auth/logout", { refresh_token }, token).catch(() => {});
}
