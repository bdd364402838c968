// The nodes behind this page: where HTTP goes, and which socket is tried next.
//
// Owns what `/v1/servers/best` said last, which addresses have failed since, and which the page may not connect to: its
// Content-Security-Policy names the nodes that there were when it was loaded. The node that served the page is one of them:
// it is asked first until it cannot be reached, and then the others are, who know all that it knew.

/** How long a node that lives may take for an answer: what its store does not answer it refuses within 5 s. */
export const ANSWER_MS = 15_000;

/** Where HTTP goes, the one to try first in front. The empty one is the page's own origin. */
let apis = [""];
/** The same of each socket that was named. */
const apiOf = new Map();
/** Sockets that failed since one was good. */
const failed = new Set();
/** Origins that the browser keeps the page from. */
const kept = new Set();

/** Addresses to ask, one after the other until one can be reached. */
export const reachable = () => [...apis];

/** Nobody answered there: it comes last from now on. */
export function unreachable(api) {
  apis = [...apis.filter((other) => other !== api), api];
}

/** Takes note of the nodes that there are, best first; the socket to try. Nothing if the page may connect to none. */
export function choose(servers) {
  for (const { url, api_url: api } of servers) apiOf.set(url, api === location.origin ? "" : api);
  const named = servers.map(({ url }) => apiOf.get(url)).filter(Boolean);
  apis = [...new Set([apis[0], "", ...named])];
  const sockets = servers.map(({ url }) => url).filter((url) => !kept.has(new URL(url).origin));
  const untried = sockets.find((url) => !failed.has(url));
  if (!untried) failed.clear();
  return untried ?? sockets[0];
}

/** A socket could not be opened, broke, or says nothing: the others are tried before it, and for HTTP as well. */
export function broke(url) {
  failed.add(url);
  const api = apiOf.get(url);
  if (apis.includes(api)) unreachable(api);
}

/** A session is open. */
export function opened() {
  failed.clear();
}

/** The browser has kept the page from connecting there. */
export function forbidden(url) {
  kept.add(new URL(url).origin);
}

/** Whether the page, if it were loaded anew, might connect to one of these nodes. */
export async function wouldReach(servers) {
  try {
    const page = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
    const sources = (page.headers.get("content-security-policy") ?? "").split(/[\s;]+/u);
    return servers.some(({ url }) => sources.includes(new URL(url).origin));
  } catch {
    return false;
  }
}
