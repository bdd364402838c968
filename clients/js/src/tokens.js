// Access tokens, asked of the application: once, however many want one at a time.

/** @typedef {(options: { fresh: boolean }) => Promise<string> | string} TokenCallback
 * An access token; with `fresh` another one than before, since the server takes that no more. What it throws is tried again,
 * unless it has `status` 401 or `signedOut`: then the user has to sign in.
 */

/**
 * @param {TokenCallback} callback
 * @returns {(options: { fresh: boolean }) => Promise<string>}
 */
export function singleFlight(callback) {
  /** @type {Map<boolean, Promise<string>>} */
  const asking = new Map();
  const ask = async (/** @type {boolean} */ fresh) => {
    const token = await callback({ fresh });
    if (typeof token !== "string" || !token) throw new TypeError("token() gave no token");
    return token;
  };
  return ({ fresh }) => {
    // Whoever wants any waits for a fresh one that is on its way.
    const known = asking.get(true) ?? asking.get(fresh);
    if (known) return known;
    const asked = ask(fresh).finally(() => asking.delete(fresh));
    asking.set(fresh, asked);
    return asked;
  };
}
