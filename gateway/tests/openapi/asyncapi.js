// Reads the file of an AsyncAPI document, and says what @asyncapi/parser has against it: a line each. Exit status 1 if anything
// is an error or a warning.

import { Parser } from '@asyncapi/parser';
import { readFileSync } from 'node:fs';

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
// Beyond these it has hints: that there is a newer version of AsyncAPI, for one.
const grave = diagnostics.filter(({ severity }) => severity <= 1);
for (const { severity, code, path, message } of grave) {
    console.log(['error', 'warning'][severity], code, path.join('.'), message);
}
if (document === undefined || grave.length > 0) process.exit(1);
const operations = document.operations().all();
console.log(`${document.version()}: ${operations.length} operations, ${document.allMessages().all().length} messages`);
