// Tabs of one device without a browser: over a Web Locks API that is made here, of which Node has none.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { Client, MemoryStore } from "../src/index.js";
import { Tabs } from "../src/tabs.js";

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(is, what) {
  for (const endMs = Date.now() + 10_000; !is(); await sleep(5)) assert.ok(Date.now() < endMs, what);
}

/** Exclusive locks, given in the order in which they were asked for. */
class Locks {
  queues = new Map();

  async request(name, ...rest) {
    const act = rest.pop();
    const before = this.queues.get(name) ?? Promise.resolve();
    let release;
    this.queues.set(name, new Promise((resolve) => { release = resolve; }));
    const { signal } = rest[0] ?? {};
    const aborted = new Promise((_, reject) => { signal?.addEventListener("abort", () => reject(signal.reason)); });
    aborted.catch(() => {});
    try {
      await Promise.race([before, aborted]);
      return await act();
    } finally {
      before.then(release);
    }
  }

  async query() {
    return { held: [...this.queues.keys()].map((name) => ({ name })) };
  }
}

const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
Object.defineProperty(globalThis, "navigator", { value: { locks: new Locks() }, configurable: true });
after(() => { if (before) Object.defineProperty(globalThis, "navigator", before); else delete globalThis.navigator; });

/** A server whose answers to `connect` are `welcome(connect)`; it says more by `sockets`. */
async function server(t, welcome = () => ({})) {
  const wss = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  t.after(() => { for (const socket of wss.clients) socket.terminate(); wss.close(); });
  await new Promise((resolve) => { wss.once("listening", resolve); });
  const said = [];
  wss.on("connection", (socket) => socket.on("message", (data) => {
    const { id, ...command } = JSON.parse(data);
    said.push(command);
    const [name] = Object.keys(command);
    const connected = { user_id: "1", session_id: "s", server_time_ms: Date.now(), ping_ms: 25_000, cursor: "c0", retry: { base_ms: 10, cap_ms: 20 } };
    const answer = name === "connect" ? welcome(command.connect) : {};
    socket.send(JSON.stringify(answer.error ? { id, ...answer } : { id, [name]: name === "connect" ? { ...connected, ...answer } : { head_seq: 5, read_seq: 0, online: 1 } }));
  }));
  const push = (what) => { for (const socket of wss.clients) socket.send(JSON.stringify({ push: what })); };
  const cut = () => { for (const socket of wss.clients) socket.terminate(); };
  return { url: `ws://127.0.0.1:${wss.address().port}/connection/websocket`, said, push, cut };
}

/** A tab: its client, started, and what it was told. */
async function tab(t, options) {
  const client = new Client({ WebSocket, token: () => "t", ...options });
  t.after(() => client.stop());
  const told = [];
  client.on("message", ({ message: { seq } }) => { told.push(seq); });
  client.on("snapshot", () => { told.push("snapshot"); });
  client.on("lost", () => { told.push("lost"); });
  await client.start();
  return { client, told };
}

const message = (seq, { cursor = `c${seq}`, body = "x" } = {}) => ({ message: { message: { channel_id: "7", seq, revision: 0, from: "2", sent_ms: seq, body }, ...(cursor && { cursor }) } });

test("two tabs that start at once over a new store are one device", async (t) => {
  const { url, said } = await server(t);
  const store = new MemoryStore();
  const tabs = await Promise.all([tab(t, { url, store }), tab(t, { url, store })]);
  await until(() => tabs.every(({ client }) => client.state.state === "live"), "both live");
  assert.equal(tabs[0].client.deviceId, tabs[1].client.deviceId);
  assert.equal(await store.get("device"), tabs[0].client.deviceId);
  assert.equal(said.filter(({ connect }) => connect).length, 1);
});

/** What both tabs are told when a server says message 1, `then`, and message 1 again. */
async function check(t, then, expected) {
  let isOther = false;
  const { url, said, push, cut } = await server(t, ({ cursor }) => (isOther && cursor ? { error: { code: 112, message: "of another store", temporary: false } } : {}));
  const store = new MemoryStore();
  store.map.set("device", `of ${then}`);
  const tabs = [await tab(t, { url, store })];
  await until(() => tabs[0].client.state.state === "live", "live");
  tabs.push(await tab(t, { url, store }));
  await until(() => tabs[1].told.includes("lost"), "it follows");
  await tabs[1].client.open("7", { afterSeq: 5 });
  push(message(1));
  await until(() => tabs.every(({ told }) => told.includes(1)), "message 1");
  for (const { told } of tabs) told.length = 0;
  if (then === "snapshot") push({ snapshot: { channels: [], more: false, cursor: "c2" } });
  if (then === "another store") {
    isOther = true;
    said.length = 0;
    cut();
    await until(() => said.some(({ open }) => open), "there is another store");
  }
  push(message(1, { cursor: "c3" }));
  await sleep(100);
  assert.deepEqual(tabs.map(({ told }) => told.join(" ")), [expected, expected], then);
  return tabs;
}

test("what is to be dropped is told again, to the tabs that follow too", async (t) => {
  await check(t, "nothing", "");
  await check(t, "snapshot", "snapshot 1");
  await check(t, "another store", "lost 1");
});

test("of another store's server the next tab that leads opens a channel after what was told of that server", async (t) => {
  const tabs = await check(t, "another store", "lost 1");
  assert.equal(tabs[1].client.opened.get("7"), undefined);
});

test("a tab that starts again while it ends is heard, and told what it missed", async () => {
  const said = [];
  let free;
  const held = new Promise((resolve) => { free = resolve; });
  const engine = { state: { state: "live" }, outgoing: () => [], tabs: new Map(), stop: () => held };
  const group = new Tabs({ name: "again", tab: "one", lead: async () => engine, follow: () => {}, event: (name) => said.push(name), bad: (error) => said.push(String(error)) });
  await group.start();
  await until(() => group.engine, "it leads");
  const ending = group.stop();
  await group.start();
  free();
  await ending;
  assert.ok(group.channel, "it has a channel");
  await until(() => group.engine, "it leads again");
  const other = new BroadcastChannel("rookery/again");
  const heard = new Promise((resolve) => { other.onmessage = ({ data }) => resolve(data); });
  other.postMessage({ hello: "two" });
  assert.equal((await Promise.race([heard, sleep(2000)]))?.leading, "one");
  other.close();
  await group.stop();
  assert.deepEqual(said, []);
});
