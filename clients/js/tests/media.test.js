// Uploads, URLs of attachments and the feed against a server with faults, and messages whose files wait.

import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { Api, Client, MemoryStore } from "../src/index.js";
import { PART_BYTES, WHOLE_BYTES_MAX } from "../src/upload.js";
import { startFake } from "./fake-media.js";

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(is, what) {
  for (const endMs = Date.now() + 15_000; !(await is()); await sleep(5)) assert.ok(Date.now() < endMs, what);
}

/** A file of `bytes`, no two parts of which are alike. */
function file(bytes, name = "a.bin", type = "image/png") {
  const content = Buffer.alloc(bytes, name);
  for (let at = 0; at < bytes; at += 4096) content[at] = (at / 4096) & 255;
  return new File([content], name, { type });
}
const apiOf = (url) => new Api({ url, token: () => "t" });

/** Uploads a file of so many bytes; what was asked for, numbers of media left out. */
async function check(t, bytes, options, expected) {
  const fake = await startFake(t, options);
  const upload = apiOf(fake.url).media.upload(file(bytes));
  const attachment = await upload.done;
  assert.equal(attachment.bytes, bytes);
  assert.equal(upload.sentBytes, bytes);
  const stored = [...fake.uploads.values()].at(-1)?.bytes;
  if (stored) assert.ok(stored.equals(Buffer.from(await upload.file.arrayBuffer())), "the same bytes");
  assert.deepEqual(fake.did.map((line) => line.replace(/\d{3,}(?= )/u, "ID")).join(", "), expected);
}

/** Answers the nth request that fits once with a fault. */
const once = (pattern, fault) => {
  let isOver = false;
  return ({ method, url }) => {
    if (isOver || !pattern.test(`${method} ${url}`)) return undefined;
    isOver = true;
    return fault;
  };
};

test("a small file goes in one request, a larger one in parts", async (t) => {
  await check(t, 10, {}, "POST /v1/media 201");
  await check(t, 0, {}, "POST /v1/media 201");
  await check(t, WHOLE_BYTES_MAX, {}, "POST /v1/media 201");
  const parts = "POST /v1/media/uploads 201, PATCH /v1/media/uploads/ID 204";
  await check(t, WHOLE_BYTES_MAX + 1, {}, `${parts}, GET /v1/media/ID 200`);
  await check(t, PART_BYTES + 1, {}, `${parts}, PATCH /v1/media/uploads/ID 204, GET /v1/media/ID 200`);
  await check(t, PART_BYTES, { readyAfter: 1 }, `${parts}, GET /v1/media/ID 409, GET /v1/media/ID 200`);
});

test("what breaks goes on from where the server is", async (t) => {
  await check(t, 10, { faults: once(/^POST/u, "cut") }, "POST /v1/media cut, POST /v1/media 201");
  await check(t, 10, { faults: once(/^POST/u, 503) }, "POST /v1/media 503, POST /v1/media 201");
  await check(t, 10, { faults: once(/^POST/u, 429) }, "POST /v1/media 429, POST /v1/media 201");
  // A token that has expired is renewed, and costs no pause.
  await check(t, 10, { faults: once(/^POST/u, 401) }, "POST /v1/media 401, POST /v1/media 201");
  const id = "/v1/media/uploads/ID";
  const made = "POST /v1/media/uploads 201";
  await check(t, PART_BYTES + 1, { faults: once(/^PATCH/u, 503) }, `${made}, PATCH ${id} 503, HEAD ${id} 200, PATCH ${id} 204, PATCH ${id} 204, GET /v1/media/ID 200`);
  // The server has forgotten it.
  const forgets = (request, did) => {
    if (request.method === "HEAD") return 404;
    return request.method === "PATCH" && !did.some((line) => line.startsWith("PATCH")) ? 503 : undefined;
  };
  await check(t, PART_BYTES, { faults: forgets }, `${made}, PATCH ${id} 503, HEAD ${id} 404, ${made}, PATCH ${id} 204, GET /v1/media/ID 200`);
});

test("what is whole at the server, whose answer was lost, is not sent again, however long it is by now", async (t) => {
  const fake = await startFake(t);
  fake.faults = ({ method }) => (method === "GET" && !fake.did.some((line) => line.startsWith("GET")) ? 503 : undefined);
  const upload = apiOf(fake.url).media.upload(file(PART_BYTES), {
    changed: ({ state }) => { if (state === "waiting") for (const each of fake.uploads.values()) Object.assign(each, { bytes: Buffer.from("less"), length: 4 }); },
  });
  assert.equal((await upload.done).bytes, 4);
  assert.deepEqual(fake.did.map((line) => line.split(" ").at(0)), ["POST", "PATCH", "GET", "HEAD", "GET"]);
});

test("an upload that is refused has failed, and can be tried again", async (t) => {
  const fake = await startFake(t, { faults: () => 413 });
  const states = [];
  const upload = apiOf(fake.url).media.upload(file(10), { changed: ({ state }) => { if (states.at(-1) !== state) states.push(state); } });
  await assert.rejects(upload.done, { name: "Problem", status: 413 });
  assert.equal(upload.state, "failed");
  fake.faults = () => undefined;
  upload.retry();
  assert.equal((await upload.done).bytes, 10);
  assert.deepEqual(states, ["sending", "failed", "waiting", "sending", "done"]);
});

test("a cancelled upload leaves nothing, and makes room for the next", async (t) => {
  let free;
  const held = new Promise((resolve) => { free = resolve; });
  const fake = await startFake(t);
  const { media } = apiOf(fake.url);
  const told = [];
  const changed = (upload) => { told.push(upload.sentBytes); if (upload.sentBytes >= PART_BYTES) free(); };
  const first = media.upload(file(3 * PART_BYTES), { changed });
  await held;
  first.cancel();
  await assert.rejects(first.done, { name: "NotKept" });
  await until(() => fake.uploads.size === 0, "the server was told");
  const rest = Array.from({ length: 5 }, (_, at) => media.upload(file(10 + at)));
  rest[3].cancel();
  assert.equal(media.running, 2);
  const ended = await Promise.allSettled(rest.map(({ done }) => done));
  assert.deepEqual(ended.map(({ status }) => status), ["fulfilled", "fulfilled", "fulfilled", "rejected", "fulfilled"]);
  assert.equal(fake.did.filter((line) => line === "POST /v1/media 201").length, 4);
});

test("a picture that stands for a video is uploaded first, however many videos wait for theirs", async (t) => {
  const fake = await startFake(t);
  const { media } = apiOf(fake.url);
  const film = (name, bytes) => media.upload(file(bytes, name, "video/webm"), { poster: () => media.upload(file(bytes + 1, `${name}.jpg`), { now: true }).done.then(({ media_id }) => media_id) });
  await Promise.all([film("a", 10), film("b", 11), film("c", WHOLE_BYTES_MAX + 5)].map(({ done }) => done));
  assert.deepEqual(fake.posters.map(Number).map((id) => fake.media.get(String(id)).name).sort(), ["a.jpg", "b.jpg", "c.jpg"]);
});

test("URLs are asked for together, are kept while they hold, and then asked for again", async (t) => {
  const fake = await startFake(t);
  const { media } = apiOf(fake.url);
  const message = (channel_id, seq) => ({ channel_id, seq, media: [{ media_id: String(1000 + seq) }] });
  const all = await Promise.all([...Array.from({ length: 150 }, (_, at) => message("7", at + 1)), message("8", 1)].map((each) => media.urls(each)));
  assert.deepEqual(fake.asked.map(({ channel_id, seqs }) => [channel_id, seqs.length]).sort(), [["7", 100], ["7", 50], ["8", 1]].sort());
  assert.match(all[0]["1001"].original, /^http:\/\/127\.0\.0\.1:\d+\/v1\/media\/1001\/original/u);
  await media.urls(message("7", 5));
  assert.equal(fake.asked.length, 3, "it was known");
  await media.urls(message("7", 5), { fresh: true });
  assert.equal(fake.asked.length, 4);
  // Those that expire soon are not given out.
  fake.expiresMs = Date.now() + 30_000;
  await media.urls(message("7", 200));
  assert.equal(media.knownUrls("1200"), undefined);
  fake.expiresMs = undefined;
  await media.urls(message("7", 200));
  assert.ok(media.knownUrls("1200"));
  // Of posts they say by themselves when that is.
  const inS = (seconds) => ({ original: `/x?expires=${Math.floor(Date.now() / 1000) + seconds}` });
  media.take([{ media_id: "1", urls: inS(3600) }, { media_id: "2", urls: inS(30) }, { media_id: "3" }]);
  assert.deepEqual(["1", "2", "3"].map((id) => Boolean(media.knownUrls(id))), [true, false, false]);
  fake.faults = () => 403;
  await assert.rejects(media.urls(message("9", 999)), { status: 403 });
});

test("what is asked of the feed", async (t) => {
  const fake = await startFake(t);
  const { feed } = apiOf(fake.url);
  fake.answer = (line) => ({ posts: [{ media: [{ media_id: "5", urls: { original: "/o?expires=99999999999" } }] }], replies: [], line });
  const check = async (asked, expected, body) => {
    await asked;
    const { line, body: sent } = fake.posts.at(-1);
    assert.equal(line, expected);
    if (sent?.client_post_id) assert.match(sent.client_post_id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/u);
    const { client_post_id, ...rest } = sent ?? {};
    assert.deepEqual(sent && rest, body);
  };
  await check(feed.home(), "GET /v1/me/feed");
  assert.ok(feed.api.media.knownUrls("5"), "it takes note of URLs");
  await check(feed.home({ cursor: "a b", limit: 5 }), "GET /v1/me/feed?cursor=a+b&limit=5");
  await check(feed.of("7"), "GET /v1/users/7/feed");
  await check(feed.create({ body: "x", audience: "friends" }), "POST /v1/me/feed", { body: "x", audience: "friends" });
  await check(feed.create({ body: "", audience: "public", media: ["1"], mentions: ["2"] }), "POST /v1/me/feed", { body: "", audience: "public", media: ["1"], mentions: ["2"] });
  await check(feed.get("7-1"), "GET /v1/posts/7-1");
  await check(feed.edit({ post_id: "7-1", revision: 2 }, "y"), "PATCH /v1/posts/7-1", { body: "y", base_revision: 2 });
  await check(feed.delete("7-1"), "DELETE /v1/posts/7-1");
  await check(feed.like("7-1"), "PUT /v1/posts/7-1/like");
  await check(feed.like("7-1", false), "DELETE /v1/posts/7-1/like");
  await check(feed.likes("7-1", { limit: 3 }), "GET /v1/posts/7-1/likes?limit=3");
  await check(feed.replies("7-1"), "GET /v1/posts/7-1/replies");
  await check(feed.reply("7-1", { body: "z" }), "POST /v1/posts/7-1/replies", { body: "z" });
  await check(feed.follow("9", true), "PUT /v1/users/9/follow");
  await check(feed.follow("9", false), "DELETE /v1/users/9/follow");
  // One post, however often its answer is lost.
  fake.faults = ({ method }) => (method === "POST" && fake.did.filter((line) => line.endsWith("cut")).length < 1 ? "cut" : undefined);
  const other = new Api({ url: [fake.url, `${fake.url}/`.slice(0, -1).replace("127.0.0.1", "localhost")], token: () => "t" });
  await check(other.feed.create({ body: "x", audience: "friends" }), "POST /v1/me/feed", { body: "x", audience: "friends" });
});

/** A WebSocket server that takes every send, and pushes what it is told to. */
async function startSocket(t) {
  const wss = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  t.after(() => { for (const socket of wss.clients) socket.terminate(); wss.close(); });
  await new Promise((resolve) => { wss.once("listening", resolve); });
  const sends = [];
  // `refuses(send)` says which are refused.
  const made = {};
  wss.on("connection", (socket) => socket.on("message", (data) => {
    const { id, connect, send } = JSON.parse(data);
    if (connect) socket.send(JSON.stringify({ id, connect: { user_id: "1", session_id: "s", server_time_ms: Date.now(), ping_ms: 25_000, cursor: "c0" } }));
    if (send && made.refuses?.(send)) {
      socket.send(JSON.stringify({ id, error: { code: 123, message: "no such media" } }));
    } else if (send) {
      sends.push(send);
      socket.send(JSON.stringify({ id, send: { seq: sends.length, sent_ms: Date.now(), duplicate: false } }));
    }
  }));
  const push = (kind, fields) => { for (const socket of wss.clients) socket.send(JSON.stringify({ push: { [kind]: fields } })); };
  return Object.assign(made, { url: `ws://127.0.0.1:${wss.address().port}/connection/websocket`, sends, push });
}

/** A client, not started; what it tells of uploads and of what goes out. */
function clientOf(t, fake, socket, store = new MemoryStore()) {
  const made = new Client({ url: socket.url, api: apiOf(fake.url), store, WebSocket, token: () => "t", tabs: false });
  const told = [];
  made.on("upload", ({ sent_bytes, bytes }) => told.push(`${sent_bytes} of ${bytes}`));
  made.on("outgoing", ({ state, fields, problem }) => told.push(`${state}${fields.media ? ` ${fields.media.length}` : ""}${problem ? ` ${problem.message}` : ""}`));
  // No client tells what the store cannot keep twice.
  made.on("error", ({ error }) => told.push(error.name));
  t.after(() => made.stop());
  return Object.assign(made, { told });
}

/** Until nothing that was sent is kept any more. */
const isEmpty = (store) => until(() => ![...store.map.keys()].some((key) => /^(file|outbox)\//u.test(key)), "nothing is kept of what was sent");

test("a message waits for its files, and nothing else does", async (t) => {
  const [fake, socket] = [await startFake(t), await startSocket(t)];
  let isDown = true;
  fake.faults = ({ url }) => (isDown && url.startsWith("/v1/media") ? 503 : undefined);
  const made = clientOf(t, fake, socket);
  await made.start();
  const sent = made.send("7", "look", { media: [file(10, "tea.png"), "55"] });
  await sent.kept;
  await made.send("7", "a word").done;
  assert.equal(sent.state, "pending");
  assert.deepEqual(sent.files.map(({ name, bytes }) => [name, bytes]), [["tea.png", 10], ["", 0]]);
  assert.ok((await made.file(sent.files[0].id)).size === 10);
  isDown = false;
  assert.equal((await sent.done).seq, 2);
  assert.deepEqual(socket.sends.map(({ body, media }) => [body, media]), [["a word", undefined], ["look", ["101", "55"]]]);
  await isEmpty(made.store);
  assert.deepEqual(made.told.filter((line) => line.includes(" of ")), ["10 of 10"]);
  // What is at the server already waits for nothing.
  await made.send("7", "", { media: ["55"] }).done;
  assert.deepEqual(socket.sends.at(-1).media, ["55"]);
});

test("a message whose files wait outlives the process, and its upload goes on where it was", async (t) => {
  const [fake, socket] = [await startFake(t), await startSocket(t)];
  const store = new MemoryStore();
  const one = clientOf(t, fake, socket, store);
  fake.faults = ({ method }) => (method === "PATCH" && fake.did.some((line) => line.startsWith("PATCH")) ? 503 : undefined);
  await one.start();
  one.send("7", "a film", { media: [file(2 * PART_BYTES, "film.mkv")] });
  await until(() => fake.did.some((line) => /^PATCH .* 503$/u.test(line)), "the second part is refused");
  await one.stop();
  fake.faults = () => undefined;
  fake.did.length = 0;
  const two = clientOf(t, fake, socket, store);
  await two.start();
  await until(() => socket.sends.length === 1, "it is sent");
  assert.deepEqual([socket.sends[0].body, socket.sends[0].media.length], ["a film", 1]);
  const ofMedia = fake.did.filter((line) => line.includes("/v1/media"));
  assert.deepEqual(ofMedia.map((line) => line.replace(/\d{3,}(?= )/u, "ID")), ["HEAD /v1/media/uploads/ID 200", "PATCH /v1/media/uploads/ID 204", "GET /v1/media/ID 200"]);
});

test("a file that the server refuses fails its message, which can be tried again or given up", async (t) => {
  const [fake, socket] = [await startFake(t, { faults: ({ url }) => (url.startsWith("/v1/media") ? 413 : undefined) }), await startSocket(t)];
  const made = clientOf(t, fake, socket);
  await made.start();
  const [again, dropped] = [made.send("7", "one", { media: [file(10)] }), made.send("7", "two", { media: [file(11)] })];
  await assert.rejects(again.done, { name: "Refused", message: "fault 413" });
  await assert.rejects(dropped.done, { name: "Refused" });
  await dropped.cancel();
  fake.faults = () => undefined;
  await again.retry();
  await again.done;
  assert.deepEqual(socket.sends.map(({ body }) => body), ["one"]);
  await isEmpty(made.store);
});

test("what the server has let go meanwhile is uploaded again when the message is tried again, and what nobody wants is cleared", async (t) => {
  const [fake, socket] = [await startFake(t), await startSocket(t)];
  const store = new MemoryStore();
  store.map.set("file/of-nobody", file(1));
  socket.refuses = ({ media }) => media[0] === "101";
  const made = clientOf(t, fake, socket, store);
  await made.start();
  assert.equal(store.map.has("file/of-nobody"), false);
  const sent = made.send("7", "", { media: [file(10), "55"] });
  await assert.rejects(sent.done, { name: "Refused", code: 123 });
  assert.equal(store.map.size > 0 && [...store.map.keys()].filter((key) => key.startsWith("file/")).length, 1, "it is kept until it is sent");
  fake.media.clear();
  await sent.retry();
  await sent.done;
  assert.deepEqual(socket.sends.at(-1).media, ["102", "55"]);
  await isEmpty(store);
});

test("a store that keeps no files: they are sent, but do not outlive the process", async (t) => {
  const [fake, socket] = [await startFake(t), await startSocket(t)];
  const store = Object.assign(new MemoryStore(), { keepsBlobs: false });
  const one = clientOf(t, fake, socket, store);
  await one.start();
  await one.send("7", "one", { media: [file(10)] }).done;
  assert.ok(one.told.includes("NotKept"));
  fake.faults = () => 503;
  one.send("7", "two", { media: [file(11)] });
  await until(() => fake.did.some((line) => line.endsWith("503")), "it is tried");
  await one.stop();
  fake.faults = () => undefined;
  const two = clientOf(t, fake, socket, store);
  await two.start();
  await until(() => two.told.some((line) => /^failed a\.bin was not kept/u.test(line)), "it has failed");
  await two.outgoing()[0].cancel();
  assert.deepEqual(socket.sends.map(({ body }) => body), ["one"]);
});

test("an upload under way is taken over by the message that it is for", async (t) => {
  const [fake, socket] = [await startFake(t), await startSocket(t)];
  const made = clientOf(t, fake, socket);
  await made.start();
  fake.faults = ({ method }) => (method === "PATCH" && fake.did.some((line) => line.startsWith("PATCH")) ? 503 : undefined);
  const upload = made.api.media.upload(file(2 * PART_BYTES));
  const whole = made.api.media.upload(file(3));
  await until(() => fake.did.some((line) => /^PATCH .* 503$/u.test(line)), "the second part is refused");
  await whole.done;
  const sent = made.send("7", "", { media: [upload, whole] });
  assert.equal(upload.state, "cancelled");
  fake.faults = () => undefined;
  await sent.done;
  assert.equal(fake.did.filter((line) => line === "POST /v1/media/uploads 201").length, 1, "begun once");
  assert.equal(socket.sends[0].media.length, 2);
});

test("files that are at the server already: the message is sent once what it is made of is stored, and is over then", async (t) => {
  const [fake, socket] = [await startFake(t), await startSocket(t)];
  const store = new MemoryStore();
  const put = store.put.bind(store);
  store.put = async (key, value) => { await sleep(value.fields?.media ? 100 : 0); return put(key, value); };
  const made = clientOf(t, fake, socket, store);
  await made.start();
  const upload = made.api.media.upload(file(10));
  await upload.done;
  await until(() => made.state.state === "live", "live");
  await made.send("7", "", { media: [upload] }).done;
  await sleep(200);
  assert.deepEqual([made.outgoing().length, made.told.at(-1)], [0, "sent 1"]);
  await isEmpty(store);
});

test("feed_head is told, and what is none is not", async (t) => {
  const [fake, socket] = [await startFake(t), await startSocket(t)];
  const made = clientOf(t, fake, socket);
  const counts = [];
  made.on("feed_head", ({ count }) => counts.push(count));
  await made.start();
  await until(() => made.state.state === "live", "live");
  socket.push("feed_head", { count: 3 });
  socket.push("feed_head", { count: "many" });
  socket.push("feed_head", { count: 1 });
  await until(() => counts.length === 2, "both");
  assert.deepEqual(counts, [3, 1]);
});
