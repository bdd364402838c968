// The page where accounts are another service's: who comes in by which token, in Chromium.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { noBrowser, startBrowser } from "./chromium.js";
import { directory, noNode, startNode } from "./server.js";

const WAIT_MS = 60_000;
const SECRET = "a secret of the shop's, which has more than 32 bytes";
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(is, what) {
  for (const endMs = Date.now() + WAIT_MS; !(await is()); await sleep(20)) assert.ok(Date.now() < endMs, `${what} in ${WAIT_MS} ms`);
}

/** A node that takes the shop's tokens. */
async function startShop(t, mode) {
  const data = directory();
  const place = directory();
  writeFileSync(join(place, "shop.secret"), SECRET, { mode: 0o600 });
  const issuers = join(place, "auth.toml");
  writeFileSync(issuers, `[[issuer]]\nissuer = "shop"\nalgorithms = ["HS256"]\nsecret_file = "shop.secret"\nleeway_seconds = 0\n`);
  return startNode(t, { data, extra: ["--auth.mode", mode, "--auth.issuers_file", issuers] });
}

/** The shop's token for a user (RFC 7519). */
function tokenOf(user, { seconds = 3600, ...claims } = {}) {
  const nowS = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ iss: "shop", sub: user, name: `${user} of the shop`, iat: nowS, exp: nowS + seconds, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** A page at an address, and what it shows. */
async function openPage(browser, url, exceptions) {
  const { ask, evaluate } = await browser.open(url, (text) => exceptions.push(text), `document.querySelector("#status")`);
  // While it is loaded anew nothing is shown.
  const shown = () => evaluate("document.body.innerText").catch(() => "");
  return {
    ask,
    evaluate,
    shown,
    says: (text) => until(async () => (await shown()).includes(text), `"${text}"`),
    online: () => until(() => evaluate(`document.querySelector("#status").textContent.includes("online")`).catch(() => false), "online"),
    offers: (form) => evaluate(`document.querySelector("${form}").checkVisibility()`).catch(() => false),
    /** What the keyboard does: into the field that has the focus. */
    type: (text) => ask("Input.insertText", { text }),
    key: async (key) => {
      await ask("Input.dispatchKeyEvent", { type: "keyDown", key, code: key, windowsVirtualKeyCode: key === "Enter" ? 13 : 9, text: key === "Enter" ? "\r" : undefined });
      await ask("Input.dispatchKeyEvent", { type: "keyUp", key, code: key, windowsVirtualKeyCode: key === "Enter" ? 13 : 9 });
    },
    focused: () => evaluate(`document.activeElement?.name || document.activeElement?.textContent || ""`),
    address: () => evaluate("location.href"),
  };
}

test("where accounts are another service's the page asks for a token, and never for a password", { skip: noBrowser || noNode, timeout: 240_000 }, async (t) => {
  const node = await startShop(t, "external");
  const browser = await startBrowser(t, directory());
  const exceptions = [];

  // Pasted, by the keyboard alone.
  const page = await openPage(browser, node.api, exceptions);
  await until(() => page.offers("#token-form"), "the form for a token");
  assert.equal(await page.offers("#sign-form"), false, "nobody signs up or in by a password");
  assert.equal(await page.focused(), "token");
  const tree = (await page.ask("Accessibility.getFullAXTree")).nodes.filter(({ ignored }) => !ignored);
  const field = tree.find(({ role, name }) => role?.value === "textbox" && name?.value.trim() === "Token");
  assert.match(field?.description?.value ?? "", /paste the token/u, "what a screen reader says of the field");
  await page.type("no token at all");
  await page.key("Enter");
  await page.says("This is no token");
  await page.evaluate(`document.querySelector("#token-form").reset()`);
  await page.type("not.the.shops");
  await page.key("Enter");
  await until(async () => /not valid|unknown|refused/u.test(await page.evaluate(`document.querySelector("#token-form .problem").textContent`)), "why it is refused");
  await page.evaluate(`document.querySelector("#token-form").reset()`);
  await page.type(tokenOf("ann"));
  await page.key("Enter");
  await page.online();
  await page.says("ann of the shop");

  // By a link, whose token is not in the address for long, and signs nobody in before they were asked.
  const link = await openPage(browser, `${node.api}/#token=${tokenOf("bob")}&channel=7`, exceptions);
  await link.says("This link signs you in as bob of the shop.");
  assert.equal(await link.address(), `${node.api}/#channel=7`);
  assert.equal(await link.focused(), "Sign in");
  await link.key("Enter");
  await link.online();
  assert.equal(await link.address(), `${node.api}/`);

  // A link for somebody else, in the tab of somebody who is signed in.
  const follow = (url) => link.evaluate(`location.hash = ${JSON.stringify(new URL(url).hash)}`);
  await follow(`${node.api}/#token=${tokenOf("eve")}`);
  await link.says("This link signs you in as eve of the shop. You are signed in as bob of the shop.");
  await link.evaluate(`document.querySelector("#arrived-form button[value=leave]").click()`);
  await link.online();
  assert.equal(await link.evaluate(`document.querySelector("#me").textContent`), "bob of the shop");
  await follow(`${node.api}/#token=nothing`);
  await link.says("The link's token is not taken");
  await link.evaluate(`document.querySelector("#arrived-form button[value=leave]").click()`);
  await link.online();
  await follow(`${node.api}/#token=${tokenOf("bob")}`);
  await link.online();
  assert.equal(await link.address(), `${node.api}/`);

  // One that ends while it is used: the page says what to do.
  const short = await openPage(browser, `${node.api}/#token=${tokenOf("cho", { seconds: 8 })}`, exceptions);
  await short.says("This link signs you in as cho of the shop.");
  await short.key("Enter");
  await short.online();
  await short.says("Your token is not valid any more. Sign in with a new one.");
  assert.equal(await short.offers("#token-form"), true);
  assert.deepEqual(exceptions, []);
});

test("where both count the page offers both", { skip: noBrowser || noNode, timeout: 120_000 }, async (t) => {
  const node = await startShop(t, "both");
  const browser = await startBrowser(t, directory());
  const exceptions = [];
  const page = await openPage(browser, node.api, exceptions);
  await until(() => page.offers("#sign-form"), "the form for a password");
  assert.equal(await page.offers("#token-form"), false, "the other waits behind its words");
  await page.evaluate(`document.querySelector("#by-token summary").click()`);
  await until(() => page.offers("#token-form"), "the form for a token");
  await page.evaluate(`document.querySelector("#token-form input").focus()`);
  await page.type(tokenOf("ann"));
  await page.key("Enter");
  await page.online();
  await page.evaluate(`sessionStorage.clear(), location.reload()`);
  await until(() => page.offers("#sign-form"), "the form for a password again");
  assert.equal(await page.focused(), "username");
  await page.type("minsu");
  await page.evaluate(`document.querySelector("#sign-form input[name=password]").focus()`);
  await page.type("correct horse battery");
  await page.evaluate(`document.querySelector("#sign-form button[value=signup]").click()`);
  await page.online();
  assert.deepEqual(exceptions, []);
});

test("where accounts are the node's own nobody is asked for a token, and one that its backend made comes in by a link", { skip: noBrowser || noNode, timeout: 120_000 }, async (t) => {
  const node = await startNode(t);
  const browser = await startBrowser(t, directory());
  const exceptions = [];
  const page = await openPage(browser, node.api, exceptions);
  await until(() => page.offers("#sign-form"), "the form for a password");
  assert.equal(await page.evaluate(`document.querySelector("#by-token").hidden`), true);
  const signUp = await fetch(`${node.api}/v1/auth/signup`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ username: "ann", password: "correct horse battery", device_id: "tab-7" }),
  });
  const { token } = await signUp.json();
  const link = await openPage(browser, `${node.api}/#token=${encodeURIComponent(token)}&device_id=tab-7`, exceptions);
  await link.says("This link signs you in as ann.");
  await link.key("Enter");
  await link.online();
  assert.deepEqual(exceptions, []);
});
