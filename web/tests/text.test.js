// Names, links and cuts in texts.

import assert from "node:assert/strict";
import { test } from "node:test";

import { beginning, mentioned, pieces, preview } from "../client/text.js";
import { json, wellFormed } from "../rookery-client/index.js";

const ANN = { user_id: "1", username: "ann" };

test("a text is cut into names, links and the rest", () => {
  // `<…>` is a link, `{…}` a name.
  const check = (text, shown) => {
    const marked = pieces(text, [ANN]).map(({ text: words, user_id, href }) => (href ? `<${words}>` : user_id ? `{${words}}` : words));
    assert.equal(marked.join(""), shown);
    assert.equal(pieces(text, [ANN]).map((piece) => piece.text).join(""), text, "nothing is lost");
  };
  check("hello", "hello");
  check("hi @ann, see https://a.example/x?y=1#z.", "hi {@ann}, see <https://a.example/x?y=1#z>.");
  check("HTTP://A.example", "<HTTP://A.example>");
  check("(https://a.example/b_(c)) and https://a.example/d)", "(<https://a.example/b_(c)>) and <https://a.example/d>)");
  check("\"https://a.example\"", "\"<https://a.example>\"");
  check("https://a.example/@ann @ann", "<https://a.example/@ann> {@ann}");
  check("https://a.example/?q=1!?", "<https://a.example/?q=1>!?");
  check("two\nhttps://a.example\nhttps://b.example", "two\n<https://a.example>\n<https://b.example>");
  check("https://ko.example/한국", "<https://ko.example/한국>");
  // What is no link: other schemes, an address with a user, half an address, one inside a word.
  check("javascript:alert(1) data:text/html,x ftp://a.example", "javascript:alert(1) data:text/html,x ftp://a.example");
  check("https://bank.example@evil.example/", "https://bank.example@evil.example/");
  check("https:// https:///", "https:// https:///");
  check("xhttps://a.example", "xhttps://a.example");
  // What turns the direction of writing ends an address.
  check("https://a.example/\u202Efdp.exe", "<https://a.example/>\u202Efdp.exe");
});

test("a message names those whom its text calls", () => {
  assert.deepEqual(mentioned("@ann and @ANN. not a@ann", [ANN]), ["1"]);
});

test("a lone surrogate is U+FFFD wherever it is sent", () => {
  const check = (text, right) => {
    assert.equal(wellFormed(text), right);
    assert.equal(json({ body: [text] }), JSON.stringify({ body: [right] }));
  };
  check("\uD83D", "\uFFFD");
  check("a\uDE00b", "a\uFFFDb");
  check("\uDE00\uD83D", "\uFFFD\uFFFD");
  check("😀 \\ud83d", "😀 \\ud83d");
});

test("a preview never cuts a character", () => {
  const family = "👨‍👩‍👧‍👦";
  const check = (text, most, right) => assert.equal(preview(text, most), right);
  check("abc", 3, "abc");
  check("abcd", 3, "abc…");
  check("ab😀", 3, "ab…");
  check(`ab${family}c`, 5, "ab…");
  check(`ab${family}c`, 2 + family.length, `ab${family}…`);
  check("e\u0301e\u0301", 3, "e\u0301…");
  check("\u1100\u1161\u11A8\u1100\u1161\u11A8", 4, "\u1100\u1161\u11A8…");
  // One endless character is cut at a code point.
  assert.equal(beginning(`😀${"\u0301".repeat(200)}`, 1), "");
  assert.equal(beginning(`a${"\u0301".repeat(200)}`, 10), `a${"\u0301".repeat(9)}`);
});
