// Lines over polls: each answer has what happened since the last one, or comes after a while without any.

import { plain, readLines } from "./plain.js";

/** Seconds that a poll waits where something else is to be learnt from its answer. */
const SOON_S = "1";
const WAIT_S = "25";

export const poll = () => plain("poll", {
  path: "/connection/poll",
  query: (isAsking) => ({ wait: isAsking ? SOON_S : WAIT_S }),
  goesOn: true,
  read: (body, said) => readLines(body, said),
});
