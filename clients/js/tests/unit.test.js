// What no row of clients/conformance can say: bounds, stores that fail, listeners that are slow or throw.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { FileStore } from "../src/node/file-store.js";
import { Client, MemoryStore, uuid7 } from "../src/index.js";
import { uuidMs } from "../src/ids.js";
import { Known } from "../src/known.js";
import { OUTBOX_MAX } from "../src/outbox.js";
import { envelope } from "../src/shapes.js";
import { singleFlight } from "../src/tokens.js";
import { directory } from "./server.js";

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(is, what) {
  for (const endMs = Date.now() + 10_000; !is(); await sleep(5)) assert.ok(Date.now() < endMs, what);
}

/** A server that lets everyone in as user 1, or whom `userId` says; `pushes()` come behind it. */
async function server(t, { userId = "1", pushes = () => [] } = {}) {
  const wss = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  t.after(() => { for (const socket of wss.clients) socket.terminate(); wss.close(); });
  await new Promise((resolve) => { wss.once("listening", resolve); });
  const cursors = [];
  const sends = [];
  wss.on("connection", (socket) => socket.on("message", (data) => {
    const { id, connect, send } = JSON.parse(data);
    if (send) sends.push(send);
    if (!connect) return;
    cursors.push(connect.cursor);
    socket.send(JSON.stringify({ id, connect: { user_id: userId, session_id: "s", server_time_ms: Date.now(), ping_ms: 25_000, cursor: connect.cursor ?? "c0", retry: { base_ms: 10, cap_ms: 20 } } }));
    for (const push of pushes(connect.cursor ?? "c0")) socket.send(JSON.stringify({ push }));
  }));
  return { url: `ws://127.0.0.1:${wss.address().port}/connection/websocket`, cursors, sends };
}

function client(t, url, store = new MemoryStore()) {
  const made = new Client({ url, store, WebSocket, token: () => "t", tabs: false });
  t.after(() => made.stop());
  return made;
}

const message = (seq) => ({ message: { message: { channel_id: "7", seq, revision: 0, from: "2", sent_ms: seq, body: "x" }, cursor: `c${seq}` } });

test("the cursor is stored after listeners have taken an event, and not before", async (t) => {
  const { url } = await server(t, { pushes: () => [message(1), message(2)] });
  const store = new MemoryStore();
  const made = client(t, url, store);
  let release;
  made.on("message", ({ message: { seq } }) => (seq === 2 ? new Promise((resolve) => { release = resolve; }) : undefined));
  await made.start();
  await until(() => release && store.map.get("cursor") === "c1", "the first is taken");
  await sleep(50);
  assert.equal(store.map.get("cursor"), "c1");
  release();
  await until(() => store.map.get("cursor") === "c2", "the second is taken");
});

test("what a listener throws is told, and keeps neither other listeners nor later events", async (t) => {
  const { url } = await server(t, { pushes: () => [message(1), message(2)] });
  const made = client(t, url);
  const errors = [];
  const seqs = [];
  made.on("error", ({ error, during }) => errors.push(`${during}: ${error.message}`));
  made.on("message", () => { throw new Error("thrown"); });
  made.on("message", async () => { throw new Error("rejected"); });
  made.on("message", (event) => seqs.push(event.message.seq));
  await made.start();
  await until(() => seqs.length === 2, "both");
  assert.deepEqual(errors.toSorted(), ["message: rejected", "message: rejected", "message: thrown", "message: thrown"]);
});

test("a listener that does not keep up: the client leaves the node, and misses nothing", async (t) => {
  const count = 12_000;
  // A server that goes on from the cursor, as fast as it can.
  const { url, cursors } = await server(t, { pushes: (cursor) => Array.from({ length: count - Number(cursor.slice(1)) }, (_, at) => message(Number(cursor.slice(1)) + at + 1)) });
  const made = client(t, url);
  const seqs = [];
  let most = 0;
  let free;
  const held = new Promise((resolve) => { free = resolve; });
  made.on("message", async ({ message: { seq } }) => {
    most = Math.max(most, made.group.engine.backlog.length);
    seqs.push(seq);
    await held;
  });
  await made.start();
  await until(() => made.state.state === "waiting" || cursors.length > 1, "it has left");
  await sleep(100);
  assert.ok(made.group.engine.backlog.length <= 5001, `${made.group.engine.backlog.length} events wait`);
  free();
  await until(() => seqs.length >= count, "all");
  assert.deepEqual(seqs, Array.from({ length: count }, (_, at) => at + 1));
  assert.ok(most <= 5001, `${most} events waited`);
  assert.ok(cursors.length >= 2);
});

test("the outbox has a bound, and says so", async (t) => {
  const made = client(t, "ws://127.0.0.1:9/connection/websocket");
  await made.start();
  for (let at = 0; at < OUTBOX_MAX; at += 1) made.send("7", "x");
  const refused = made.send("7", "one more");
  await assert.rejects(refused.done, { name: "NotKept" });
  await assert.rejects(refused.kept, { name: "NotKept" });
  assert.equal(refused.state, "failed");
  assert.equal(made.outgoing().length, OUTBOX_MAX);
  // What was given up makes room.
  await made.outgoing()[0].cancel();
  await refused.retry();
  assert.equal(refused.state, "pending");
});

test("what the store does not take is not sent", async (t) => {
  const { url, sends } = await server(t);
  const store = new MemoryStore();
  const made = client(t, url, store);
  await made.start();
  await until(() => made.state.state === "live", "live");
  const put = store.put.bind(store);
  store.put = async (key, value) => { if (key.startsWith("outbox/")) throw new Error("the disk is full"); return put(key, value); };
  const failed = made.send("7", "lost?");
  await assert.rejects(failed.done, { name: "NotKept" });
  store.put = put;
  made.send("7", "kept");
  await until(() => sends.length > 0, "sent");
  assert.deepEqual(sends.map(({ body }) => body), ["kept"]);
});

test("a store of another account is not used", async (t) => {
  const first = await server(t);
  const store = new MemoryStore();
  const one = client(t, first.url, store);
  await one.start();
  await until(() => one.state.state === "live", "live");
  one.send("7", "of user 1");
  await one.stop();
  const second = await server(t, { userId: "2" });
  const two = client(t, second.url, store);
  await two.start();
  await until(() => two.state.state === "ended", "ended");
  assert.match(two.state.reason, /give each account a store/u);
  await sleep(50);
  assert.deepEqual(second.sends, []);
  assert.equal(two.outgoing().length, 1);
});

test("a client that is not started, and calls after it was stopped", async (t) => {
  const { url } = await server(t);
  const made = client(t, url);
  await assert.rejects(made.history("7"), { name: "Gone" });
  await made.start();
  await made.start();
  await until(() => made.state.state === "live", "live");
  await made.stop();
  await made.stop();
  await assert.rejects(made.history("7"), { name: "Gone" });
  await made.start();
  await until(() => made.state.state === "live", "live again");
});

test("a program that has stopped its client ends, whatever pause it was in", async (t) => {
  const wss = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  t.after(() => { for (const socket of wss.clients) socket.terminate(); wss.close(); });
  await once(wss, "listening");
  const asked = new Set();
  wss.on("connection", (socket) => socket.on("message", (data) => {
    const { id, ...command } = JSON.parse(data);
    const [name] = Object.keys(command);
    asked.add(name);
    if (name !== "connect") return socket.send(JSON.stringify({ id, error: { code: 115, message: "later", temporary: true, retry_after_ms: 60_000 } }));
    socket.send(JSON.stringify({ id, connect: { user_id: "1", session_id: "s", server_time_ms: Date.now(), ping_ms: 25_000, cursor: "c0" } }));
    return socket.send(JSON.stringify({ push: { drain: { jitter_ms: 3_600_000 } } }));
  }));
  const program = `
    import { Client, MemoryStore } from ${JSON.stringify(new URL("../src/index.js", import.meta.url))};
    import { WebSocket } from "ws";
    const store = new MemoryStore();
    const client = new Client({ url: "ws://127.0.0.1:${wss.address().port}/", store, WebSocket, token: () => "t", tabs: false });
    const isLive = new Promise((resolve) => client.on("state", ({ state }) => { if (state === "live") resolve(); }));
    await client.start();
    await isLive;
    client.send("7", "x");
    client.mark("7", 1);
    await Promise.allSettled([client.watch(["2"]), client.open("7")]);
    await client.stop();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { cwd: new URL(".", import.meta.url), stdio: ["ignore", "inherit", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const code = await Promise.race([once(child, "exit").then(([exit]) => exit), sleep(8000).then(() => "it goes on")]);
  assert.deepEqual([code, [...asked].sort()], [0, ["connect", "mark", "open", "presence_watch", "send"]]);
});

test("what was told is remembered within bounds", () => {
  const known = new Known();
  for (let channel = 0; channel < 1000; channel += 1) {
    for (let seq = 1; seq <= 300; seq += 1) known.takes("message", message(seq).message.message && { message: { channel_id: String(channel), seq, revision: 0 } });
  }
  assert.equal(known.channels.map.size, 200);
  for (const { revisions } of known.channels.map.values()) assert.ok(revisions.map.size <= 200);
});

test("a tab that follows and does not keep up starts anew when it has", async () => {
  const made = new Client({ url: "ws://127.0.0.1:9/", store: new MemoryStore(), WebSocket, token: () => "t" });
  const told = [];
  let free;
  const held = new Promise((resolve) => { free = resolve; });
  made.on("message", async () => { told.push("message"); await held; });
  made.on("lost", () => told.push("lost"));
  for (let seq = 1; seq <= 6000; seq += 1) made.followed("message", message(seq).message);
  made.followed("outgoing", { state: "pending", id: "x", command: "send", fields: { channel_id: "7" } });
  assert.ok(made.behind <= 5001, `${made.behind} wait`);
  free();
  await until(() => told.includes("lost"), "lost");
  assert.equal(told.length, 5001);
  assert.equal(made.outgoing().length, 1);
  // What is told then is told again, whatever was told before.
  made.followed("message", message(5).message);
  await until(() => told.length === 5002, "told again");
});

test("a store that cannot be read, and one with something else in it", async (t) => {
  const { url, sends } = await server(t);
  const store = new MemoryStore();
  const made = client(t, url, store);
  const keys = store.keys.bind(store);
  store.keys = async () => { throw new Error("it is locked"); };
  await assert.rejects(made.start(), /it is locked/u);
  store.keys = keys;
  store.map.set("outbox/000000000003", null).set("outbox/000000000004", { id: 7 }).set("cursor", { no: "text" });
  const errors = [];
  made.on("error", ({ error }) => errors.push(error.name));
  await made.start();
  await until(() => made.state.state === "live", "live");
  assert.deepEqual([errors, made.outgoing()], [["BadInput", "BadInput"], []]);
  await made.send("7", "x").kept;
  assert.deepEqual(await store.keys("outbox/"), ["outbox/000000000003", "outbox/000000000004", "outbox/000000000005"]);
  await until(() => sends.length === 1, "sent");
});

test("a token is asked for once, however many want one", async () => {
  const asked = [];
  const token = singleFlight(async ({ fresh }) => { asked.push(fresh); await sleep(5); return `t${asked.length}`; });
  const got = await Promise.all([token({ fresh: true }), token({ fresh: false }), token({ fresh: true })]);
  assert.deepEqual([got, asked], [["t1", "t1", "t1"], [true]]);
  assert.equal(await token({ fresh: false }), "t2");
  await assert.rejects(singleFlight(() => "")({ fresh: false }), TypeError);
});

test("a pause that no server means is not taken at its word", () => {
  const pauses = ["1e15", "-5", "0.5", '"soon"', "null", "700"].map((pause) => envelope(`{"id":1,"error":{"code":114,"retry_after_ms":${pause}}}`).error.retry_after_ms);
  assert.deepEqual(pauses, [3_600_000, 0, 0, 0, 0, 700]);
});

test("an id has the time that it was made at", () => {
  assert.equal(uuidMs(uuid7(1_767_225_600_123)), 1_767_225_600_123);
});

test("a store in a directory: what was put is there for the next one, in order", async () => {
  const path = directory();
  const store = new FileStore(path);
  await Promise.all([...Array.from({ length: 20 }, (_, at) => store.put("cursor", `c${at}`)), store.put("outbox/2", { a: "ü" }), store.put("outbox/1", [1])]);
  await store.delete("outbox/none");
  const next = new FileStore(path);
  assert.deepEqual([await next.get("cursor"), await next.get("outbox/2"), await next.get("nothing"), await next.keys("outbox/")], ["c19", { a: "ü" }, undefined, ["outbox/1", "outbox/2"]]);
  await next.delete("outbox/1");
  assert.deepEqual(await next.keys(""), ["cursor", "outbox/2"]);
});
