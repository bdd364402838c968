// Debian's nginx before a node, by the example of `deploy/proxies` with its addresses: one that refuses WebSockets, as proxies of some
// networks do. It can be ended at once, which cuts all connections, and started anew at the same place.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, connect } from "node:net";
import { join } from "node:path";
import { directory } from "./server.js";

const EXAMPLE = new URL("../../../deploy/proxies/nginx.conf", import.meta.url);
const READY_MS = 20_000;
/** Debian has it where only the superuser's PATH looks. */
const PROGRAM = ["nginx", "/usr/sbin/nginx"].find((name) => spawnSync(name, ["-v"]).status === 0);

/** Why tests behind a proxy cannot run, or false. */
export const noNginx = PROGRAM ? false : "there is no nginx here";

/** A port that is free at the moment. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/**
 * Starts it on `port`. `cut()` ends it and starts it again; `log()` is a line for each request that is over, `STATUS METHOD PATH`. Killed
 * with the test.
 *
 * @param {import("node:test").TestContext} t
 * @param {{ port: number, api: string, ws: string }} where the node's own addresses
 */
export async function startNginxWithoutWebSockets(t, { port, api, ws }) {
  const own = directory();
  let site = readFileSync(EXAMPLE, "utf8");
  const replace = (from, to) => {
    if (!site.includes(from)) throw new Error(`${EXAMPLE.pathname} has no ${from}`);
    site = site.replace(from, to);
  };
  replace("server 127.0.0.1:8000;", `server ${new URL(api).host};`);
  replace("server 127.0.0.1:8001;", `server ${new URL(ws).host};`);
  replace("listen 80;", `listen 127.0.0.1:${port};`);
  replace("access_log off;", `access_log ${join(own, "access.log")} line;`);
  replace("    location / {", `    location = /connection/websocket {\n        access_log ${join(own, "access.log")} line;\n        return 403;\n    }\n\n    location / {`);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${join(own, kind)};`).join("\n");
  const config = join(own, "nginx.conf");
  writeFileSync(config, `${process.getuid() === 0 ? "user root;" : ""}
worker_processes 1;
pid ${join(own, "nginx.pid")};
error_log stderr crit;
events {}
http {
log_format line '$status $request_method $uri';
access_log off;
${temporary}
${site}}
`);

  let child;
  let ended;
  const start = async () => {
    child = spawn(PROGRAM, ["-c", config, "-g", "daemon off;"], { stdio: ["ignore", "ignore", "inherit"] });
    ended = once(child, "exit");
    for (const endMs = Date.now() + READY_MS; !(await listens(port));) {
      if (child.exitCode !== null || Date.now() > endMs) throw new Error(`nginx does not listen on ${port}`);
      await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
  };
  // At once, not when its connections have ended.
  const end = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  await start();
  t.after(end);
  return {
    cut: async () => { await end(); await start(); },
    log: () => readFileSync(join(own, "access.log"), "utf8").split("\n").filter(Boolean),
  };
}

/** @param {number} port */
const listens = (port) => new Promise((resolve) => {
  const socket = connect(port, "127.0.0.1");
  socket.once("connect", () => { socket.destroy(); resolve(true); });
  socket.once("error", () => resolve(false));
});
