// The client in Chromium: the conformance rows, its database, and tabs of one device.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { Account, Api, MemoryStore } from "../src/index.js";
import { noBrowser, serve, startBrowser } from "./chromium.js";
import { run } from "./script.js";
import { directory, noNode, startNode } from "./server.js";

const ROWS = new URL("../../conformance/", import.meta.url);
const WAIT_MS = 60_000;
const AT_ONCE = 8;

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(is, what) {
  for (const endMs = Date.now() + WAIT_MS; !(await is()); await sleep(20)) assert.ok(Date.now() < endMs, `${what} in ${WAIT_MS} ms`);
}

test("the conformance rows", { skip: noBrowser, timeout: 240_000 }, async (t) => {
  const told = new Map();
  const browser = await startBrowser(t, directory());
  const page = await browser.open(`${await serve(t)}/tests/harness.html`, (text) => {
    assert.ok(!text.startsWith("exception"), text);
    const { name, kind, detail } = JSON.parse(text);
    told.get(name)(kind, detail);
  });
  let made = 0;
  /** An `Application` that runs in the page. */
  const host = async (row, tell) => {
    const name = `row-${made += 1}`;
    told.set(name, tell);
    await page.evaluate(`application.make(${JSON.stringify(name)}, ${JSON.stringify(row)})`);
    const act = (what) => (...args) => page.evaluate(`application.do(${JSON.stringify(name)}, "${what}", ${JSON.stringify(args)})`);
    return { start: act("start"), stop: act("stop"), call: act("call"), result: act("result") };
  };
  const rows = readdirSync(ROWS).filter((name) => name.endsWith(".json")).flatMap((name) => JSON.parse(readFileSync(new URL(name, ROWS), "utf8")).rows);
  const waiting = [...rows];
  const failed = [];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let row = waiting.shift(); row; row = waiting.shift()) await run(row, host).catch((error) => failed.push(`${row.name}: ${error.message}`));
  }));
  assert.deepEqual(failed, []);
  assert.ok(rows.length > 30);
});

/** A user of a node, and another one who has a group with it. */
async function users(node) {
  const make = async (username) => {
    const account = new Account({ apiUrl: node.api, store: new MemoryStore() });
    const tokens = await account.signUp({ username, password: "correct horse battery" });
    return { ...tokens, api: new Api({ url: node.api, token: account.token }) };
  };
  const [ann, bob] = await Promise.all([make("ann"), make("bob")]);
  const { channel_id: channelId } = await ann.api.createChannel({ kind: "group", title: "tea", member_ids: [bob.user_id] });
  const bodies = async () => (await bob.api.call("GET", `/v1/channels/${channelId}/messages?after=0&limit=200`)).messages.map(({ body }) => body);
  return { ann, bob, channelId, bodies };
}

/** Starts a client in a page. */
const startClient = (page, node, token) => page.evaluate(`(async () => {
  globalThis.seen = [];
  globalThis.states = [];
  globalThis.client = new rookery.Client({ url: ${JSON.stringify(node.url)}, token: () => ${JSON.stringify(token)} });
  client.on("message", ({ message }) => seen.push(message.body));
  client.on("state", (state) => states.push(state));
  await client.start();
})()`);
const isLive = (page) => until(() => page.evaluate(`client.state.state === "live"`), "live");
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => String(from + at));
/** Sends from a page; resolves when its database has it. */
const send = (page, channelId, from, to) => page.evaluate(`(async () => {
  for (let at = ${from}; at <= ${to}; at += 1) await client.send(${JSON.stringify(channelId)}, String(at)).kept;
})()`);

test("what is written without a node outlives the page and kill -9 of the browser, and is sent once and in order", { skip: noBrowser || noNode, timeout: 240_000 }, async (t) => {
  let node = await startNode(t, { extra: ["--listen.allowed_origins", "*"] });
  const { ann, channelId, bodies } = await users(node);
  const url = `${await serve(t)}/tests/harness.html`;
  const profile = directory();
  let browser = await startBrowser(t, profile);
  let page = await browser.open(url);
  await startClient(page, node, ann.token);
  await isLive(page);
  await send(page, channelId, 1, 10);
  await until(async () => (await bodies()).length === 10, "the first ten");
  await node.kill();
  await send(page, channelId, 11, 20);
  await page.load();
  await startClient(page, node, ann.token);
  await until(() => page.evaluate("client.outgoing().length === 10"), "the ten that wait");
  await send(page, channelId, 21, 30);
  await browser.kill();
  node = await node.again();
  browser = await startBrowser(t, profile);
  page = await browser.open(url);
  await startClient(page, node, ann.token);
  await isLive(page);
  await send(page, channelId, 31, 40);
  await until(async () => (await bodies()).length >= 40, "all of them");
  await until(() => page.evaluate("client.outgoing().length === 0"), "all answers");
  assert.deepEqual(await bodies(), numbers(1, 40));
});

test("tabs of one device share a connection, and when the one that has it goes the next one goes on", { skip: noBrowser || noNode, timeout: 240_000 }, async (t) => {
  const node = await startNode(t, { extra: ["--listen.allowed_origins", "*"] });
  const { ann, channelId, bodies } = await users(node);
  const url = `${await serve(t)}/tests/harness.html`;
  const browser = await startBrowser(t, directory());
  const tabs = [];
  for (let at = 0; at < 3; at += 1) {
    const page = await browser.open(url);
    await startClient(page, node, ann.token);
    await isLive(page);
    tabs.push(page);
  }
  assert.equal((await ann.api.devices()).length, 1);
  // All write at once; each order is kept, and all see all.
  await Promise.all(tabs.map((tab, at) => send(tab, channelId, 100 * at + 1, 100 * at + 20)));
  for (const tab of tabs) await until(() => tab.evaluate("seen.length === 60"), "sixty in each tab");
  const of = (all, at) => all.map(Number).filter((number) => Math.floor(number / 100) === at);
  for (const at of [0, 1, 2]) assert.deepEqual(of(await bodies(), at), numbers(100 * at + 1, 100 * at + 20).map(Number));
  const history = await tabs[2].evaluate(`client.history(${JSON.stringify(channelId)}, { limit: 200 })`);
  assert.equal(history.messages.length, 60);
  // The tab that leads ends while another one writes.
  const writing = send(tabs[2], channelId, 301, 340);
  await tabs[0].close();
  await writing;
  await send(tabs[1], channelId, 341, 345);
  for (const tab of tabs.slice(1)) await until(() => tab.evaluate("seen.length === 105 && client.outgoing().length === 0"), "all in each tab");
  assert.deepEqual(of(await bodies(), 3), numbers(301, 345).map(Number));
  assert.equal(new Set(await bodies()).size, 105);
  assert.equal((await ann.api.devices()).length, 1);
  for (const tab of tabs.slice(1)) assert.deepEqual(await tab.evaluate(`states.filter(({ state }) => state === "ended")`), []);
});

test("tabs that start at once in a browser that was never here are one device", { skip: noBrowser || noNode, timeout: 240_000 }, async (t) => {
  const node = await startNode(t, { extra: ["--listen.allowed_origins", "*"] });
  const { ann, channelId, bodies } = await users(node);
  const url = `${await serve(t)}/tests/harness.html`;
  const browser = await startBrowser(t, directory());
  const tabs = [];
  for (let at = 0; at < 4; at += 1) tabs.push(await browser.open(url));
  await Promise.all(tabs.map((tab) => startClient(tab, node, ann.token)));
  for (const tab of tabs) await isLive(tab);
  const devices = await Promise.all(tabs.map((tab) => tab.evaluate("client.deviceId")));
  assert.equal(new Set(devices).size, 1, devices.join());
  await Promise.all(tabs.map((tab, at) => send(tab, channelId, 100 * at + 1, 100 * at + 5)));
  await until(async () => (await bodies()).length === 20, "all of them");
  assert.equal((await ann.api.devices()).length, 1);
});

test("a page that the browser keeps for the way back has no connection meanwhile, and another tab goes on", { skip: noBrowser || noNode, timeout: 240_000 }, async (t) => {
  const node = await startNode(t, { extra: ["--listen.allowed_origins", "*"] });
  const { ann, channelId, bodies } = await users(node);
  const url = `${await serve(t)}/tests/harness.html`;
  const browser = await startBrowser(t, directory());
  const [one, two] = [await browser.open(url), await browser.open(url)];
  await startClient(one, node, ann.token);
  await isLive(one);
  await startClient(two, node, ann.token);
  await isLive(two);
  const leads = (page) => page.evaluate("Boolean(client.group.engine)");
  assert.deepEqual([await leads(one), await leads(two)], [true, false]);
  const says = (page, kind) => page.evaluate(`window.dispatchEvent(new PageTransitionEvent("${kind}", { persisted: true }))`);
  await says(one, "pagehide");
  await until(() => leads(two), "the other one leads");
  await isLive(two);
  await send(two, channelId, 1, 3);
  await until(async () => (await bodies()).length === 3, "sent by the other one");
  assert.equal(await leads(one), false);
  await says(one, "pageshow");
  await send(one, channelId, 4, 6);
  await until(async () => (await bodies()).length === 6, "and by this one again");
  assert.deepEqual(await bodies(), numbers(1, 6));
  for (const page of [one, two]) await until(() => page.evaluate(`["4", "5", "6"].every((body) => seen.includes(body))`), "both see them");
});
