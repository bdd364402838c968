// Where a client goes when its node is gone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../src/index.js";

globalThis.location = { origin: "http://page", pathname: "/" };

const api = new Api({ url: "", token: () => "t" });
const { nodes } = api;

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
  const answer = await api.call(method, "/v1/me", undefined, headers).then(() => "answered", (problem) => problem.message);
  return `${tried.join(" ")}: ${answer}`;
}

test("what a page's own node does not answer any more another one does", async () => {
  nodes.choose(servers("a b page"));
  assert.equal(await asked("GET", ""), "page: answered");
  assert.equal(await asked("GET", "page"), "page a: answered");
  assert.equal(await asked("GET", "page"), "a: answered", "who answered last is asked first");
  nodes.choose(servers("b c"));
  assert.equal(await asked("GET", "page a"), "a page b: answered");
  // What may have happened already is left to whoever asked, and the next request goes elsewhere.
  assert.equal(await asked("POST", "b"), "b: the server cannot be reached");
  assert.equal(await asked("POST", "c page", { "idempotency-key": "k" }), "c a: answered");
  assert.equal(await asked("GET", "page a b c"), "a page b c: the server cannot be reached");
});

test("of the nodes that are named the best is tried that has not just failed", () => {
  const check = (names, expected) => assert.equal(nodes.choose(servers(names)), `ws://${expected}`);
  check("a b c", "a");
  nodes.broke("ws://a");
  check("a b c", "b");
  nodes.broke("ws://b");
  nodes.broke("ws://c");
  check("b a c", "b");
  nodes.broke("ws://b");
  check("b a c", "a");
  nodes.opened();
  check("b a c", "b");
});

test("of a node whose socket says nothing HTTP is asked last", async () => {
  nodes.choose(servers("a b page"));
  assert.equal(await asked("GET", ""), "page: answered");
  nodes.broke("ws://page");
  assert.equal(await asked("GET", ""), "a: answered");
  nodes.opened();
});

test("a node that the page may not connect to is not tried while there is another", async () => {
  nodes.forbidden("ws://d/connection");
  assert.equal(nodes.choose(servers("d a")), "ws://a");
  nodes.broke("ws://a");
  assert.equal(nodes.choose(servers("d a")), "ws://a");
  nodes.forbidden("ws://a");
  assert.equal(nodes.choose(servers("d a")), undefined);
  assert.equal(nodes.choose(servers("d a b")), "ws://b");
});
