// Which transport is tried when, by a clock that is moved: those of a connection are made here.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Connection } from "../src/connection.js";

const CONNECTED = { user_id: "1", session_id: "s", retry: { base_ms: 500, cap_ms: 20_000 }, server_time_ms: 0, ping_ms: 25_000, cursor: "c" };
const settled = async () => { for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => { setImmediate(resolve); }); };

/**
 * What is tried, by the first letters of transports, `?` a look whether the first opens. Steps: `s works`, `s fails`, `s cut`, `w
 * opens` (and lets nobody in), milliseconds, `stop`, and `now`, from which on it is noted.
 */
async function check(row) {
  const [steps, expected] = row.split("=>").map((part) => part.trim());
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(Math, "random", () => 1);
  const how = { w: "fails", s: "fails", p: "fails" };
  let tried = "";
  let way;
  const transports = [["w", "websocket"], ["s", "sse"], ["p", "poll"]].map(([letter, name]) => ({
    name,
    open(asked) {
      tried += letter;
      way = asked;
      if (how[letter] === "works") setImmediate(() => asked.onLine(JSON.stringify({ id: asked.hello.id, connect: CONNECTED })));
      if (how[letter] === "fails") setImmediate(() => asked.onClose({ code: 1006, reason: "", opened: false }));
      return { send() {}, close() {} };
    },
    ...(letter === "w" && { probe: async () => { tried += "?"; return how.w !== "fails"; } }),
  }));
  const nothing = () => {};
  const connection = new Connection({
    transports, choose: async () => "ws://node/", token: async () => "t", clientName: "", nodes: { broke: nothing, opened: nothing },
    on: { state: nothing, live: nothing, lost: nothing, push: nothing, forget: nothing, ready: async () => {}, bad: (error) => { throw error; }, wanted: () => ({ channels: [], users: [] }) },
  });
  connection.pulse.probe = nothing;
  connection.start();
  await settled();
  for (const step of steps.split(", ")) {
    const [letter, what] = step.split(" ");
    if (step === "now") tried = "";
    else if (step === "stop") connection.stop();
    else if (what === "cut") way.onClose({ code: 1006, reason: "", opened: true });
    else if (what) how[letter] = what;
    else {
      // In parts, since what is tried comes to something meanwhile.
      for (let leftMs = Number(step); leftMs > 0; leftMs -= 250) {
        mock.timers.tick(Math.min(250, leftMs));
        await settled();
      }
    }
    await settled();
  }
  connection.stop();
  mock.timers.reset();
  mock.restoreAll();
  assert.equal(tried, expected, row);
}

test("where nobody can be reached each transport is tried as often, for however long", async () => {
  // 0.5, 1, 2, 4, 8, 16 and then each 20 s.
  await check("31500 => wwwsssp");
  await check("71500 => wwwsssppp");
  await check("131500 => wwwssspppwww");
});

test("a lesser transport looks for the first soon, then ever more seldom, and goes on meanwhile", async () => {
  const fallen = "s works, 3500, now";
  await check("s works, 3500 => wwws");
  await check(`${fallen}, 900 => `);
  await check(`${fallen}, 1100 => ?`);
  await check(`${fallen}, 5900 => ?`);
  await check(`${fallen}, 6250 => ??`);
  await check(`${fallen}, 21250 => ???`);
  await check(`${fallen}, 51250 => ????`);
  // An hour and a half: after 1, 5, 15, 30, 60, 120, 240, 480 s, and then every ten minutes.
  await check(`${fallen}, 5400000 => ${"?".repeat(15)}`);
});

test("where the first opens again it is used, and the next time it is looked for as soon", async () => {
  await check("s works, 3500, w works, now, 2000 => ?w");
  await check("s works, 3500, 10000, w works, now, 13000 => ?w");
  await check("s works, 3500, 10000, w works, 13000, w fails, w cut, 7500, now, 1100 => ?");
});

test("one that opens and lets nobody in is left for the lesser one, and looked for later", async () => {
  await check("s works, 3500, w opens, now, 1500 => ?w");
  await check("s works, 3500, w opens, now, 17500 => ?ws");
  await check("s works, 3500, w opens, 17500, now, 4000 => ");
  await check("s works, 3500, w opens, 17500, now, 5500 => ?w");
});

test("a look goes on from connection to connection, and ends with the client", async () => {
  await check("s works, 3500, now, s cut, 500, 700 => s?");
  await check("s works, 3500, now, stop, 60000 => ");
});
