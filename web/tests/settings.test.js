// What a choice of the user's means, and what becomes of it.

import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.sessionStorage = { getItem: () => JSON.stringify({ token: "t", user_id: "1" }), setItem() {}, removeItem() {} };
globalThis.location = { origin: "http://page", pathname: "/" };
let server;
globalThis.fetch = async (path, { method, body }) => {
  if (method === "PUT") server.put = JSON.parse(body);
  const text = JSON.stringify(path.endsWith("/contacts") ? server.contacts : server.settings);
  return { ok: true, status: 200, text: async () => (method === "GET" ? text : "") };
};

const { choose, isTold, read, write } = await import("../client/settings.js");

const messages = { name: "messages", critical: false };
const news = { name: "news", critical: false };

test("what is not chosen is as by default", () => {
  const check = (categories, category, expected) => {
    const told = ["device", "mail", "sms"].filter((way) => isTold({ categories }, category, way));
    assert.equal(told.join(" "), expected, JSON.stringify(categories));
  };
  check({}, messages, "device");
  check({}, news, "device mail sms");
  check({ messages: { mail: true } }, messages, "device mail");
  check({ news: { webpush: false } }, news, "mail sms");
  check({ "*": { mail: false, apns: false } }, news, "sms");
  check({ "*": { mail: false }, news: { mail: true } }, news, "device mail sms");
  check({ "*": { mail: false } }, { name: "alarm", critical: true }, "device mail sms");
});

test("a choice changes nothing else", () => {
  const settings = { language: "de", categories: { news: { sms: false } } };
  const chosen = choose(settings, "news", "mail", false);
  assert.deepEqual(chosen, { language: "de", categories: { news: { sms: false, mail: false } } });
  assert.deepEqual(choose(chosen, "news", "mail", true).categories.news, { sms: false, mail: true });
  assert.deepEqual(choose(settings, "messages", "device", false).categories, {
    news: { sms: false }, messages: { apns: false, fcm: false, webpush: false, webhook: false },
  });
  assert.deepEqual(settings.categories, { news: { sms: false } });
});

test("it reads what there is, and writes all of it back", async () => {
  server = {
    settings: { language: "de", categories: {}, known: [messages], changed_ms: 5 },
    contacts: {
      media: ["webpush", "mail"],
      contacts: [
        { medium: "webpush", device_id: "tab" },
        { medium: "mail", hint: "a…@x", verified: true },
        { medium: "mail", hint: "b…@x", verified: false },
      ],
    },
  };
  const { settings, known, ways, addresses } = await read();
  assert.deepEqual([known, ways, addresses], [[messages], ["device", "mail"], { mail: { proved: "a…@x", pending: "b…@x" } }]);
  await write(choose(settings, "messages", "mail", true));
  assert.deepEqual(server.put, { ...server.settings, categories: { messages: { mail: true } } });
});
