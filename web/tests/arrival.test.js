// What an address brings behind its `#`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { arrival } from "../client/arrival.js";

test("a token is taken out of a fragment, and what is not its own stays", () => {
  const check = (hash, token, device, rest) => assert.deepEqual(arrival(hash), { token, device, rest }, hash);
  check("", "", "", "");
  check("#", "", "", "");
  check("#channel=7", "", "", "#channel=7");
  check("#token=a.b-c_d", "a.b-c_d", "", "");
  check("#token=a%2Bb%3D&channel=7", "a+b=", "", "#channel=7");
  check("#channel=7&device_id=tab-1&token=t", "t", "tab-1", "#channel=7");
  check("#token=t&device_id=no%20device", "t", "", "");
  // What cannot be one is not kept in the address either.
  check("#token=", "", "", "");
  check("#token=a%20b", "", "", "");
  check("#token=a%0Ab", "", "", "");
  check("#token=%ED%86%A0", "", "", "");
  check(`#token=${"t".repeat(8193)}`, "", "", "");
});
