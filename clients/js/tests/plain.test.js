// The client without WebSockets: event streams and polls, and how it comes to them and back.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { WebSocket } from "ws";
import { Account, Client, MemoryStore } from "../src/index.js";
import { noNode, startNode } from "./server.js";

const WAIT_MS = 60_000;
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(is, what) {
  for (const endMs = Date.now() + WAIT_MS; !(await is()); await sleep(20)) assert.ok(Date.now() < endMs, `${what} in ${WAIT_MS} ms`);
}

async function user(t, node, username, options) {
  const store = new MemoryStore();
  const account = new Account({ apiUrl: node.api, store });
  const { user_id: userId } = await account.signUp({ username, password: "correct horse battery" });
  const client = new Client({ apiUrl: node.api, choose: async () => options.url ?? node.url, store, WebSocket, token: account.token, ...options });
  t.after(() => client.stop());
  const seen = [];
  client.on("message", ({ message }) => seen.push(message.body));
  client.on("error", ({ error }) => t.diagnostic(String(error?.message)));
  await client.start();
  await until(() => client.state.state === "live", `${username} is live`);
  return { client, userId, seen };
}

/** A proxy before a node, which lets no WebSocket through until `asked.lets`, and with `noStreams` no event stream. Counts what it was asked. */
async function proxy(t, node, { noStreams = false } = {}) {
  const to = new URL(node.url.replace("ws:", "http:"));
  const asked = { upgrades: 0, streams: 0, polls: 0, lets: false };
  const server = createServer((from, answer) => {
    if (from.url.startsWith("/connection/sse")) {
      asked.streams += 1;
      if (noStreams) return void answer.writeHead(502).end("no");
    }
    if (from.url.startsWith("/connection/poll")) asked.polls += 1;
    const on = request({ host: to.hostname, port: to.port, path: from.url, method: from.method, headers: { ...from.headers, host: to.host } }, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    on.on("error", () => answer.destroy());
    answer.on("close", () => on.destroy());
    from.pipe(on);
    return undefined;
  });
  server.on("upgrade", ({ method, url, rawHeaders }, socket) => {
    asked.upgrades += 1;
    if (!asked.lets) return void socket.destroy();
    const node = connect(Number(to.port), to.hostname);
    const headers = rawHeaders.map((each, at) => (at % 2 ? `${each}\r\n` : `${each}: `)).join("");
    node.write(`${method} ${url} HTTP/1.1\r\n${headers}\r\n`);
    node.pipe(socket).pipe(node);
    for (const each of [node, socket]) each.on("error", () => { node.destroy(); socket.destroy(); });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { asked, url: `ws://127.0.0.1:${server.address().port}/connection/websocket` };
}

const numbers = (to) => Array.from({ length: to }, (_, at) => String(at + 1));

for (const transport of ["sse", "poll"]) {
  test(`two users chat by ${transport}, over kill -9 of the node`, { skip: noNode, timeout: 180_000 }, async (t) => {
    let node = await startNode(t);
    const options = { transports: [transport], WebSocket: undefined };
    const [ann, bob] = await Promise.all([user(t, node, "ann", options), user(t, node, "bob", options)]);
    const { channel_id: channelId } = await ann.client.api.createChannel({ kind: "group", title: "tea", member_ids: [bob.userId] });
    for (let at = 1; at <= 40; at += 1) {
      ann.client.send(channelId, String(at));
      if (at === 15) await node.kill();
      if (at === 25) node = await node.again();
      await sleep(5);
    }
    await until(() => bob.seen.length >= 40 && ann.client.outgoing().length === 0, "all of them");
    assert.deepEqual(bob.seen, numbers(40));
    assert.deepEqual((await bob.client.history(channelId, { limit: 200 })).messages.map(({ body }) => body), numbers(40));
    await assert.rejects(bob.client.history("1"), { name: "Refused", code: 102 });
  });

  test(`by ${transport} a large channel is followed after its last message, and users are watched`, { skip: noNode, timeout: 180_000 }, async (t) => {
    const node = await startNode(t);
    const [ann, bob] = await Promise.all([user(t, node, "ann", {}), user(t, node, "bob", { transports: [transport] })]);
    const { channel_id: channelId } = await ann.client.api.createChannel({ kind: "large", title: "hall", history: "all" });
    await ann.client.api.putMember(channelId, bob.userId);
    await ann.client.api.createChannel({ kind: "direct", user_id: bob.userId });
    await ann.client.send(channelId, "1").done;
    await ann.client.send(channelId, "2").done;
    const states = [];
    bob.client.on("presence", ({ entries }) => states.push(...entries.filter(({ user_id: id }) => id === ann.userId).map(({ state }) => state)));
    await bob.client.watch([ann.userId]);
    const opened = await bob.client.open(channelId, { afterSeq: 1 });
    assert.equal(opened.head_seq, 2);
    await until(() => bob.seen.includes("2"), "what was there");
    await ann.client.send(channelId, "3").done;
    await until(() => bob.seen.includes("3"), "what comes");
    assert.deepEqual(bob.seen, ["2", "3"]);
    await until(() => states.includes("online"), "ann is there");
    await bob.client.close(channelId);
    assert.equal(bob.client.state.state, "live");
  });
}

test("where no WebSocket comes through, event streams are used, and where none of these does, polls", { skip: noNode, timeout: 180_000 }, async (t) => {
  const node = await startNode(t);
  const streams = await proxy(t, node);
  const ann = await user(t, node, "ann", { url: streams.url });
  assert.deepEqual([streams.asked.upgrades, streams.asked.polls, streams.asked.streams >= 1], [3, 0, true]);
  const polls = await proxy(t, node, { noStreams: true });
  const bob = await user(t, node, "bob", { url: polls.url });
  assert.deepEqual([polls.asked.upgrades, polls.asked.streams, polls.asked.polls >= 1], [3, 3, true]);
  const { channel_id: channelId } = await ann.client.api.createChannel({ kind: "group", title: "tea", member_ids: [bob.userId] });
  await ann.client.send(channelId, "by a stream").done;
  await bob.client.send(channelId, "by polls").done;
  await until(() => bob.seen.length === 2 && ann.seen.length === 2, "both see both");
});

test("behind a proxy it is looked whether WebSockets come through by now, and until they do nothing is interrupted", { skip: noNode, timeout: 120_000 }, async (t) => {
  const node = await startNode(t);
  const through = await proxy(t, node);
  const ann = await user(t, node, "ann", { url: through.url });
  const { connection } = ann.client.group.engine;
  const states = [];
  ann.client.on("state", ({ state }) => states.push(state));
  // After a second and five.
  await until(() => through.asked.upgrades === 5, "two looks");
  assert.deepEqual([connection.level, through.asked.streams, states], [1, 1, []]);
  through.asked.lets = true;
  await until(() => connection.level === 0 && connection.live, "by a WebSocket");
  assert.equal(states.at(-1), "live");
  await assert.rejects(ann.client.history("1"), { name: "Refused", code: 102 });
});

test("a node that was down is no proxy: when it is back a WebSocket is used soon", { skip: noNode, timeout: 120_000 }, async (t) => {
  let node = await startNode(t);
  const ann = await user(t, node, "ann", {});
  const { connection } = ann.client.group.engine;
  await node.kill();
  await until(() => connection.level > 0, "other ways are tried");
  node = await node.again();
  await until(() => connection.live, "live again");
  const liveMs = Date.now();
  await until(() => connection.live && connection.level === 0, "by a WebSocket");
  assert.ok(Date.now() - liveMs < 12_000, `it took ${Date.now() - liveMs} ms`);
});
