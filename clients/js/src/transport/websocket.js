// Lines over a WebSocket.
//
// A transport is `open(way)`, which returns a link at once: `send(line)` and `close(code)`. It says `hello` first, tells each
// line that comes and, exactly once, that it was closed; after `close` it tells nothing more.

/**
 * @typedef {object} Way
 * @property {string} url the node's socket, `ws://HOST:PORT/connection/websocket`
 * @property {{ id: number, connect: Record<string, any> }} hello
 * @property {() => { channels: [string, number | undefined][], users: string[] }} wanted what is open and watched
 * @property {(line: string) => void} onLine
 * @property {(closed: { code: number, reason: string, opened: boolean }) => void} onClose `code` 1006: nobody said why
 *
 * @typedef {object} Link
 * @property {(line: string) => void} send
 * @property {(code: number) => void} close
 *
 * @typedef {object} Transport
 * @property {string} name
 * @property {(way: Way) => Link} open throws if it cannot even be tried
 * @property {(url: string, signal: AbortSignal) => Promise<boolean>} [probe] whether it opens there, by trying it and saying nothing
 */

/** The one encoding that this client speaks. */
const PROTOCOL = "rookery.json.v1";
/** How long a socket may take to open that nobody waits for. */
const PROBE_MS = 10_000;

/**
 * @param {any} [Constructor] of WebSockets, as of npm's `ws` where there is none of the platform
 * @returns {Transport}
 */
export function websocket(Constructor = globalThis.WebSocket) {
  if (!Constructor) throw new Error("there is no WebSocket here: give the client one, as { WebSocket } of npm's ws");
  return { name: "websocket", open: (way) => open(Constructor, way), probe: (url, signal) => probe(Constructor, url, signal) };
}

/**
 * @param {any} Constructor
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>}
 */
function probe(Constructor, url, signal) {
  return new Promise((resolve) => {
    const socket = new Constructor(url, [PROTOCOL]);
    const done = (/** @type {boolean} */ opens) => {
      clearTimeout(timer);
      resolve(opens);
      socket.close();
    };
    const timer = setTimeout(() => done(false), PROBE_MS);
    signal.addEventListener("abort", () => done(false));
    socket.onopen = () => done(true);
    socket.onerror = () => done(false);
    socket.onclose = () => done(false);
  });
}

/**
 * @param {any} Constructor
 * @param {Way} way
 * @returns {Link}
 */
function open(Constructor, { url, hello, onLine, onClose }) {
  const socket = new Constructor(url, [PROTOCOL]);
  let isOpen = false;
  let isDone = false;
  socket.onopen = () => {
    isOpen = true;
    if (!isDone) socket.send(JSON.stringify(hello));
  };
  socket.onmessage = (/** @type {{ data: unknown }} */ { data }) => {
    if (isDone) return;
    if (typeof data !== "string") return onLine("a binary frame");
    for (const line of data.split("\n")) if (line) onLine(line);
  };
  // What went wrong is in `onclose`, which follows.
  socket.onerror = () => {};
  socket.onclose = (/** @type {{ code: number, reason: unknown }} */ { code, reason }) => {
    if (isDone) return;
    isDone = true;
    onClose({ code, reason: String(reason ?? ""), opened: isOpen });
  };
  return {
    send: (line) => { if (socket.readyState === 1) socket.send(line); },
    close: (code) => {
      isDone = true;
      socket.close(code);
    },
  };
}
