// Chromium without a window, driven over a pipe by its DevTools protocol, and a server for what it loads.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAM = [process.env.CHROMIUM, "chromium", "chromium-browser", "google-chrome"].filter(Boolean).find((name) => spawnSync(name, ["--version"]).status === 0);
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8" };

/** Why tests in a browser cannot run, or false. */
export const noBrowser = PROGRAM ? false : "there is no chromium here: install it, or name it by CHROMIUM";

/** Serves `clients/js`; its origin. */
export async function serve(t) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
    const file = createReadStream(join(root, path));
    file.once("error", () => response.writeHead(404).end());
    file.once("open", () => {
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
      file.pipe(response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  return `http://127.0.0.1:${server.address().port}`;
}

/** Starts a browser on a profile directory. Killed with the test. */
export async function startBrowser(t, profile) {
  const args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank"];
  const child = spawn(PROGRAM, args, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"], detached: true });
  const ended = once(child, "exit");
  const [, , , input, output] = child.stdio;
  input.on("error", () => {});
  const waiting = new Map();
  const listeners = new Map();
  let nextId = 1;
  let rest = "";
  output.setEncoding("utf8").on("data", (text) => {
    const messages = (rest + text).split("\0");
    rest = messages.pop();
    for (const message of messages.map((each) => JSON.parse(each))) {
      const { id, error, result, method, params, sessionId } = message;
      if (id === undefined) listeners.get(sessionId)?.(method, params);
      else if (error) waiting.get(id)?.reject(new Error(error.message));
      else waiting.get(id)?.resolve(result);
      waiting.delete(id);
    }
  });
  const send = (method, params, sessionId) => new Promise((resolve, reject) => {
    waiting.set(nextId, { resolve, reject });
    input.write(`${JSON.stringify({ id: nextId, method, params, sessionId })}\0`);
    nextId += 1;
  });
  const kill = async () => {
    // With its children, which would go on for a moment.
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGKILL");
    await ended;
    for (const { reject } of waiting.values()) reject(new Error("the browser is gone"));
    waiting.clear();
  };
  t.after(kill);

  /** Opens a page and waits until `ready` holds in it. `told` hears what it says by `tell(text)`. */
  const open = async (url, told = () => {}, ready = "globalThis.rookery") => {
    const { targetId } = await send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
    listeners.set(sessionId, (method, params) => {
      if (method === "Runtime.bindingCalled") told(params.payload);
      if (method === "Runtime.exceptionThrown") told(`exception: ${params.exceptionDetails.exception?.description ?? params.exceptionDetails.text}`);
    });
    const ask = (method, params = {}) => send(method, params, sessionId);
    await ask("Runtime.enable");
    await ask("Runtime.addBinding", { name: "tell" });
    await ask("Page.enable");
    const evaluate = async (expression) => {
      const { result, exceptionDetails } = await ask("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    const load = async () => {
      await ask("Page.navigate", { url });
      for (;;) {
        if (await evaluate(`Boolean(${ready})`).catch(() => false)) return;
        await new Promise((resolve) => { setTimeout(resolve, 20); });
      }
    };
    await load();
    return { evaluate, load, ask, close: () => send("Target.closeTarget", { targetId }) };
  };
  return { open, kill };
}
