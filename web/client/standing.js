// How the page stands with the server, in words.

/** Close codes after which this device is nobody's any more. */
const SIGNED_OUT = {
  3500: "Your sign-in is not valid here any more.",
  3503: "This device was signed out.",
  3511: "This account was deleted.",
};
/** Close codes after which the same would happen again, and the remedy. */
const ENDED = {
  1002: "the server did not understand this page: reload it",
  1007: "the server did not understand this page: reload it",
  1009: "what this page sent is too large for the server",
  3501: "the server did not understand this page: reload it",
  3502: "signing in took too long: reload to try again",
  3504: "too many devices use this account: sign one out under Devices, then reload",
  3505: "open in another tab; reload to use it here",
  3509: "the server refused too much of what this page sent: reload to try again",
};

/** What is said of a way that is not the usual one: WebSockets do not get through. */
const WAYS = { sse: "online, by event stream", poll: "online, by polling" };

/** Of the client's `state`: `{words, live}`, or `{why}` for the form to sign in, undefined if there is nothing to explain. */
export function standing({ state, transport, code, reason, signed_out }) {
  if (state === "live") return { words: WAYS[transport] ?? "online", live: true };
  if (state === "connecting") return { words: "connecting…", live: false };
  if (state === "waiting") return { words: "offline, trying again…", live: false };
  if (signed_out) return { why: SIGNED_OUT[code] };
  return { words: ENDED[code] ?? `the server ended this connection (${reason || code}): reload to try again`, live: false };
}
