// The rows of clients/conformance, each a test.

import { readFileSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { run } from "./script.js";

const ROWS = new URL("../../conformance/", import.meta.url);
const files = readdirSync(ROWS).filter((name) => name.endsWith(".json")).map((name) => new URL(name, ROWS));

// Beside those of all clients some of this one's own, of servers that do what PROTOCOL does not allow.
for (const file of [...files, new URL("rows.json", import.meta.url)]) {
  const { about, rows } = JSON.parse(readFileSync(file, "utf8"));
  describe(about, { concurrency: 8 }, () => {
    for (const row of rows) test(row.name, { timeout: 20_000 }, () => run(row));
  });
}
