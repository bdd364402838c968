// The nodes behind this page: where HTTP goes, and which socket is tried next.
//
// Owns what `/v1/servers/best` said last, and which addresses have failed since. The node that served the page is one of
// them: it is asked first until it cannot be reached, and then the others are, who know all that it knew.

/** Where HTTP goes, the one to try first in front. The empty one is the page's own origin. */
let apis = [""];
/** Sockets that failed since one was good. */
const failed = new Set();

/** Addresses to ask, one after the other until one can be reached. */
export const reachable = () => [...apis];

/** Nobody answered there: it comes last from now on. */
export function unreachable(api) {
  apis = [...apis.filter((other) => other !== api), api];
}

/** Takes note of the nodes that there are, best first; the socket to try. */
export function choose(servers) {
  const named = servers.map((server) => server.api_url).filter((api) => api && api !== location.origin);
  apis = [...new Set([apis[0], "", ...named])];
  const untried = servers.find(({ url }) => !failed.has(url));
  if (!untried) failed.clear();
  return (untried ?? servers[0]).url;
}

/** A socket could not be opened, or broke: the others are tried before it. */
export function broke(url) {
  failed.add(url);
}

/** A session is open. */
export function opened() {
  failed.clear();
}
