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
globalThis.location = { origin: "http://page" };

let sockets;
let refreshed;
globalThis.WebSocket = class {
  static OPEN = 1;
  constructor() {
    this.readyState = 1;
    sockets.push(this);
  }
  send() {}
  close() {}
};
globalThis.fetch = async (path) => {
  if (path === "/v1/auth/refresh") refreshed += 1;
  const body = path === "/v1/servers/best" ? [{ url: "ws://node" }] : { token: "t2" };
  return { ok: true, status: 200, text: async () => JSON.stringify(body) };
};

const { Connection } = await import("../client/connection.js");

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
