// Where a page goes when its node is gone.

import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.sessionStorage = { getItem: () => JSON.stringify({ token: "t" }), setItem() {}, removeItem() {} };
globalThis.location = { origin: "http://page", pathname: "/" };

const { http } = await import("../client/account.js");
const { broke, choose, forbidden, opened, wouldReach } = await import("../client/nodes.js");

/** Nodes by name, `page` among them. */
const servers = (names) => names.split(" ").map((name) => ({ url: `ws://${name}`, api_url: `http://${name}` }));

/** A request while these nodes are dead: who was asked, and whether anyone answered. */
async function asked(method, dead, headers = {}) {
  const tried = [];
  globalThis.fetch = async (url) => {
    const [, node] = /^(?:http:\/\/(\w+))?\/v1\/me$/u.exec(url);
    tried.push(node ?? "page");
    if (dead.split(" ").includes(tried.at(-1))) throw new TypeError("Failed to fetch");
    return { ok: true, status: 200, text: async () => "{}" };
  };
  const answer = await http(method, "/v1/me", undefined, headers).then(() => "answered", (problem) => problem.message);
  return `${tried.join(" ")}: ${answer}`;
}

test("what the page's own node does not answer any more another one does", async () => {
  choose(servers("a b page"));
  assert.equal(await asked("GET", ""), "page: answered");
  assert.equal(await asked("GET", "page"), "page a: answered");
  assert.equal(await asked("GET", "page"), "a: answered", "who answered last is asked first");
  choose(servers("b c"));
  assert.equal(await asked("GET", "page a"), "a page b: answered");
  // What may have happened already is left to whoever asked, and the next request goes elsewhere.
  assert.equal(await asked("POST", "b"), "b: the server cannot be reached");
  assert.equal(await asked("POST", "c page", { "idempotency-key": "k" }), "c a: answered");
  assert.equal(await asked("GET", "page a b c"), "a page b c: the server cannot be reached");
});

test("of the nodes that are named the best is tried that has not just failed", () => {
  const check = (names, expected) => assert.equal(choose(servers(names)), `ws://${expected}`);
  check("a b c", "a");
  broke("ws://a");
  check("a b c", "b");
  broke("ws://b");
  broke("ws://c");
  check("b a c", "b");
  broke("ws://b");
  check("b a c", "a");
  opened();
  check("b a c", "b");
});

test("of a node whose socket says nothing HTTP is asked last", async () => {
  choose(servers("a b page"));
  assert.equal(await asked("GET", ""), "page: answered");
  broke("ws://page");
  assert.equal(await asked("GET", ""), "a: answered");
  opened();
});

test("a node that the page may not connect to is not tried while there is another", async () => {
  forbidden("ws://d/connection");
  assert.equal(choose(servers("d a")), "ws://a");
  broke("ws://a");
  assert.equal(choose(servers("d a")), "ws://a");
  forbidden("ws://a");
  assert.equal(choose(servers("d a")), undefined);
  assert.equal(choose(servers("d a b")), "ws://b");
});

test("a page is loaded anew only for a policy that names a node", async () => {
  const check = async (policy, expected) => {
    globalThis.fetch = async () => {
      if (policy === undefined) throw new TypeError("Failed to fetch");
      return { headers: new Headers({ "content-security-policy": policy }) };
    };
    assert.equal(await wouldReach(servers("d e")), expected, policy);
  };
  await check("default-src 'none'; connect-src 'self' ws://a ws://e; base-uri 'none'", true);
  await check("default-src 'none'; connect-src 'self' ws://e", true);
  await check("default-src 'none'; connect-src 'self' ws://a ws://e1; base-uri 'none'", false);
  await check(undefined, false);
});
