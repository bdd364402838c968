// Nodes that say nothing, and pages that come back: by a clock that is moved.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Client, MemoryStore } from "../src/index.js";

const CONNECTED = { user_id: "1", retry: { base_ms: 500, cap_ms: 20_000 }, server_time_ms: 0, ping_ms: 25_000, limits: {}, cursor: "c" };
const settled = async () => { for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => { setImmediate(resolve); }); };

let sockets;
let asked;
class Socket {
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
}

/** A client whose sockets do not open by themselves. */
async function start() {
  sockets = [];
  asked = [];
  mock.timers.enable({ apis: ["setTimeout"] });
  const client = new Client({ url: "ws://node/", token: () => "t", store: new MemoryStore(), WebSocket: Socket, deviceId: "d", transports: ["websocket"] });
  await client.start();
  await settled();
  return client;
}

/** What is asked, how many sockets there have been, as time passes, and what came of commands. */
async function check(steps, expected) {
  const client = await start();
  sockets[0].lives = true;
  sockets[0].onopen();
  await settled();
  assert.equal(client.state.state, "live");
  const said = [];
  for (const step of steps.split(", ")) {
    if (step === "sleeps") sockets[0].lives = false;
    else if (step === "says") sockets[0].onmessage({ data: '{"push":{"typing":{}}}' });
    else if (step === "asks") client.search("x").catch((error) => said.push(error.name));
    else if (step === "back") client.hurry();
    else mock.timers.tick(Number(step));
    await settled();
  }
  client.on("error", () => {});
  await client.stop();
  mock.timers.reset();
  assert.equal([...asked.slice(1), `${sockets.length} sockets`, ...said].join(" "), expected, steps);
}

test("a node that has said nothing for a while is asked, and given up if it says nothing then", async (t) => {
  t.mock.method(console, "error", () => {});
  await check("12400", "1 sockets");
  await check("12500, 12400", "echo 1 sockets");
  await check("12500, 12500, 9900", "echo echo 1 sockets");
  await check("12400, says, 12400", "1 sockets");
  await check("sleeps, 12500, 9900", "echo 1 sockets");
  await check("sleeps, 12500, 9900, says, 12400", "echo 1 sockets");
  await check("sleeps, 12500, 10000, 500", "echo 2 sockets");
});

test("a node that does not answer is asked sooner, and so is one to whom the user comes back", async (t) => {
  t.mock.method(console, "error", () => {});
  await check("sleeps, asks, 2900", "search 1 sockets Gone");
  await check("sleeps, asks, 3000, 9900", "search echo 1 sockets Gone");
  await check("sleeps, asks, 3000, 10000, 500", "search echo 2 sockets Gone");
  await check("sleeps, back, 10000, 500", "echo 2 sockets");
  // What waits for the store is no reason to give up a node that says something.
  await check("sleeps, asks, 3000, 9900, says, 12400", "search echo 1 sockets Gone");
});

test("a socket that does not open is given up", async () => {
  const client = await start();
  mock.timers.tick(14_900);
  await settled();
  assert.equal(sockets.length, 1);
  mock.timers.tick(100);
  await settled();
  mock.timers.tick(500);
  await settled();
  assert.equal(sockets.length, 2);
  await client.stop();
  mock.timers.reset();
});

test("pauses double up to the server's cap, and none is longer", async (t) => {
  t.mock.method(Math, "random", () => 1);
  const client = await start();
  const pauses = [];
  client.on("state", ({ retry_ms: retryMs }) => { if (retryMs !== undefined) pauses.push(retryMs); });
  for (let attempt = 0; attempt < 8; attempt += 1) {
    sockets.at(-1).onclose({ code: 1006, reason: "" });
    await settled();
    mock.timers.tick(20_000);
    await settled();
  }
  await client.stop();
  mock.timers.reset();
  assert.deepEqual(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]);
});
