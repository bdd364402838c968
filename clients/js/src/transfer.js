// One HTTP request whose body is a file or a part of one: what was sent of it is told, and it ends when nothing moves.
//
// Browsers tell the progress of a request's body by XMLHttpRequest alone; where there is none, as under Node, progress is told
// when the request is answered.

/** How long nothing may move in either direction: the server gives up an upload that stalls at the same time. */
const STALL_MS = 30_000;
/** The slowest network that is waited for where nothing tells progress: bytes a second. */
const SLOWEST = 10_000;

/**
 * @typedef {object} Sent
 * @property {string} method
 * @property {string} url
 * @property {Record<string, string>} headers
 * @property {Blob} [body]
 * @property {AbortSignal} signal
 * @property {(sentBytes: number) => void} [progress] bytes of this body so far
 *
 * @typedef {{ status: number, header: (name: string) => string | null, text: string }} Answer
 */

/**
 * An answer, whatever its status is. Rejects with what `signal` was aborted with, and with a TypeError or a TimeoutError if
 * nobody answers.
 *
 * @type {(sent: Sent) => Promise<Answer>}
 */
export const transfer = (sent) => ("XMLHttpRequest" in globalThis ? byXhr(sent) : byFetch(sent));

/** @type {(sent: Sent) => Promise<Answer>} */
function byXhr({ method, url, headers, body, signal, progress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const fail = (/** @type {unknown} */ error) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      reject(error);
    };
    const aborted = () => {
      request.abort();
      fail(signal.reason);
    };
    const moves = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        request.abort();
        fail(new TypeError(`nothing moved for ${STALL_MS} ms`));
      }, STALL_MS);
    };
    if (signal.aborted) return fail(signal.reason);
    signal.addEventListener("abort", aborted);
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) => { moves(); progress?.(loaded); };
    request.onprogress = moves;
    request.onerror = () => fail(new TypeError("the server cannot be reached"));
    request.onload = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      resolve({ status: request.status, header: (name) => request.getResponseHeader(name), text: request.responseText });
    };
    moves();
    return request.send(body);
  });
}

/** @type {(sent: Sent) => Promise<Answer>} */
async function byFetch({ method, url, headers, body, signal, progress }) {
  const timeout = AbortSignal.timeout(STALL_MS + Math.ceil(((body?.size ?? 0) / SLOWEST) * 1000));
  const ended = new AbortController();
  for (const each of [signal, timeout]) each.addEventListener("abort", () => ended.abort(each.reason), { signal: ended.signal });
  if (signal.aborted) throw signal.reason;
  const answer = await fetch(url, { method, headers, body, signal: ended.signal });
  const text = await answer.text();
  if (body && answer.ok) progress?.(body.size);
  return { status: answer.status, header: (name) => answer.headers.get(name), text };
}
