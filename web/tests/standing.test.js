// What the page says of its connection, and when it is loaded anew.

import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.sessionStorage = { getItem: () => null, setItem() {}, removeItem() {} };
globalThis.location = { origin: "http://page", pathname: "/" };

const { standing } = await import("../client/standing.js");
const { wouldReach } = await import("../client/reach.js");

test("after a code that clients do not retry there is a reason", () => {
  for (const code of [1002, 1007, 1009, 3501, 3502, 3504, 3505, 3509, 3599]) {
    const { words, live } = standing({ state: "ended", code, signed_out: false });
    assert.ok(!live && words && !/trying|connecting|undefined/u.test(words), `${code}: ${words}`);
  }
});

test("a device that is signed out says why, as far as there is a reason", () => {
  for (const code of [3500, 3503, 3511]) assert.match(standing({ state: "ended", code, signed_out: true }).why, /\.$/u);
  assert.deepEqual(standing({ state: "ended", signed_out: true }), { why: undefined });
});

test("what passes is not the end", () => {
  const check = (transport, words) => assert.deepEqual(standing({ state: "live", transport }), { words, live: true });
  check("websocket", "online");
  check("sse", "online, by event stream");
  check("poll", "online, by polling");
  for (const state of ["connecting", "waiting"]) assert.match(standing({ state, code: 3001 }).words, /…$/u);
});

test("a page is loaded anew only for a policy that names a node", async () => {
  const servers = ["ws://d", "ws://e"].map((url) => ({ url }));
  const check = async (policy, expected) => {
    globalThis.fetch = async () => {
      if (policy === undefined) throw new TypeError("Failed to fetch");
      return { headers: new Headers({ "content-security-policy": policy }) };
    };
    assert.equal(await wouldReach(servers), expected, policy);
  };
  await check("default-src 'none'; connect-src 'self' ws://a ws://e; base-uri 'none'", true);
  await check("default-src 'none'; connect-src 'self' ws://e", true);
  await check("default-src 'none'; connect-src 'self' ws://a ws://e1; base-uri 'none'", false);
  await check(undefined, false);
});
