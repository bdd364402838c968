// Real nodes for tests: the program, on free ports, with a directory of its own.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BINARY = process.env.ROOKERY_BINARY ?? fileURLToPath(new URL("../../../target/debug/rookery", import.meta.url));
const READY_MS = 60_000;

/** Why tests of real nodes cannot run, or false. */
export const noNode = existsSync(BINARY) ? false : `there is no ${BINARY}: cargo build -p gateway, or ROOKERY_BINARY`;
const besides = (name) => join(dirname(BINARY), name);
/** Why tests of a cluster cannot run, or false. */
export const noCluster = noNode || (existsSync(besides("fdb-standin")) ? false : `there is no ${besides("fdb-standin")}: cargo build -p standin`);

/** The environment without anybody's configuration of a node. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ROOKERY_")));

/** A temporary directory, which goes when all who might write to it are gone. */
export function directory() {
  const path = mkdtempSync(join(tmpdir(), "rookery-js-"));
  process.once("exit", () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

/** Starts a program and waits for what `ready` makes of one of its lines. Killed with the test. */
async function run(t, program, args, ready) {
  const child = spawn(program, args, { env, stdio: ["ignore", "pipe", process.env.ROOKERY_LOG_SHOWN ? "inherit" : "ignore"] });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const got = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => { const found = ready(line); if (found) resolve(found); });
    ended.then(() => reject(new Error(`${program} ended before it was ready`)));
    setTimeout(() => reject(new Error(`${program} was not ready in time`)), READY_MS).unref();
  });
  return { child, ended, found: await got };
}

/**
 * A node. `kill()` is kill -9 and resolves when it is gone; `again()` starts it with the same data and addresses.
 *
 * @param {import("node:test").TestContext} t
 */
export async function startNode(t, { data = directory(), extra = [], at = { api: "127.0.0.1:0", ws: "127.0.0.1:0" } } = {}) {
  const args = ["run", "--shards", "1", "--api", at.api, "--ws", at.ws, "--internal", "127.0.0.1:0", "--data", data, ...extra];
  const { child, ended, found } = await run(t, BINARY, args, (line) => /^ready api=(\S+) ws=(\S+) internal=(\S+)/u.exec(line));
  const [, api, ws, internal] = found;
  const kill = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  const again = () => startNode(t, { data, extra, at: { api: new URL(api).host, ws: new URL(ws).host } });
  return { api, ws, internal, url: `${ws}/connection/websocket`.replace(/(\/connection\/websocket){2}$/u, "$1"), kill, again };
}

/** Makes an application with the rights of a backend; its `Authorization`. */
export function backendOf(node) {
  const args = ["app", "create", "shop", "--server", "--internal", new URL(node.internal).host];
  const { stdout, stderr, status } = spawnSync(BINARY, args, { env, encoding: "utf8" });
  const word = (name) => new RegExp(`^${name}\\s+(\\S+)$`, "mu").exec(stdout)?.[1];
  if (status !== 0 || !word("secret")) throw new Error(`no application: ${stdout}${stderr}`);
  return `Basic ${btoa(`${word("key")}:${word("secret")}`)}`;
}

/** What a backend asks; it must be taken. */
export async function askAsBackend(node, authorization, method, path, body) {
  const answer = await fetch(node.api + path, { method, headers: { authorization, "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
}

/** Nodes of one cluster, by their names. */
export async function startCluster(t, names) {
  const place = directory();
  const clusterFile = join(place, "fdb.cluster");
  spawnStore(t, clusterFile);
  for (let waited = 0; !existsSync(clusterFile); waited += 20) {
    if (waited > READY_MS) throw new Error("the store was not ready in time");
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
  for (const [name, byte] of [["token.key", 7], ["cluster.secret", 9]]) writeFileSync(join(place, name), new Uint8Array(32).fill(byte), { mode: 0o600 });
  const extra = (name) => [
    "--node.name", name, "--links", "127.0.0.1:0", "--cluster.secret_file", join(place, "cluster.secret"), "--auth.key_file", join(place, "token.key"),
    "--store.engine", "foundationdb", "--store.cluster_file", clusterFile, "--store.client_library", besides("libfdb_c.so"),
  ];
  return Promise.all(names.map((name) => {
    const data = join(place, name);
    mkdirSync(data);
    return startNode(t, { data, extra: extra(name) });
  }));
}

function spawnStore(t, clusterFile) {
  const child = spawn(besides("fdb-standin"), ["--listen", "127.0.0.1:0", "--cluster-file", clusterFile], { env, stdio: "ignore" });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
}
