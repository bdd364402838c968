// What the service worker shows, and where a click leads.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";

const SOURCE = readFileSync(new URL("../sw.js", import.meta.url), "utf8");
const CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15";

/** A worker in a browser whose pages, the last used first, are `{user, focused, looks}`: what it did is in `did`. */
function worker({ pages = [], userAgent = CHROMIUM, shown = [] } = {}) {
  const did = [];
  const listeners = {};
  const client = ({ user, focused = false, looks }) => ({
    focused,
    visibilityState: "visible",
    // Nobody answers where nobody is signed in.
    postMessage: ({ kind, channel_id, user_id }, [port]) => {
      if (!user) return;
      port.postMessage(kind === "looking" ? user === user_id && looks === channel_id : !user_id || user === user_id);
    },
    focus: async () => did.push(`focus ${user}`),
  });
  const context = {
    navigator: { userAgent, setAppBadge: async (badge) => did.push(`badge ${badge}`) },
    registration: {
      getNotifications: async ({ tag }) => shown.filter((notification) => notification.tag === tag),
      showNotification: async (title, { body, tag, renotify }) => {
        did.push([title, body, tag, renotify ? "heard" : "quiet"].filter(Boolean).join(" "));
      },
    },
    clients: { matchAll: async () => pages.map(client), openWindow: async (url) => did.push(`window ${url}`) },
    addEventListener: (name, listener) => { listeners[name] = listener; },
    // No test waits, and an answer comes before the end of the time for it.
    MessageChannel: class {
      constructor() {
        this.port1 = {};
        this.port2 = { postMessage: (data) => queueMicrotask(() => this.port1.onmessage({ data })) };
      }
    },
    setTimeout: (act) => setImmediate(act),
  };
  context.self = context;
  runInContext(SOURCE, createContext(context));
  const say = async (name, event) => {
    const waits = [];
    listeners[name]({ ...event, waitUntil: (promise) => waits.push(promise) });
    await Promise.all(waits);
  };
  return { did, say };
}

const MESSAGE = { id: "a", title: "Bora", body: "hi", tag: "7", badge: 3, data: { channel_id: "7", seq: "1", user_id: "1" } };

test("a push is shown, unless the user looks at its channel", async () => {
  const check = async (browser, message, expected) => {
    const { did, say } = worker(browser);
    await say("push", { data: { json: () => message } });
    assert.equal(did.join(", "), expected);
  };
  const looking = { user: "1", focused: true, looks: "7" };
  await check({}, MESSAGE, "badge 3, Bora hi 7 heard");
  await check({ pages: [looking] }, MESSAGE, "badge 3");
  await check({ pages: [{}, looking] }, MESSAGE, "badge 3");
  await check({ pages: [{ ...looking, focused: false }] }, MESSAGE, "badge 3, Bora hi 7 heard");
  await check({ pages: [{ ...looking, looks: "8" }] }, MESSAGE, "badge 3, Bora hi 7 heard");
  await check({ pages: [{ ...looking, user: "2" }] }, MESSAGE, "badge 3, Bora hi 7 heard");
  await check({ pages: [{ focused: true }] }, MESSAGE, "badge 3, Bora hi 7 heard");
  await check({ pages: [looking], userAgent: SAFARI }, MESSAGE, "badge 3, Bora hi 7 heard");
  // The same once more, and the next of its channel.
  await check({ shown: [{ tag: "7", data: { id: "a" } }] }, MESSAGE, "badge 3, Bora hi 7 quiet");
  await check({ shown: [{ tag: "7", data: { id: "b" } }] }, MESSAGE, "badge 3, Bora hi 7 heard");
  // An application's.
  await check({ pages: [looking] }, { id: "a", title: "On its way", body: "", data: {} }, "On its way quiet");
});

test("a click leads to a page of the account, or to a new one", async () => {
  const check = async (pages, data, expected) => {
    const { did, say } = worker({ pages });
    await say("notificationclick", { notification: { data, close: () => did.push("close") } });
    assert.equal(did.join(", "), `close, ${expected}`);
  };
  const { data } = MESSAGE;
  await check([{ user: "1" }], data, "focus 1");
  await check([{}, { user: "2" }, { user: "1" }], data, "focus 1");
  await check([{}, { user: "2" }], data, "window ./#channel=7");
  await check([], data, "window ./#channel=7");
  await check([], { notice_id: "5" }, "window ./");
  await check([{ user: "1" }], { url: "https://shop.example/order" }, "window https://shop.example/order");
  await check([{ user: "1" }], { url: "javascript:alert(1)" }, "focus 1");
});
