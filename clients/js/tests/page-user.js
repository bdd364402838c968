// A user on the page that a node serves, in Chromium: what one does there, and sees. With ROOKERY_PICTURES a directory gets what it looked
// like.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const WAIT_MS = 120_000;
const KEYS = { Enter: 13, Escape: 27, ArrowLeft: 37, ArrowRight: 39, ArrowDown: 40, PageDown: 34, Tab: 9 };
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(is, what) {
  for (const endMs = Date.now() + WAIT_MS; !(await is()); await sleep(50)) assert.ok(Date.now() < endMs, `${what} in ${WAIT_MS} ms`);
}

/** What a user does on a page, and sees. */
export class User {
  constructor(page, username) {
    Object.assign(this, { page, username, evaluate: page.evaluate, ask: page.ask });
  }

  async signUp() {
    await until(() => this.evaluate(`!document.querySelector("#sign").hidden`), "the form");
    await this.evaluate(`(() => {
      const form = document.querySelector("#sign-form");
      form.elements.username.value = ${JSON.stringify(this.username)};
      form.elements.password.value = "correct horse battery";
      form.requestSubmit(form.querySelector("button[value=signup]"));
    })()`);
    await this.online();
    this.id = await this.evaluate(`JSON.parse(sessionStorage.getItem("rookery.account")).user_id`);
  }

  online() {
    return until(() => this.evaluate(`document.querySelector("#status").textContent !== "" && !document.querySelector("#status").classList.contains("away")`).catch(() => false), `${this.username} is online`);
  }

  http(method, path, body) {
    return this.evaluate(`import("/client/account.js").then((account) => account.http(${JSON.stringify(method)}, ${JSON.stringify(path)}, ${JSON.stringify(body)}))`);
  }

  is(expression, what) {
    return until(() => this.evaluate(`Boolean(${expression})`), `${this.username}: ${what ?? expression}`);
  }

  says(text) {
    return this.is(`document.body.innerText.includes(${JSON.stringify(text)})`, text);
  }

  click(selector) {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
  }

  focus(selector) {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)}).focus()`);
  }

  async key(key) {
    const fields = { key, code: key, windowsVirtualKeyCode: KEYS[key] };
    await this.ask("Input.dispatchKeyEvent", { type: "keyDown", ...fields, ...(key === "Enter" && { text: "\r" }) });
    await this.ask("Input.dispatchKeyEvent", { type: "keyUp", ...fields });
  }

  async type(selector, text) {
    await this.focus(selector);
    await this.ask("Input.insertText", { text });
  }

  /** Files `[name, type, bytes]` are pasted into a field or dropped on something. */
  bring(kind, selector, files) {
    const given = files.map(([name, type, bytes]) => [name, type, Buffer.from(bytes).toString("base64")]);
    return this.evaluate(`(() => {
      const data = new DataTransfer();
      for (const [name, type, bytes] of ${JSON.stringify(given)}) data.items.add(new File([Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0))], name, { type }));
      const options = { bubbles: true, cancelable: true };
      const event = ${JSON.stringify(kind)} === "paste" ? new ClipboardEvent("paste", { ...options, clipboardData: data }) : new DragEvent("drop", { ...options, dataTransfer: data });
      document.querySelector(${JSON.stringify(selector)}).dispatchEvent(event);
    })()`);
  }

  /** A film of less than a second, which the browser makes, is pasted into a field. */
  film(selector, name) {
    return this.evaluate(`(async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 180 });
      const pen = canvas.getContext("2d");
      const recorder = new MediaRecorder(canvas.captureStream(10), { mimeType: "video/webm" });
      const parts = [];
      recorder.ondataavailable = ({ data }) => parts.push(data);
      const over = new Promise((resolve) => { recorder.onstop = resolve; });
      recorder.start();
      for (let at = 0; at < 8; at += 1) {
        pen.fillStyle = "hsl(" + at * 20 + " 70% 60%)";
        pen.fillRect(0, 0, 320, 180);
        await new Promise((resolve) => { setTimeout(resolve, 100); });
      }
      recorder.stop();
      await over;
      const data = new DataTransfer();
      data.items.add(new File(parts, ${JSON.stringify(name)}, { type: "video/webm" }));
      document.querySelector(${JSON.stringify(selector)}).dispatchEvent(new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData: data }));
    })()`);
  }

  /** Until so many pictures within something are drawn. */
  pictures(selector, count) {
    return this.is(`[...document.querySelectorAll(${JSON.stringify(`${selector} .picture.is-loaded img`)})].filter((image) => image.naturalWidth > 0).length === ${count}`, `${count} pictures in ${selector}`);
  }

  async shot(name) {
    if (!process.env.ROOKERY_PICTURES) return;
    mkdirSync(process.env.ROOKERY_PICTURES, { recursive: true });
    // What is behind another tab draws no frame by itself.
    await this.ask("Page.bringToFront");
    const { data } = await this.ask("Page.captureScreenshot", { format: "png" });
    writeFileSync(join(process.env.ROOKERY_PICTURES, `${name}.png`), Buffer.from(data, "base64"));
  }

  /** What a screen reader finds: `role: name`. */
  async spoken() {
    const { nodes } = await this.ask("Accessibility.getFullAXTree");
    return nodes.filter(({ ignored }) => !ignored).map(({ role, name }) => `${role?.value}: ${name?.value ?? ""}`);
  }
}

/** Opens the page as a new user, on a screen of its own. */
export async function open(browser, node, exceptions, username, { width, height, scheme, language }) {
  const page = await browser.open(node.api, (text) => exceptions.push(`${username}: ${text}`), `document.querySelector("#status")`);
  await page.ask("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
  await page.ask("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: "reduce" }] });
  await page.ask("Emulation.setUserAgentOverride", { userAgent: "Chrome/150", acceptLanguage: language });
  await page.ask("Emulation.setFocusEmulationEnabled", { enabled: true });
  await page.load();
  const user = new User(page, username);
  await user.signUp();
  return user;
}
