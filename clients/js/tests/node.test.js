// The client against the program itself: what is sent is there, once and in order, whoever dies meanwhile.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { Account, Client, MemoryStore } from "../src/index.js";
import { askAsBackend, backendOf, directory, noCluster, noNode, startCluster, startNode } from "./server.js";

const SENDER = fileURLToPath(new URL("sender.js", import.meta.url));
const WAIT_MS = 60_000;

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(is, what) {
  for (const endMs = Date.now() + WAIT_MS; !(await is()); await sleep(20)) assert.ok(Date.now() < endMs, `${what} in ${WAIT_MS} ms`);
}

/** A user with a client that is live: `{client, account, userId, seen}`, `seen` the messages it was told. */
async function user(t, nodes, username, options = {}) {
  const store = options.store ?? new MemoryStore();
  const account = new Account({ apiUrl: nodes.map(({ api }) => api), store });
  const { user_id: userId } = await account.signUp({ username, password: "correct horse battery" });
  const client = new Client({ apiUrl: nodes.map(({ api }) => api), url: nodes.map(({ url }) => url), store, WebSocket, token: account.token });
  t.after(() => client.stop());
  const seen = [];
  client.on("message", ({ message }) => seen.push(message));
  await client.start();
  await until(() => client.state.state === "live", `${username} is live`);
  return { client, account, userId, seen };
}

async function group(owner, ...others) {
  const { channel_id: channelId } = await owner.client.api.createChannel({ kind: "group", title: "tea", member_ids: others.map(({ userId }) => userId) });
  return channelId;
}

/** All bodies of a channel, in order, as the server has them. */
async function history(client, channelId) {
  const bodies = [];
  for (let after = 0, more = true; more;) {
    const page = await client.history(channelId, { after, limit: 200 });
    bodies.push(...page.messages.map(({ body }) => body));
    after = page.messages.at(-1)?.seq ?? after;
    more = page.more;
  }
  return bodies;
}

const numbers = (to) => Array.from({ length: to }, (_, at) => String(at + 1));

test("the example of the README chats", { skip: noNode, timeout: 120_000 }, async (t) => {
  const node = await startNode(t);
  const [ann, bob] = await Promise.all([user(t, [node], "ann"), user(t, [node], "bob")]);
  const channelId = await group(ann, bob);
  const example = fileURLToPath(new URL("../examples/chat.js", import.meta.url));
  const child = spawn(process.execPath, [example, node.api, "ann", "correct horse battery", channelId], { cwd: directory(), stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  let said = "";
  child.stdout.on("data", (data) => { said += data; });
  child.stdin.write("hello\n");
  await until(() => bob.seen.length === 1 && said.includes(`1 <${ann.userId}> hello`), "what ann wrote");
  await bob.client.send(channelId, "hello ann").done;
  await until(() => said.includes(`2 <${bob.userId}> hello ann`), "what bob wrote");
  child.stdin.end();
  await once(child, "exit");
});

/** A sender's process, whose lines are counted. */
function sender(t, options) {
  const child = spawn(process.execPath, [SENDER, JSON.stringify(options)], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const said = { kept: 0, sent: 0 };
  createInterface({ input: child.stdout }).on("line", (line) => {
    const [word, number] = line.split(" ");
    if (word in said) said[word] = Number(number);
    else t.diagnostic(line);
  });
  const kill = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  t.after(kill);
  return { said, kill };
}

test("two users chat, edit, react, read and search", { skip: noNode, timeout: 120_000 }, async (t) => {
  const node = await startNode(t);
  const [ann, bob] = await Promise.all([user(t, [node], "ann"), user(t, [node], "bob")]);
  const told = [];
  for (const kind of ["edited", "deleted", "reaction", "read", "typing", "presence", "membership", "published"]) bob.client.on(kind, (detail) => told.push([kind, detail]));
  const was = (kind, fits) => until(() => told.some(([name, detail]) => name === kind && fits(detail)), kind);
  const channelId = await group(ann, bob);
  await was("membership", ({ change }) => ["created", "added"].includes(change));
  const first = ann.client.send(channelId, "the kettle is on");
  const { seq } = await first.done;
  assert.equal(first.state, "sent");
  await until(() => bob.seen.length === 1, "bob's message");
  assert.deepEqual([bob.seen[0].body, bob.seen[0].seq, bob.seen[0].from, bob.seen[0].client_msg_id], ["the kettle is on", seq, ann.userId, first.clientMsgId]);
  await ann.client.edit(bob.seen[0], "the kettle is off").done;
  await was("edited", ({ message }) => message.body === "the kettle is off" && message.revision === 1);
  await ann.client.react({ channel_id: channelId, seq }, "👍").done;
  await was("reaction", ({ emoji, count }) => emoji.startsWith("👍") && count === 1);
  await assert.rejects(bob.client.edit(bob.seen[0], "mine now").done, { name: "Refused", code: 103 });
  await bob.client.open(channelId);
  await ann.client.mark(channelId, seq);
  await ann.client.typing(channelId);
  await was("typing", ({ user_id }) => user_id === ann.userId);
  await bob.client.watch([ann.userId]);
  const said = { event: "poll.moved", data: "{\"tea\":3}" };
  await askAsBackend(node, backendOf(node), "POST", `/v1/server/channels/${channelId}/publish`, said);
  await was("published", (detail) => assert.deepEqual(detail, { channel_id: channelId, ...said }) === undefined);
  await until(async () => (await bob.client.search("kettle")).hits.length === 1, "the hit");
  await ann.client.delete({ channel_id: channelId, seq }).done;
  await was("deleted", (detail) => detail.seq === seq);
  assert.deepEqual((await bob.client.api.allChannels()).map((channel) => channel.channel_id), [channelId]);
});

test("kill -9 of the node: what was sent meanwhile is there, once and in order", { skip: noNode, timeout: 180_000 }, async (t) => {
  let node = await startNode(t);
  const [ann, bob] = await Promise.all([user(t, [node], "ann"), user(t, [node], "bob")]);
  const channelId = await group(ann, bob);
  const count = 150;
  for (let at = 1; at <= count; at += 1) {
    ann.client.send(channelId, String(at));
    // Killed with messages under way, twice; some are sent while there is no node at all.
    if (at === 50 || at === 100) await node.kill();
    if (at === 70 || at === 120) node = await node.again();
    await sleep(3);
  }
  await until(() => bob.seen.length >= count, "all of them");
  await until(() => ann.client.outgoing().length === 0, "all answers");
  assert.deepEqual(bob.seen.map(({ body }) => body), numbers(count));
  assert.deepEqual(await history(bob.client, channelId), numbers(count));
  assert.deepEqual(bob.seen.map(({ seq }) => seq), numbers(count).map(Number));
});

test("kill -9 of the client and of the node: what its store took is there, once and in order", { skip: noNode, timeout: 180_000 }, async (t) => {
  let node = await startNode(t);
  const [ann, bob] = await Promise.all([user(t, [node], "ann"), user(t, [node], "bob")]);
  const channelId = await group(ann, bob);
  const token = await ann.account.token({ fresh: false });
  const options = { urls: [node.url], store: directory(), token, channelId };
  let kept = 0;
  for (const dies of ["client", "client", "node", "both", "client"]) {
    const { said, kill } = sender(t, { ...options, from: kept + 1, to: 10_000 });
    const before = kept;
    await until(() => said.kept >= before + 40, `40 more before the end of the ${dies}`);
    if (dies !== "client") await node.kill();
    if (dies === "node") await sleep(300);
    await kill();
    if (dies !== "client") node = await node.again();
    kept = said.kept;
  }
  const last = sender(t, { ...options, from: kept + 1, to: kept + 10 });
  await until(() => last.said.sent === kept + 10, "the last ones");
  assert.deepEqual(await history(bob.client, channelId), numbers(kept + 10));
  await until(() => bob.seen.length >= kept + 10, "bob is told of all");
  assert.deepEqual(bob.seen.map(({ body }) => body), numbers(kept + 10));
});

test("takeover: a node dies for good, and what was sent meanwhile is at the other one, once and in order", { skip: noCluster, timeout: 240_000 }, async (t) => {
  const nodes = await startCluster(t, ["one", "two"]);
  const [ann, bob] = await Promise.all([user(t, nodes, "ann"), user(t, nodes, "bob")]);
  const channelId = await group(ann, bob);
  const count = 200;
  for (let number = 1; number <= count; number += 1) {
    ann.client.send(channelId, String(number));
    // Whichever holds the sender's connection; the channel is either's.
    if (number === 80) await nodes.find(({ url }) => url === ann.client.state.url).kill();
    await sleep(5);
  }
  await until(() => bob.seen.length >= count, "all of them");
  await until(() => ann.client.outgoing().length === 0, "all answers");
  assert.deepEqual(bob.seen.map(({ body }) => body), numbers(count));
  assert.deepEqual(await history(bob.client, channelId), numbers(count));
});
