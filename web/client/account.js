// Who this tab is: tokens and device, for as long as the tab lives, and HTTP in that name.
//
// Kept in sessionStorage, so that two tabs are two devices, of one user or of two.

import { Api, Problem, deviceId } from "../rookery-client/index.js";

const KEY = "rookery.account";
const UNAUTHENTICATED = 101;

let account = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
let refreshing = null;

function keep(next) {
  account = next;
  if (next) sessionStorage.setItem(KEY, JSON.stringify(next));
  else sessionStorage.removeItem(KEY);
}

export const current = () => account;

/** The account's access token; another one if the last is not taken any more. */
export async function token({ fresh }) {
  if (!account) throw new Problem(401, UNAUTHENTICATED, "nobody is signed in");
  if (fresh) await refresh();
  return account.token;
}

/** HTTP as this account: of the node that served the page, and of the others when that cannot be reached. */
export const api = new Api({ url: "", token });
export const http = (...request) => api.call(...request);

async function enter(path, body) {
  // A copied tab brings its original's storage along; signing in makes it a device of its own.
  const device = deviceId();
  const tokens = await api.request("POST", path, { ...body, device_id: device });
  keep({ ...tokens, device });
  const me = await http("GET", "/v1/me");
  keep({ ...account, username: me.username, display_name: me.display_name });
  return account;
}

export const signIn = (username, password) => enter("/v1/auth/login", { username, password });
export const signUp = (username, password) => enter("/v1/auth/signup", { username, password });
export const devSignIn = (username) => enter("/v1/dev/login", { username });

/** A new access token for the same login. Asked for once, however many want it. */
function refresh() {
  refreshing ??= api.refresh(account.refresh_token)
    .then((tokens) => keep({ ...account, ...tokens }))
    .finally(() => { refreshing = null; });
  return refreshing;
}

/** The account's devices, the one that connected last first: `{device_id, client, connected_ms, last_active_ms}`. */
export const devices = () => api.devices();

/** Ends a device's session and its login. */
export const revoke = (id) => api.revokeDevice(id);

/** Forgets the account, here whatever happens, and at the server if it can be reached. */
export async function signOut() {
  const was = account;
  keep(null);
  if (was) await api.logout(was.refresh_token, was.token).catch(() => {});
}
