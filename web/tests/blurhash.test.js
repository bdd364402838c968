// What a picture looks like from afar, by its blurhash.

import assert from "node:assert/strict";
import { test } from "node:test";
import { average, pixels } from "../client/blurhash.js";

test("its colours are those that whoever wrote it meant", () => {
  /** Colours at corners and in the middle, as `rrggbb`. */
  const check = (hash, colour, ...expected) => {
    assert.equal(average(hash), colour, hash);
    const drawn = pixels(hash, 8, 8);
    const at = (x, y) => [...drawn.slice(4 * (y * 8 + x), 4 * (y * 8 + x) + 3)].map((value) => value.toString(16).padStart(2, "0")).join("");
    assert.deepEqual([at(0, 0), at(7, 0), at(4, 4), at(0, 7)], expected, hash);
    assert.ok(drawn.every((value, index) => index % 4 !== 3 || value === 255), "nothing shines through");
  };
  // One colour alone, and what npm's `blurhash` 2.0 makes of its examples.
  check("000000", "#000000", "000000", "000000", "000000", "000000");
  check("00TSUA", "#ffffff", "ffffff", "ffffff", "ffffff", "ffffff");
  check("LEHV6nWB2yk8pyo0adR*.7kCMdnj", "#979695", "87a4b1", "90a7b3", "9e7d6c", "869094");
  check("LGF5]+Yk^6#M@-5c,1J5@[or[Q6.", "#837e98", "b076a3", "d2527e", "6b7e82", "a6a167");
});

test("what is none is nothing", () => {
  const check = (hash) => assert.deepEqual([average(hash), pixels(hash, 4, 4)], [null, null], String(hash));
  check(undefined);
  check("");
  check("00000");
  check("LEHV6nWB2yk8pyo0adR*.7kCMdn");
  check("LEHV6nWB2yk8pyo0adR*.7kCMdnjj");
  check("LEHV6nWB2yk8pyo0adR*.7kCMd\"j");
  check(7);
});

test("waves go to and fro, from one edge to the other", () => {
  const drawn = pixels("LEHV6nWB2yk8pyo0adR*.7kCMdnj", 32, 32);
  const colours = new Set(Array.from({ length: 1024 }, (_, at) => drawn.slice(4 * at, 4 * at + 3).join()));
  assert.ok(colours.size > 300, `${colours.size} colours`);
});
