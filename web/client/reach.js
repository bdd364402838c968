// Which nodes this page may connect to: its Content-Security-Policy names those that there were when it was loaded.

import { api } from "./account.js";

const ANSWER_MS = 15_000;

/** The socket to try. `stale()` is told if the page may reach none of the nodes that there are, and loaded again it could. */
export async function choose(stale) {
  const servers = await api.servers();
  const url = api.nodes.choose(servers);
  if (url) return url;
  if (await wouldReach(servers)) stale();
  return servers[0].url;
}

/** Takes note of what the browser keeps this page from. */
export function watch() {
  document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
    if (effectiveDirective === "connect-src") api.nodes.forbidden(blockedURI);
  });
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
