// The page that a node serves, in Chromium: two users chat, over a reload and kill -9 of the node.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { noBrowser, startBrowser } from "./chromium.js";
import { askAsBackend, backendOf, directory, noNode, startNode } from "./server.js";

const WAIT_MS = 60_000;
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(is, what) {
  for (const endMs = Date.now() + WAIT_MS; !(await is()); await sleep(50)) assert.ok(Date.now() < endMs, `${what} in ${WAIT_MS} ms`);
}

test("two users chat on the page", { skip: noBrowser || noNode, timeout: 240_000 }, async (t) => {
  let node = await startNode(t);
  const browser = await startBrowser(t, directory());
  const exceptions = [];
  const open = (url) => browser.open(url, (text) => exceptions.push(text), `document.querySelector("#status")`);
  const signUp = async (username) => {
    const page = await open(node.api);
    await until(() => page.evaluate(`!document.querySelector("#sign").hidden`), "the form");
    await page.evaluate(`(() => {
      const form = document.querySelector("#sign-form");
      form.elements.username.value = ${JSON.stringify(username)};
      form.elements.password.value = "correct horse battery";
      form.requestSubmit(form.querySelector("button[value=signup]"));
    })()`);
    const says = (text) => page.evaluate(`document.body.innerText.includes(${JSON.stringify(text)})`);
    const isOnline = () => page.evaluate(`document.querySelector("#status").textContent.includes("online")`);
    await until(isOnline, `${username} is online`);
    const id = await page.evaluate(`JSON.parse(sessionStorage.getItem("rookery.account")).user_id`);
    const http = (method, path, body) => page.evaluate(`(async () => {
      const account = await import("/client/account.js");
      return account.http(${JSON.stringify(method)}, ${JSON.stringify(path)}, ${JSON.stringify(body)});
    })()`);
    const write = (text) => page.evaluate(`(() => {
      const form = document.querySelector("#write-form");
      form.querySelector("textarea").value = ${JSON.stringify(text)};
      form.requestSubmit();
    })()`);
    const rows = () => page.evaluate(`[...document.querySelectorAll("#messages [data-seq]")].map((row) => row.innerText)`);
    return { page, id, says, isOnline, http, write, rows };
  };
  const ann = await signUp("ann");
  const bob = await signUp("bob");
  const { channel_id: channelId } = await ann.http("POST", "/v1/channels", { kind: "direct", user_id: bob.id });
  for (const { page } of [ann, bob]) {
    await until(() => page.evaluate(`document.querySelector("#channels button") !== null`), "the channel in the list");
    await page.evaluate(`document.querySelector("#channels button").click()`);
  }
  await ann.write("the kettle is on");
  await until(() => bob.says("the kettle is on"), "bob sees it");
  await bob.write("two sugars");
  await until(() => ann.says("two sugars"), "ann sees it");
  // Which is nothing to the page: it goes on.
  const said = { event: "poll.moved", data: "{\"tea\":3}" };
  await askAsBackend(node, backendOf(node), "POST", `/v1/server/channels/${channelId}/publish`, said);
  await ann.write("nobody drinks it cold");
  await until(() => bob.says("nobody drinks it cold"), "bob sees what comes after it");
  await node.kill();
  await until(async () => !(await ann.isOnline()), "ann is told that there is no node");
  await ann.write("written while nobody was there");
  await until(() => ann.says("sending…"), "it waits");
  node = await node.again();
  await ann.page.ask("Page.navigate", { url: node.api });
  await until(() => ann.isOnline().catch(() => false), "ann is online");
  await until(() => bob.says("written while nobody was there"), "bob sees what waited");
  await ann.page.evaluate(`document.querySelector("#channels button").click()`);
  await until(() => ann.says("written while nobody was there"), "and ann");
  for (const { rows } of [ann, bob]) {
    const texts = await rows();
    for (const text of ["the kettle is on", "two sugars", "written while nobody was there"]) {
      assert.equal(texts.filter((row) => row.includes(text)).length, 1, `${text}: ${JSON.stringify(texts)}`);
    }
  }
  assert.deepEqual(exceptions, []);
  if (process.env.ROOKERY_PICTURE) {
    const { data } = await bob.page.ask("Page.captureScreenshot", { format: "png" });
    writeFileSync(process.env.ROOKERY_PICTURE, Buffer.from(data, "base64"));
  }
});
