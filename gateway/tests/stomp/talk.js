// Two accounts by @stomp/stompjs, which nobody here wrote, against a real node. `main.rs` starts it with what it needs as JSON in
// the first argument, and reads its last line. Each check throws; the process ends with 1 then.
import assert from 'node:assert/strict';
import { Client, Versions } from '@stomp/stompjs';
import { WebSocket } from 'ws';

Object.assign(globalThis, { WebSocket });

const { ws, channel, ann, bob, versions } = JSON.parse(process.argv[2]);
const url = `${ws}/connection/websocket`;
const patience = 40_000;

/** What a promise comes to, or an error that says what was waited for. */
function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`waited for ${what}`)), patience); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A client that is connected, and what it was told. */
function connect(token, device, more = {}) {
  const client = new Client({
    brokerURL: url,
    connectHeaders: { login: device, passcode: token, ...more.headers },
    reconnectDelay: 0,
    stompVersions: new Versions(versions),
    ...more.options,
  });
  const errors = [];
  client.onStompError = (frame) => { errors.push(frame); };
  const connected = new Promise((resolve, reject) => {
    client.onConnect = resolve;
    client.onWebSocketClose = () => reject(new Error(`closed before CONNECTED: ${errors[0]?.headers.message}`));
  });
  client.activate();
  return within(connected, 'CONNECTED').then((frame) => ({ client, frame, errors }));
}

/** Subscribes, and gives messages one after the other. */
function subscribe(client, destination, headers = {}) {
  const messages = [];
  const waiting = [];
  const subscription = client.subscribe(destination, (message) => {
    const next = waiting.shift();
    if (next) next(message); else messages.push(message);
  }, headers);
  const next = () => within(
    messages.length ? Promise.resolve(messages.shift()) : new Promise((resolve) => waiting.push(resolve)),
    `a message of ${destination}`,
  );
  return { subscription, next, left: messages };
}

/** The RECEIPT of what `act` does with its name. */
let receipts = 0;
function receipt(client, act) {
  const name = `receipt-${receipts += 1}`;
  const done = new Promise((resolve) => client.watchForReceipt(name, resolve));
  act(name);
  return within(done, name);
}

function send(client, body, headers = {}) {
  return receipt(client, (name) => client.publish({
    destination: `/channel/${channel}`, body, headers: { receipt: name, ...headers },
  }));
}

const a = await connect(ann.token, 'ann-js');
assert.equal(a.frame.headers['user-name'], ann.id);
assert.equal(a.frame.headers.version, versions.at(0));
const b = await connect(bob.token, 'bob-js');

const heardByBob = subscribe(b.client, `/channel/${channel}`);
const heardByAnn = subscribe(a.client, `/channel/${channel}`);

const first = await send(a.client, 'hello: from\nann \\ 보라');
const seq = Number(first.headers['x-seq']);
assert.ok(seq >= 1, first.headers['x-seq']);
for (const heard of [heardByAnn, heardByBob]) {
  const message = await heard.next();
  assert.equal(message.body, 'hello: from\nann \\ 보라');
  assert.equal(message.headers['x-seq'], String(seq));
  assert.equal(message.headers['x-from'], ann.id);
  assert.equal(message.headers['message-id'], `${channel}-${seq}`);
  assert.equal(message.headers.destination, `/channel/${channel}`);
}
await send(b.client, 'and from bob');
assert.equal((await heardByAnn.next()).body, 'and from bob');
assert.equal((await heardByBob.next()).body, 'and from bob');

// A client of the JSON protocol is told the same, and is heard.
const json = new WebSocket(url, ['rookery.json.v1']);
const lines = [];
const waiting = [];
json.on('message', (data) => {
  for (const line of data.toString().split('\n').filter(Boolean).map((line) => JSON.parse(line))) {
    const at = waiting.findIndex(({ wanted }) => wanted(line));
    if (at < 0) lines.push(line); else waiting.splice(at, 1)[0].resolve(line);
  }
});
const line = (wanted, what) => within(new Promise((resolve) => {
  const at = lines.findIndex(wanted);
  if (at < 0) waiting.push({ wanted, resolve }); else resolve(lines.splice(at, 1)[0]);
}), what);
await within(new Promise((resolve) => json.on('open', resolve)), 'a socket');
json.send(JSON.stringify({ id: 1, connect: { token: bob.token, device_id: 'bob-json' } }));
assert.ok((await line((found) => found.id === 1, 'connect')).connect);
await send(a.client, 'to both');
assert.equal((await line((found) => found.push?.message, 'a push')).push.message.message.body, 'to both');
for (const heard of [heardByAnn, heardByBob]) assert.equal((await heard.next()).body, 'to both');
const id = 2;
const unix = BigInt(Date.now()).toString(16).padStart(12, '0');
const uuid = `${unix.slice(0, 8)}-${unix.slice(8)}-7000-8000-${Math.random().toString(16).slice(2, 14).padEnd(12, '0')}`;
json.send(JSON.stringify({ id, send: { channel_id: channel, client_msg_id: uuid, body: 'by JSON' } }));
assert.ok((await line((found) => found.id === id, 'the reply')).send.seq);
for (const heard of [heardByAnn, heardByBob]) {
  const message = await heard.next();
  assert.equal(message.body, 'by JSON');
  assert.equal(message.headers['x-client-msg-id'], uuid);
}
json.close();

// The same id again is the same message.
const again = await send(b.client, 'by JSON', { 'x-client-msg-id': uuid });
assert.equal(again.headers['x-duplicate'], 'true');

// A transaction goes at its COMMIT, and is forgotten at its ABORT.
const transaction = a.client.begin();
const held = { destination: `/channel/${channel}`, headers: { transaction: transaction.id } };
a.client.publish({ ...held, body: 'in a transaction' });
await send(a.client, 'before its COMMIT');
transaction.commit();
const aborted = a.client.begin();
a.client.publish({ destination: `/app/send/${channel}`, headers: { transaction: aborted.id }, body: 'never' });
aborted.abort();
await send(a.client, 'behind both');
for (const body of ['before its COMMIT', 'in a transaction', 'behind both']) {
  assert.equal((await heardByBob.next()).body, body);
}
// One STOMP frame in several messages of the WebSocket, and one that is long.
const long = '보'.repeat(90_000);
await send(b.client, long);
for (const body of ['before its COMMIT', 'in a transaction', 'behind both', long]) {
  assert.equal((await heardByAnn.next()).body, body);
}
assert.equal((await heardByBob.next()).body, long);

// Presence of another, as it is and as it changes.
const presence = subscribe(a.client, `/topic/presence.${bob.id}`);
assert.equal(JSON.parse((await presence.next()).body).user_id, bob.id);

// A subscription that has ended is given nothing.
heardByBob.subscription.unsubscribe();
await send(a.client, 'unheard');
assert.equal((await heardByAnn.next()).body, 'unheard');
assert.deepEqual([...heardByBob.left, ...heardByAnn.left], []);

for (const { client, errors } of [a, b]) {
  // DISCONNECT asks for a receipt, which is the frame that onDisconnect is given.
  const gone = new Promise((resolve) => { client.onDisconnect = resolve; });
  await within(client.deactivate(), 'the end');
  assert.equal((await within(gone, 'the receipt of DISCONNECT')).command, 'RECEIPT');
  assert.deepEqual(errors, []);
}
console.log('OK');
