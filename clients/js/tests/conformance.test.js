// The rows of clients/conformance, each a test.

import { readFileSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { run } from "./script.js";

const ROWS = new URL("../../conformance/", import.meta.url);

for (const file of readdirSync(ROWS).filter((name) => name.endsWith(".json"))) {
  const { about, rows } = JSON.parse(readFileSync(new URL(file, ROWS), "utf8"));
  describe(`${file}: ${about}`, { concurrency: 8 }, () => {
    for (const row of rows) test(row.name, { timeout: 20_000 }, () => run(row));
  });
}
