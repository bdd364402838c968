// The page that a node serves, in Chromium: two users send pictures and files in a chat, also over a network that lets none through and a
// reload of the page.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { noBrowser, startBrowser } from "./chromium.js";
import { open } from "./page-user.js";
import { landscape } from "./png.js";
import { directory, noNode, startNode } from "./server.js";

test("two users send pictures and files in a chat", { skip: noBrowser || noNode, timeout: 600_000 }, async (t) => {
  const node = await startNode(t);
  const browser = await startBrowser(t, directory());
  const exceptions = [];
  const ann = await open(browser, node, exceptions, "ann", { width: 1280, height: 860, scheme: "light", language: "en-GB" });
  const bob = await open(browser, node, exceptions, "bob", { width: 400, height: 800, scheme: "dark", language: "ko-KR" });
  const { channel_id: channelId } = await ann.http("POST", "/v1/channels", { kind: "direct", user_id: bob.id });
  for (const user of [ann, bob]) {
    await user.is(`document.querySelector("#channels button")`, "the channel in the list");
    await user.click("#channels button");
  }
  const report = Buffer.alloc(300_000, "a report, ");
  const place = directory();
  for (const [name, bytes] of [["cliff.png", landscape(800, 500, 1)], ["report.bin", report]]) writeFileSync(join(place, name), bytes);
  const { result } = await ann.ask("Runtime.evaluate", { expression: `document.querySelector("#attached input[type=file]")` });
  await ann.ask("DOM.setFileInputFiles", { objectId: result.objectId, files: ["cliff.png", "report.bin"].map((name) => join(place, name)) });
  await ann.is(`document.querySelectorAll("#attached .chip").length === 2`, "two files");
  await ann.shot("09-chat-attached-light-wide");
  await ann.type("#write-form textarea", "look at this");
  await ann.key("Enter");
  for (const user of [ann, bob]) {
    await user.says("look at this");
    await user.pictures("#messages", 1);
    await user.says("report.bin");
    await user.says("300");
  }
  await ann.is(`!document.querySelector("#messages .waiting")`, "it waits no more");
  for (const user of [ann, bob]) {
    await user.is("document.scrollingElement.scrollHeight <= innerHeight", "the page itself does not scroll");
  }
  await ann.shot("10-chat-light-wide");
  await bob.shot("11-chat-ko-dark-narrow");
  const got = await bob.evaluate(`fetch(document.querySelector("#messages .file").href).then(async (answer) => [answer.status, (await answer.arrayBuffer()).byteLength, answer.headers.get("content-disposition").split(";")[0]])`);
  assert.deepEqual(got, [200, report.length, "attachment"]);
  await bob.click("#messages .picture");
  await bob.is(`document.querySelector("dialog.viewer .frame.is-loaded")`, "the viewer");
  await bob.shot("12-viewer-ko-dark-narrow");
  await bob.key("Escape");
  await bob.click("#back");
  await bob.says("look at this");

  // Files that do not get through: one is cancelled, another waits over a reload of the page.
  await ann.ask("Network.enable");
  await ann.ask("Network.setBlockedURLs", { urls: ["*/v1/media*"] });
  await ann.bring("paste", "#write-form textarea", [["no.png", "image/png", landscape(50, 40)]]);
  await ann.is(`document.querySelector("#attached .chip progress:not([hidden])")`, "it is on its way");
  await ann.click("#attached .chip [aria-label^=Cancel]");
  await ann.is(`document.querySelectorAll("#attached .chip").length === 0`, "it is cancelled");
  await ann.bring("drop", "#messages", [["later.png", "image/png", landscape(120, 90, 3)]]);
  await ann.type("#write-form textarea", "this one takes a while");
  await ann.key("Enter");
  await ann.is(`document.querySelector("#messages .waiting .chip")`, "it waits");
  await ann.shot("13-chat-waiting-light-wide");
  await ann.type("#write-form textarea", "and this one does not");
  await ann.key("Enter");
  await ann.is(`[...document.querySelectorAll("#messages [data-seq]")].some((row) => row.innerText.includes("and this one does not"))`, "what is behind it does not wait");
  await ann.ask("Page.reload");
  await ann.online();
  await ann.click("#channels button");
  await ann.is(`document.querySelector("#messages .waiting .chip")`, "it still waits");
  await ann.ask("Network.setBlockedURLs", { urls: [] });
  await ann.pictures("#messages", 2);
  await ann.is(`!document.querySelector("#messages .waiting")`, "it is sent");
  const { messages } = await bob.http("GET", `/v1/channels/${channelId}/messages?after=0&limit=10`);
  assert.deepEqual(messages.map(({ body, media = [] }) => [body, media.map(({ name, kind }) => `${kind} ${name}`)]), [
    ["look at this", ["image cliff.png", "file report.bin"]], ["and this one does not", []], ["this one takes a while", ["image later.png"]],
  ]);
  assert.deepEqual(exceptions, []);
});
