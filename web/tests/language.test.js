// What the page says in another language: every text that it shows is in the catalogue, with the same fields.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const kept = new Map();
globalThis.localStorage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
const browser = (...languages) => Object.defineProperty(globalThis, "navigator", { value: { languages, language: languages[0] }, configurable: true });
browser("en-US");

const { ko } = await import("../view/ko.js");
const { language, onLanguage, speak, t, tn } = await import("../view/language.js");
const words = await import("../view/words.js");

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const TEXT = `"((?:[^"\\\\]|\\\\.)*)"`;
/** Texts that are looked up by a name: `const NAME = {…}` or `[…]` in a file. */
const NAMED = {
  "view/told.js": ["WORDS"], "view/create.js": ["KINDS"], "view/friends.js": ["STATES"], "view/message.js": ["DEEDS"], "view/post.js": ["AUDIENCES"],
  "view/about.js": ["ROLES", "words"], "view/notifications.js": ["WAYS", "CATEGORIES"], "client/standing.js": ["SIGNED_OUT", "ENDED", "WAYS"],
};

/** Every text that the page shows, with where. */
function texts() {
  const found = new Map();
  const all = (source, pattern, where, ...groups) => {
    for (const match of source.matchAll(pattern)) for (const group of groups) if (match[group]) found.set(match[group].trim(), where);
  };
  for (const name of readdirSync(new URL("../view", import.meta.url))) {
    const source = read(`../view/${name}`);
    all(source, new RegExp(`\\bt\\(\\s*${TEXT}`, "gu"), name, 1);
    all(source, new RegExp(`\\bt\\([^"()]*\\? ${TEXT} : ${TEXT}`, "gu"), name, 1, 2);
    all(source, new RegExp(`\\btn\\([^"]*${TEXT},\\s*${TEXT}`, "gu"), name, 2);
    all(source, new RegExp(`\\babout\\(${TEXT}`, "gu"), name, 1);
  }
  for (const [path, names] of Object.entries(NAMED)) {
    for (const name of names) {
      const block = new RegExp(`const ${name} = ([[{][\\s\\S]*?[\\]}]);`, "u").exec(read(`../${path}`));
      assert.ok(block, `${path} has no ${name}`);
      // Values, and not the keys of which some are quoted.
      all(block[1], new RegExp(`${TEXT}(?!:)`, "gu"), path, 1);
    }
  }
  const page = read("../index.html");
  all(page, /<[^>]* data-t(?=[ >])[^>]*>([^<]+)</gu, "index.html", 1);
  for (const [tag] of page.matchAll(/<[^>]* data-t-attributes[^>]*>/gu)) all(tag, /(?:title|aria-label|placeholder)="([^"]*)"/gu, "index.html", 1);
  return found;
}

const fieldsOf = (text) => [...text.matchAll(/\{\w+\}/gu)].map(([field]) => field).sort().join();

test("every text that the page shows is in Korean too, and no other", () => {
  const shown = texts();
  assert.ok(shown.size > 150, `${shown.size} texts were found`);
  assert.deepEqual([...shown].filter(([text]) => !Object.hasOwn(ko, text)), []);
  for (const [text, said] of Object.entries(ko)) assert.equal(fieldsOf(said), fieldsOf(text), text);
  // Of standing, which are said by its functions.
  const spoken = ["online", "connecting…", "offline, trying again…", "away", "offline", "Your token is not valid any more. Sign in with a new one."];
  const elsewhere = ["Text messages", "Add as a friend", "{names} is typing…", "{names} are typing…"];
  assert.deepEqual(Object.keys(ko).filter((text) => !shown.has(text) && ![...spoken, ...elsewhere].includes(text)), []);
});

test("no text stands in the page that cannot be translated", () => {
  const page = read("../index.html").replace(/<svg[\s\S]*?<\/svg>/gu, "");
  const bare = [...page.matchAll(/<(\w+)([^>]*)>([^<]*\p{L}[^<]*)</gu)].filter(([, tag, props]) => !["title", "h1", "noscript"].includes(tag) && !/ data-t(?=[ >]|$)/u.test(props));
  assert.deepEqual(bare.map(([whole]) => whole), []);
  const named = [...page.matchAll(/<[^>]* (?:title|aria-label|placeholder)="[^"]*"[^>]*>/gu)].filter(([tag]) => !tag.includes("data-t-attributes"));
  assert.deepEqual(named.map(([tag]) => tag), []);
});

test("it is the user's choice, else the browser's, else English", async () => {
  assert.equal(language(), "en");
  const told = [];
  onLanguage(() => told.push(language()));
  speak("ko");
  assert.deepEqual([told, kept.get("rookery.language"), t("Feed"), tn(1, "{count} post", "{count} posts")], [["ko"], "ko", "피드", "글 1개"]);
  speak("en");
  assert.deepEqual([t("Feed"), tn(1, "{count} post", "{count} posts"), tn(2, "{count} post", "{count} posts"), t("{at} of {all}", { at: 1 })], ["Feed", "1 post", "2 posts", "1 of {all}"]);
  const check = async (chosen, languages, expected) => {
    kept.clear();
    if (chosen) kept.set("rookery.language", chosen);
    browser(...languages);
    const fresh = await import(`../view/language.js?${Math.random()}`);
    assert.equal(fresh.language(), expected, `${chosen} ${languages}`);
  };
  await check(null, ["ko-KR", "en"], "ko");
  await check(null, ["fr-FR", "ko", "en"], "ko");
  await check(null, ["fr-FR"], "en");
  await check(null, ["en-GB", "ko"], "en");
  await check("ko", ["en-GB"], "ko");
  await check("toString", ["en-GB"], "en");
});

test("sizes, times and what a message says in both", () => {
  const check = (tag, act, expected) => {
    speak(tag);
    assert.equal(act(), expected);
  };
  browser("en-US");
  check("en", () => words.fileSize(0), "0 byte");
  check("en", () => words.fileSize(999), "999 byte");
  check("en", () => words.fileSize(1500), "1.5 kB");
  check("en", () => words.fileSize(25 * 1024 * 1024), "26 MB");
  check("ko", () => words.fileSize(1500), "1.5kB");
  check("en", () => words.some(["Bora"]), "Bora");
  check("en", () => words.some(["A", "B", "C", "D", "E"]), "A, B, C, and 2 others");
  check("ko", () => words.ago(Date.now() - 5 * 60_000), "5분 전");
  check("en", () => words.ago(Date.now() - 5 * 60_000), "5 minutes ago");
  const picture = { kind: "image", name: "a.png" };
  const check2 = (message, en, korean) => {
    check("en", () => words.said(message, 20), en);
    check("ko", () => words.said(message, 20), korean);
  };
  check2({ body: "look", media: [picture] }, "look", "look");
  check2({ body: "", media: [picture] }, "Picture", "사진 1장");
  check2({ body: "", media: [picture, picture] }, "2 pictures", "사진 2장");
  check2({ body: "", media: [{ kind: "file", name: "report.pdf" }] }, "report.pdf", "report.pdf");
  check2({ body: "", media: [{ kind: "file", name: "" }, picture] }, "2 files", "파일 2개");
  check2({ body: "", deleted: true, media: [] }, "deleted", "삭제됨");
  check2({ body: "" }, "", "");
  speak("en");
});
