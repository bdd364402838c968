// The nodes that may be asked: where HTTP goes, and which socket is tried next.
//
// Owns what `/v1/servers/best` said last and which addresses have failed since. Any node serves any client, so that whatever
// one does not answer another does.

/** How long a node that lives may take for an answer: what its store does not answer it refuses within 5 s. */
export const ANSWER_MS = 15_000;

/** Where a page comes from is written "" by pages, in which every address without a host is of it. */
const own = () => globalThis.location?.origin;

export class Nodes {
  /** @param {string | string[]} api addresses of HTTP, `http://HOST:PORT`, or "" for the page's own */
  constructor(api) {
    this.home = [api].flat().map((url) => url.replace(/\/+$/u, ""));
    /** The one to try first in front. */
    this.apis = [...this.home];
    /** The same of each socket that was named. @type {Map<string, string>} */
    this.apiOf = new Map();
    /** Sockets that failed since one was good. @type {Set<string>} */
    this.failed = new Set();
    /** Origins that the browser keeps the page from. @type {Set<string>} */
    this.kept = new Set();
  }

  /** Addresses to ask, one after the other until one can be reached. */
  reachable() {
    return [...this.apis];
  }

  /** Nobody answered there: it comes last from now on. @param {string} api */
  unreachable(api) {
    this.apis = [...this.apis.filter((other) => other !== api), api];
  }

  /**
   * Takes note of the nodes that there are, best first; the socket to try. Nothing if the page may connect to none.
   *
   * @param {{ url: string, api_url?: string }[]} servers
   * @returns {string | undefined}
   */
  choose(servers) {
    this.apiOf = new Map();
    for (const { url, api_url: api } of servers) {
      if (api) this.apiOf.set(url, api === own() && this.home.includes("") ? "" : api);
    }
    this.apis = [...new Set([...this.apis.slice(0, 1), ...this.home, ...this.apiOf.values()])];
    const sockets = servers.map(({ url }) => url).filter((url) => !this.kept.has(origin(url)));
    const untried = sockets.find((url) => !this.failed.has(url));
    if (!untried) this.failed.clear();
    return untried ?? sockets[0];
  }

  /** A socket could not be opened, broke, or says nothing: the others are tried before it, and for HTTP as well. @param {string} url */
  broke(url) {
    this.failed.add(url);
    const api = this.apiOf.get(url);
    if (api !== undefined && this.apis.includes(api)) this.unreachable(api);
  }

  /** A session is open. */
  opened() {
    this.failed.clear();
  }

  /** The browser has kept the page from connecting there. @param {string} url */
  forbidden(url) {
    this.kept.add(origin(url));
  }
}

/** @param {string} url */
const origin = (url) => (URL.canParse(url) ? new URL(url).origin : url);
