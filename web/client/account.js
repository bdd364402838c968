// Who this tab is: tokens and device, for as long as the tab lives, and HTTP in that name.
//
// Kept in sessionStorage, so that two tabs are two devices, of one user or of two.

import { Api, Problem, deviceId } from "../rookery-client/index.js";

const KEY = "rookery.account";
const UNAUTHENTICATED = 101;
/** Whose a token is cannot be said at the moment: the same one is to be shown again. */
const LATER = 115;
const LATER_MS = 1_000;
const TRIES = 5;

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
  if (fresh && !account.refresh_token) throw new Problem(401, UNAUTHENTICATED, GIVEN_IS_OVER);
  if (fresh) await refresh();
  return account.token;
}

const GIVEN_IS_OVER = "Your token is not valid any more. Sign in with a new one.";

/** Why this account is over, as far as that follows from how it came here. */
export const whyOver = () => (account && !account.refresh_token ? GIVEN_IS_OVER : undefined);

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

/** How accounts come in here: "own", by a password, "external", by a token, or "both", which is also said where nobody knows. */
export async function mode() {
  try {
    return (await api.request("GET", "/v1/auth")).mode;
  } catch {
    return "both";
  }
}

/** Whose a token is: the user, as of `GET /v1/me`. */
export async function whose(token) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await api.request("GET", "/v1/me", undefined, { token });
    } catch (error) {
      if (error.code !== LATER || tries >= TRIES) throw error;
      await new Promise((resolve) => { setTimeout(resolve, LATER_MS); });
    }
  }
}

/** By a token that something else has made, which renews it too: here it is used until it is over. */
export async function signInBy(token, device) {
  const { user_id, username, display_name } = await whose(token);
  const mine = account?.user_id === user_id ? account.device : deviceId();
  keep({ token, user_id, username, display_name, device: device || mine });
}

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
