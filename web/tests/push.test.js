// How a browser comes to be told, and no longer.

import assert from "node:assert/strict";
import { test } from "node:test";

const kept = new Map();
globalThis.localStorage = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
};
globalThis.sessionStorage = {
  getItem: () => JSON.stringify({ token: "t", refresh_token: "r", device: "tab", user_id: "1" }), setItem() {}, removeItem() {},
};
globalThis.location = { origin: "http://page", pathname: "/" };

let did;
let heard;
let server;
let browser;
globalThis.fetch = async (path, { method, body }) => {
  if (method === "GET") return { ok: true, status: 200, text: async () => JSON.stringify(server) };
  if (browser.offline) throw new TypeError("Failed to fetch");
  const { medium, subscription } = body ? JSON.parse(body) : {};
  did.push([method, path.split("/")[4], medium, subscription?.endpoint].filter(Boolean).join(" "));
  const device_id = path.split("/")[4];
  server.contacts = server.contacts.filter((contact) => contact.device_id !== device_id);
  if (method === "PUT") server.contacts.push({ medium, device_id });
  return { ok: true, status: 204, text: async () => "" };
};

const subscription = (endpoint) => ({
  endpoint,
  toJSON: () => ({ endpoint, keys: {} }),
  unsubscribe: async () => {
    if (browser.stuck) throw new Error("stuck");
    did.push(`unsubscribe ${endpoint}`);
    browser.subscription = null;
    return true;
  },
});
const registration = {
  getNotifications: async () => [],
  pushManager: {
    getSubscription: async () => browser.subscription,
    subscribe: async ({ userVisibleOnly, applicationServerKey }) => {
      assert.ok(userVisibleOnly && browser.permission === "granted");
      did.push(`subscribe ${applicationServerKey}`);
      browser.subscription = subscription(`new-${applicationServerKey}`);
      return browser.subscription;
    },
  },
};
const serviceWorker = {
  register: async () => { browser.registered = true; },
  get ready() { return Promise.resolve(registration); },
  getRegistration: async () => (browser.registered ? registration : undefined),
  addEventListener: (_, listener) => { heard = listener; },
};
const navigator = (given) => Object.defineProperty(globalThis, "navigator", { value: given, configurable: true });
globalThis.PushManager = class {};
globalThis.Notification = class {
  static get permission() { return browser.permission; }
  static async requestPermission() {
    did.push("ask");
    browser.permission = browser.answer ?? browser.permission;
    return browser.permission;
  }
};

const push = await import("../client/push.js");

/** One who is told here, by `device`, of the endpoint `old` and for the key `k1`. */
const note = { user_id: "1", device_id: "tab", endpoint: "old", key: "k1" };
const told = { permission: "granted", registered: true, old: "old", note };

/**
 * A browser, what the server says, and deeds one after the other: what was done, and the state then. The server sends for `key`,
 * and tells `devices`.
 */
async function check({ unsupported, note, old, key = "k1", devices = "", media = ["mail", "webpush"], ...rest }, deeds, expected) {
  browser = { permission: "default", ...rest };
  browser.subscription = old ? subscription(old) : null;
  navigator({ language: "en", serviceWorker: unsupported ? undefined : serviceWorker });
  kept.clear();
  if (note) kept.set("rookery.push", JSON.stringify(note));
  const contacts = devices.split(" ").filter(Boolean).map((device_id) => ({ medium: "webpush", device_id }));
  server = { media, webpush_key: key ?? undefined, contacts };
  did = [];
  for (const deed of deeds.split(" ").filter(Boolean)) await push[deed]().catch((error) => did.push(error.message));
  assert.equal([...did, await push.state()].join(", "), expected);
}

test("it says why it is not on, and asks nobody unasked", async () => {
  await check({ unsupported: true }, "renew", "unsupported");
  await check({ media: ["mail"], key: null }, "renew", "unoffered");
  await check({ media: [], key: "k1" }, "renew", "unoffered");
  await check({ permission: "denied" }, "renew", "denied");
  await check({}, "renew", "off");
  await check({ permission: "granted" }, "renew", "off");
});

test("it is on when the user has allowed it and the server has the subscription", async () => {
  await check({ answer: "granted" }, "turnOn", "ask, subscribe k1, PUT tab webpush new-k1, on");
  await check({ answer: "denied" }, "turnOn", "ask, denied");
  await check({}, "turnOn", "ask, off");
  await check({ answer: "granted", media: [], key: null }, "turnOn", "ask, unoffered");
  await check({ answer: "granted", offline: true }, "turnOn", "ask, subscribe k1, the server cannot be reached, off");
  await check({ ...told, devices: "tab" }, "renew", "on");
  // Another tab's, open or long closed.
  await check({ ...told, note: { ...note, device_id: "other" }, devices: "other" }, "renew", "on");
});

test("what does not count any more is made anew", async () => {
  await check({ ...told, devices: "tab", key: "k2" }, "renew", "unsubscribe old, subscribe k2, PUT tab webpush new-k2, on");
  await check({ ...told, devices: "tab", old: "changed" }, "renew", "PUT tab webpush changed, on");
  await check({ ...told, devices: "tab", old: null }, "renew", "subscribe k1, PUT tab webpush new-k1, on");
  await check({ ...told, devices: "" }, "renew", "unsubscribe old, subscribe k1, PUT tab webpush new-k1, on");
  await check({ ...told, devices: "other" }, "renew", "unsubscribe old, subscribe k1, PUT tab webpush new-k1, on");
  await check({ ...told, devices: "tab", permission: "default" }, "renew", "off");
  await check({ ...told, devices: "tab", permission: "denied" }, "renew", "denied");
});

test("a browser tells one account, the last that asked for it", async () => {
  const others = { ...told, note: { ...note, user_id: "2" } };
  await check({ ...others, devices: "tab" }, "renew leave", "off");
  await check(others, "turnOn", "ask, PUT tab webpush old, on");
  await check({ ...others, key: "k2" }, "turnOn", "ask, unsubscribe old, subscribe k2, PUT tab webpush new-k2, on");
});

test("it ends when it is turned off, and when any tab of the account signs out", async () => {
  await check({ ...told, devices: "tab" }, "turnOff", "DELETE tab, unsubscribe old, off");
  const other = { ...told, note: { ...note, device_id: "other" }, devices: "other" };
  await check(other, "leave", "DELETE other, unsubscribe old, off");
  await check({ ...told, devices: "tab", offline: true }, "turnOff", "unsubscribe old, off");
  await check({ ...told, devices: "tab", stuck: true }, "turnOff", "DELETE tab, off");
  await check({ ...told, devices: "tab", stuck: true, offline: true }, "turnOff", "the server cannot be reached, on");
  await check({}, "turnOff leave", "off");
});

test("a page answers for its own account", async () => {
  navigator({ serviceWorker });
  push.listen({ looking: (id) => id === "7", open: (id) => opened.push(id) });
  let opened;
  const say = (data, answer, ...channels) => {
    const answers = [];
    opened = [];
    heard({ data, ports: [{ postMessage: (given) => answers.push(given) }] });
    assert.deepEqual([answers, opened], [[answer], channels]);
  };
  say({ kind: "looking", channel_id: "7", user_id: "1" }, true);
  say({ kind: "looking", channel_id: "8", user_id: "1" }, false);
  say({ kind: "looking", channel_id: "7", user_id: "2" }, false);
  say({ kind: "open", channel_id: "7", user_id: "1" }, true, "7");
  say({ kind: "open", channel_id: "7", user_id: "2" }, false);
  // An application's, of no channel.
  say({ kind: "open" }, true);
});
