// A subscription by @stomp/stompjs that replays from a seq, acknowledges, loses its connection and goes on from the last it has, while
// another account goes on sending; and the inbox, resumed by its cursor. See `main.rs`.
import assert from 'node:assert/strict';
import { Client } from '@stomp/stompjs';
import { WebSocket } from 'ws';

Object.assign(globalThis, { WebSocket });

const { ws, channel, ann, bob, sent, more } = JSON.parse(process.argv[2]);
const destination = `/channel/${channel}`;
const last = sent + more;
const seen = [];
let cursor;
const inbox = [];

function connect(token, device, headers = {}) {
  const client = new Client({
    brokerURL: `${ws}/connection/websocket`,
    connectHeaders: { login: device, passcode: token, ...headers },
    reconnectDelay: 0,
    // Each frame in pieces of 1 KiB, as some servers want it.
    splitLargeFrames: true,
    maxWebSocketChunkSize: 1024,
  });
  client.onStompError = (frame) => { console.error(frame.headers); process.exit(1); };
  return new Promise((resolve) => {
    client.onConnect = (frame) => resolve({ client, frame });
    client.activate();
  });
}

/** Bob reads from the last that he has until `enough` says so, and acknowledges each message. */
async function read(enough) {
  const { client, frame } = await connect(bob.token, 'bob', cursor ? { 'x-cursor': cursor } : {});
  cursor ??= frame.headers['x-cursor'];
  await new Promise((resolve) => {
    client.subscribe('/user/queue/inbox', (message) => {
      if (message.headers['x-cursor']) cursor = message.headers['x-cursor'];
      const { message: push } = JSON.parse(message.body);
      if (push && push.message.seq > sent) inbox.push(push.message.seq);
      if (enough()) resolve();
    }, { id: 'inbox' });
    client.subscribe(destination, (message) => {
      seen.push(Number(message.headers['x-seq']));
      // Not earlier: without a cursor the inbox is told from its subscription on.
      startSending();
      assert.equal(message.body, `body ${message.headers['x-seq']}`);
      message.ack();
      if (enough()) resolve();
    }, { id: 'replay', ack: 'client-individual', 'x-after-seq': String(seen.at(-1) ?? 0), 'x-prefetch': '50' });
  });
  return client;
}

const { client: sender } = await connect(ann.token, 'ann');
let seq = sent;
let timer;
function startSending() {
  timer ??= setInterval(() => {
    if (seq === last) return clearInterval(timer);
    seq += 1;
    return sender.publish({ destination, body: `body ${seq}` });
  }, 5);
}

// Cut off twice in the middle, without a word.
(await read(() => seen.length >= sent / 3)).forceDisconnect();
(await read(() => seen.at(-1) >= sent + more / 2)).forceDisconnect();
const reader = await read(() => seen.at(-1) === last && inbox.at(-1) === last);
assert.deepEqual(seen, Array.from({ length: last }, (_, at) => at + 1));
assert.deepEqual(inbox, Array.from({ length: more }, (_, at) => sent + at + 1));
await reader.deactivate();
await sender.deactivate();
console.log('OK');
