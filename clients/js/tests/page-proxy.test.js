// The page behind a proxy that refuses WebSockets, in Chromium: it goes on over an event stream and posts, while the proxy is cut.
//
// The page is looked into by its classes, which the browser finds instances of: nothing in it is made for this.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { WebSocket } from "ws";
import { Account, Api, Client, MemoryStore } from "../src/index.js";
import { noBrowser, startBrowser } from "./chromium.js";
import { freePort, noNginx, startNginxWithoutWebSockets } from "./nginx.js";
import { directory, noNode, startNode } from "./server.js";

const MESSAGES = 1000;
const CUTS = 20;
const EACH = MESSAGES / CUTS;
const WAIT_MS = 60_000;
const PASSWORD = "correct horse battery";
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(is, what) {
  for (const endMs = Date.now() + WAIT_MS; !(await is()); await sleep(20)) assert.ok(Date.now() < endMs, `${what} in ${WAIT_MS} ms`);
}

/** `ann 1`, `ann 2` and so on; `from` is exclusive. */
const numbered = (who, from, to) => Array.from({ length: to - from }, (_, at) => `${who} ${from + at + 1}`);

test("where WebSockets are refused the page sends 1,000 and gets 1,000, each once and in order, over 20 cuts", { skip: noBrowser || noNode || noNginx, timeout: 240_000 }, async (t) => {
  const [port, apiPort, wsPort] = [await freePort(), await freePort(), await freePort()];
  const outside = `127.0.0.1:${port}`;
  const [api, ws] = [`http://127.0.0.1:${apiPort}`, `ws://127.0.0.1:${wsPort}`];
  await startNode(t, {
    at: { api: new URL(api).host, ws: new URL(ws).host },
    extra: ["--listen.trusted_proxies", "127.0.0.1", "--node.api_url", `http://${outside}`, "--node.ws_url", `ws://${outside}`],
  });
  const proxy = await startNginxWithoutWebSockets(t, { port, api, ws });
  const browser = await startBrowser(t, directory());
  const exceptions = [];
  const page = await browser.open(`http://${outside}/`, (text) => exceptions.push(text), `document.querySelector("#status")`);
  const { ask, evaluate } = page;

  // Ann is on the page, by its own form; Bob's client is at the node itself.
  await until(() => evaluate(`!document.querySelector("#sign").hidden`), "the form");
  await evaluate(`(() => {
    const form = document.querySelector("#sign-form");
    form.elements.username.value = "ann";
    form.elements.password.value = ${JSON.stringify(PASSWORD)};
    form.requestSubmit(form.querySelector("button[value=signup]"));
  })()`);
  const isOnline = () => evaluate(`document.querySelector("#status").textContent.includes("online")`);
  await until(isOnline, "ann is online");
  const ann = await evaluate(`JSON.parse(sessionStorage.getItem("rookery.account")).user_id`);
  const account = new Account({ apiUrl: api, store: new MemoryStore() });
  await account.signUp({ username: "bob", password: PASSWORD });
  const bobs = new Api({ url: api, token: account.token });
  const { channel_id: channelId } = await bobs.createChannel({ kind: "direct", user_id: ann });
  const bob = new Client({ url: `${ws}/connection/websocket`, store: new MemoryStore(), WebSocket, token: account.token });
  t.after(() => bob.stop());
  await bob.start();
  await until(() => evaluate(`document.querySelector("#channels button") !== null`), "the channel in the list");
  await evaluate(`document.querySelector("#channels button").click()`);

  const model = await only(ask, evaluate, "/client/model.js", "Model");
  /** The value of a function's body in the page, in which `model` is its model. */
  const look = async (body) => {
    const { result, exceptionDetails } = await ask("Runtime.callFunctionOn", {
      objectId: model, functionDeclaration: `function () { const model = this; const channel = model.channel(${JSON.stringify(channelId)}); ${body} }`, returnByValue: true,
    });
    assert.ok(!exceptionDetails, exceptionDetails?.exception?.description);
    return result.value;
  };
  await look(`
    globalThis.told = [];
    globalThis.states = [];
    model.client.on("message", ({ message }) => told.push(message));
    model.client.on("state", (state) => states.push(state));
  `);
  const transport = () => look("return model.client.state.transport;");
  const write = (texts) => evaluate(`(() => {
    const form = document.querySelector("#write-form");
    for (const text of ${JSON.stringify(texts)}) {
      form.querySelector("textarea").value = text;
      form.requestSubmit();
    }
  })()`);

  const beganMs = Date.now();
  const transports = [await transport()];
  let cutOff = 0;
  for (let cut = 0; cut < CUTS; cut += 1) {
    // It may be noticed between the two looks that it was cut off: then it is by nothing, for a moment.
    let by;
    await until(async () => (await isOnline()) && (by = await transport()) !== undefined, `ann is online again after cut ${cut}`);
    transports.push(by);
    await write(numbered("ann", cut * EACH, (cut + 1) * EACH));
    for (const text of numbered("bob", cut * EACH, (cut + 1) * EACH)) bob.send(channelId, text);
    // Into what is on its way, at another moment of it each time.
    await sleep(10 * cut);
    if (await look("return model.acts.waiting(channel.channel_id).length;") > 0) cutOff += 1;
    await proxy.cut();
  }
  await until(() => look("return model.acts.waiting(channel.channel_id).length === 0;"), "every answer to ann");
  await until(() => bob.outgoing().length === 0, "every answer to bob");
  await until(() => look(`return channel.tail.to === ${2 * MESSAGES};`), "the last message on the page");
  await until(isOnline, "ann is online in the end");
  const tookMs = Date.now() - beganMs;

  const heard = [];
  while (heard.length < 2 * MESSAGES) {
    const { messages } = await bobs.call("GET", `/v1/channels/${channelId}/messages?after=${heard.at(-1)?.seq ?? 0}&limit=200`);
    assert.ok(messages.length > 0, `the history ends after ${heard.length}`);
    heard.push(...messages);
  }
  const of = (who, messages) => messages.filter(({ from }) => (from === ann) === (who === "ann")).map(({ body }) => body);
  const shown = await look("return channel.shown();");
  const told = await evaluate("told");
  for (const [what, messages] of Object.entries({ "the history": heard, "the page's model": shown, "what the page was told": told })) {
    assert.deepEqual(messages.map(({ seq }) => seq), Array.from({ length: 2 * MESSAGES }, (_, at) => at + 1), what);
    for (const who of ["ann", "bob"]) assert.deepEqual(of(who, messages), numbered(who, 0, MESSAGES), `${who} in ${what}`);
  }
  const rows = await evaluate(`[...document.querySelectorAll("#messages .message")].map((row) => ({ seq: Number(row.dataset.seq), text: row.innerText }))`);
  assert.deepEqual(rows.slice(-100).map(({ seq }) => seq), heard.slice(-100).map(({ seq }) => seq), "the newest rows, and none that waits");
  for (const [at, { text }] of rows.slice(-100).entries()) assert.ok(text.includes(heard.at(at - 100).body), text);

  assert.equal(await transport(), "sse");
  assert.equal(await evaluate(`document.querySelector("#status").textContent`), "online, by event stream");
  assert.deepEqual(transports.filter((name) => name !== "sse"), [], "it left the event stream");
  assert.ok(cutOff >= CUTS / 2, `only ${cutOff} cuts met a message on its way`);
  const log = proxy.log();
  assert.deepEqual(log.filter((line) => line.startsWith("101")), [], "a WebSocket was let through");
  // Of a stream that it is cut off nginx notes nothing.
  const lives = (await evaluate("states")).filter(({ state }) => state === "live");
  assert.ok(lives.length >= CUTS, `it connected again ${lives.length} times`);
  assert.deepEqual(lives.filter(({ resumed }) => !resumed), [], "it began anew");
  assert.deepEqual(exceptions, []);
  const refused = log.filter((line) => line === "403 GET /connection/websocket").length;
  t.diagnostic(`${2 * MESSAGES} messages in ${tookMs} ms over ${CUTS} cuts, ${cutOff} of which met a message on its way; ${lives.length} event streams after the first, ${refused} WebSockets refused`);
  if (process.env.ROOKERY_PICTURE) {
    const { data } = await ask("Page.captureScreenshot", { format: "png" });
    writeFileSync(process.env.ROOKERY_PICTURE, Buffer.from(data, "base64"));
  }
});

/** The one instance of a class of a page's module, as an object of its. */
async function only(ask, evaluate, path, name) {
  await evaluate(`import(${JSON.stringify(path)}).then((module) => { globalThis.prototypeLookedFor = module[${JSON.stringify(name)}].prototype; })`);
  const { result } = await ask("Runtime.evaluate", { expression: "prototypeLookedFor" });
  const { objects } = await ask("Runtime.queryObjects", { prototypeObjectId: result.objectId });
  const first = await ask("Runtime.callFunctionOn", { objectId: objects.objectId, functionDeclaration: "function () { if (this.length !== 1) throw new Error(`there are ${this.length}`); return this[0]; }" });
  assert.ok(!first.exceptionDetails, first.exceptionDetails?.exception?.description);
  return first.result.objectId;
}
