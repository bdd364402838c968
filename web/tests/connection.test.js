// What the page does when its socket closes.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

const stored = new Map();
globalThis.sessionStorage = {
  getItem: (key) => stored.get(key) ?? null,
  setItem: (key, value) => stored.set(key, value),
  removeItem: (key) => stored.delete(key),
};
stored.set("rookery.account", JSON.stringify({ token: "t", refresh_token: "r", device: "d", user_id: "1" }));
globalThis.window = { addEventListener() {} };
globalThis.document = { addEventListener() {} };
globalThis.location = { origin: "http://page", pathname: "/" };

let sockets;
let asked = [];
let refreshed;
globalThis.WebSocket = class {
  static OPEN = 1;
  constructor() {
    this.readyState = 1;
    sockets.push(this);
  }
  send(text) {
    const { id, ...command } = JSON.parse(text);
    const [kind] = Object.keys(command);
    asked.push(kind);
    if (kind === "connect") this.say({ id, connect: CONNECTED });
    else if (this.lives) this.say({ id, [kind]: {} });
  }
  say(envelope) {
    setImmediate(() => this.onmessage({ data: JSON.stringify(envelope) }));
  }
  close() {}
};
const CONNECTED = { retry: { base_ms: 500, cap_ms: 20_000 }, server_time_ms: 0, ping_ms: 25_000, limits: {}, cursor: "c" };
globalThis.fetch = async (path) => {
  if (path === "/v1/auth/refresh") refreshed += 1;
  const body = path === "/v1/servers/best" ? [{ url: "ws://node" }] : { token: "t2" };
  return { ok: true, status: 200, text: async () => JSON.stringify(body) };
};

const { Connection } = await import("../client/connection.js");

const unheard = { state() {}, live() {}, lost() {}, push() {}, forget() {}, signedOut() {} };
const settled = () => new Promise((resolve) => { setImmediate(() => setImmediate(resolve)); });

/** Opens a connection whose sockets close with `codes`, one after the other: what it says and how many sockets it made. */
async function closing(...codes) {
  sockets = [];
  refreshed = 0;
  mock.timers.enable({ apis: ["setTimeout"] });
  const said = [];
  let signedOut = null;
  const connection = new Connection(null, {
    state: (text) => said.push(text), live() {}, lost() {}, push() {}, forget() {}, signedOut: (why) => { signedOut = why; },
  });
  await settled();
  for (const code of codes) {
    sockets.at(-1).onclose({ code, reason: "" });
    await settled();
    mock.timers.tick(60_000);
    await settled();
  }
  const { stopped } = connection;
  connection.stop();
  mock.timers.reset();
  return { words: said.at(-1), tries: sockets.length, signedOut, stopped };
}

test("after a code that clients do not retry there is a reason and no further socket", async () => {
  for (const code of [1002, 1007, 1009, 3501, 3502, 3504, 3505, 3509, 3599]) {
    const { words, tries, stopped } = await closing(code);
    assert.equal(tries, 1, `${code}`);
    assert.ok(stopped && !/trying|connecting/u.test(words), `${code}: ${words}`);
  }
});

test("a device that is signed out says why", async () => {
  for (const code of [3503, 3511]) {
    const { tries, signedOut } = await closing(code);
    assert.equal(tries, 1);
    assert.ok(signedOut, `${code}`);
  }
});

test("a token that is refused is renewed once", async () => {
  const once = await closing(3500);
  assert.deepEqual([once.tries, once.signedOut, refreshed], [2, null, 1]);
  const twice = await closing(3500, 3500);
  assert.deepEqual([twice.tries, refreshed], [2, 1]);
  assert.ok(twice.signedOut);
});

test("what passes is tried again", async () => {
  for (const code of [1006, 3001, 3004, 3008, 3011, 3012, 3013, 3015]) {
    assert.equal((await closing(code)).tries, 2, `${code}`);
  }
});

/** A connection whose node says nothing from now on; its socket stays open. */
async function silent(connectionOn = unheard) {
  sockets = [];
  asked = [];
  mock.timers.enable({ apis: ["setTimeout"] });
  const connection = new Connection(null, connectionOn);
  await settled();
  sockets[0].lives = true;
  sockets[0].onopen();
  await settled();
  assert.ok(connection.live);
  return { connection, pass: async (ms) => { mock.timers.tick(ms); await settled(); } };
}

/** What is asked, and how many sockets there have been, as time passes. */
async function check(steps, expected) {
  const { connection, pass } = await silent();
  const said = [];
  for (const step of steps.split(", ")) {
    if (step === "sleeps") sockets[0].lives = false;
    else if (step === "says") sockets[0].onmessage({ data: '{"push":{"typing":{}}}' });
    else if (step === "sends") connection.ask("send", {}).catch(() => said.push("gone"));
    else if (step === "back") connection.hurry();
    else if (step === "leaves") connection.leave();
    else await pass(Number(step));
  }
  connection.stop();
  mock.timers.reset();
  assert.equal([...asked.slice(1), `${sockets.length} sockets`, ...said].join(" "), expected, steps);
}

test("a node that has said nothing for a while is asked, and given up if it says nothing then", async () => {
  await check("12400", "1 sockets");
  await check("12500, 12400", "echo 1 sockets");
  await check("12500, 12500, 9900", "echo echo 1 sockets");
  await check("12400, says, 12400", "1 sockets");
  await check("sleeps, 12500, 9900", "echo 1 sockets");
  await check("sleeps, 12500, 9900, says, 12400", "echo 1 sockets");
  await check("sleeps, 12500, 10000, 500", "echo 2 sockets");
});

test("a node that does not answer is asked sooner, and so is one to whom the user comes back", async () => {
  await check("sleeps, sends, 2900", "send 1 sockets");
  await check("sleeps, sends, 3000, 9900", "send echo 1 sockets");
  await check("sleeps, sends, 3000, 10000, 500", "send echo 2 sockets gone");
  await check("sleeps, back, 10000, 500", "echo 2 sockets");
  // What waits for the store is no reason to give up a node that says something.
  await check("sleeps, sends, 3000, 9900, says, 12400", "send echo 1 sockets");
});

test("a page that is kept for the way back has no socket meanwhile", async () => {
  await check("leaves", "1 sockets");
  await check("leaves, sends, 0", "1 sockets gone");
  await check("leaves, back, 0", "2 sockets");
  await check("leaves, back, leaves, back, 0", "2 sockets");
});

test("a socket that does not open is given up", async () => {
  sockets = [];
  mock.timers.enable({ apis: ["setTimeout"] });
  const connection = new Connection(null, unheard);
  await settled();
  mock.timers.tick(14_900);
  await settled();
  assert.equal(sockets.length, 1);
  mock.timers.tick(100);
  await settled();
  mock.timers.tick(500);
  await settled();
  assert.equal(sockets.length, 2);
  connection.stop();
  mock.timers.reset();
});
