// The npm package `eventsource`, which nobody here wrote, on an event stream. `main.rs` starts it with what it needs as JSON in the first
// argument. Each message has to come once and in order, over whatever cuts the connection; the last line says so.
import assert from 'node:assert/strict';
import { EventSource } from 'eventsource';

const { url, token, messages } = JSON.parse(process.argv[2]);
const source = new EventSource(`${url}/connection/sse?device_id=web&token=${encodeURIComponent(token)}`);
const late = setTimeout(() => assert.fail(`only ${seen} of ${messages} came`), 120_000);
let seen = 0;
let opened = 0;
source.addEventListener('message', ({ data }) => {
  const said = JSON.parse(data);
  if (said.connect) {
    opened += 1;
    if (opened === 1) console.log('open');
    return;
  }
  const seq = said.push?.message?.message.seq;
  if (seq === undefined) return;
  seen += 1;
  assert.equal(seq, seen);
  if (seen < messages) return;
  assert.ok(opened > 1, 'nothing was cut');
  clearTimeout(late);
  source.close();
  console.log('OK');
});
source.addEventListener('error', ({ code, message }) => console.log(`error ${code} ${message}`));
