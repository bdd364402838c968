// Two accounts by @stomp/stompjs in Chromium, one tab each, against a real node. Serves the page, starts the browser, and waits for what
// the page says. See `main.rs`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const facts = JSON.parse(process.argv[2]);
const bundle = await readFile(new URL('node_modules/@stomp/stompjs/bundles/stomp.umd.min.js', import.meta.url));

/** Runs in the page. */
async function talk({ ws, channel, ann, bob }) {
  const destination = `/channel/${channel}`;
  const connect = (token, device) => new Promise((resolve, reject) => {
    const client = new StompJs.Client({
      brokerURL: `${ws}/connection/websocket`,
      connectHeaders: { login: device, passcode: token },
      reconnectDelay: 0,
      heartbeatIncoming: 1_000,
      heartbeatOutgoing: 1_000,
      onConnect: () => resolve(client),
      onStompError: (frame) => reject(new Error(frame.headers.message)),
      onWebSocketError: () => reject(new Error('the socket failed')),
    });
    client.activate();
  });
  const [a, b] = [await connect(ann.token, 'ann-page'), await connect(bob.token, 'bob-page')];
  const heard = { a: [], b: [] };
  const all = new Promise((resolve) => {
    for (const [name, client] of [['a', a], ['b', b]]) {
      client.subscribe(destination, (message) => {
        heard[name].push(message.body);
        message.ack();
        if (heard.a.length === 20 && heard.b.length === 20) resolve();
      }, { ack: 'client-individual' });
    }
  });
  const receipts = [];
  for (let number = 0; number < 10; number += 1) {
    for (const [name, client] of [['a', a], ['b', b]]) {
      const receipt = `${name}${number}`;
      receipts.push(new Promise((resolve) => {
        client.watchForReceipt(receipt, (frame) => resolve(Number(frame.headers['x-seq'])));
      }));
      client.publish({ destination, body: `${name} ${number}: 보라`, headers: { receipt } });
    }
  }
  const seqs = await Promise.all(receipts);
  await all;
  // Long enough for heart-beats to be missed.
  await new Promise((resolve) => { setTimeout(resolve, 12_000); });
  const connected = a.connected && b.connected;
  await Promise.all([a.deactivate(), b.deactivate()]);
  return { heard, seqs, connected, agent: navigator.userAgent };
}

const page = `<!doctype html><meta charset="utf-8"><script src="/stomp.js"></script><script>
${talk}
talk(${JSON.stringify(facts)})
  .catch((error) => ({ error: String(error) }))
  .then((result) => fetch('/result', { method: 'POST', body: JSON.stringify(result) }));
</script>`;
let told;
const result = new Promise((resolve) => { told = resolve; });
const server = createServer((request, response) => {
  if (request.url === '/result') {
    let body = '';
    request.on('data', (data) => { body += data; });
    request.on('end', () => { response.end(); told(JSON.parse(body)); });
  } else if (request.url === '/stomp.js') {
    response.setHeader('content-type', 'text/javascript').end(bundle);
  } else {
    response.setHeader('content-type', 'text/html').end(page);
  }
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const profile = await mkdtemp(join(tmpdir(), 'stomp-chromium-'));
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', `--user-data-dir=${profile}`];
const browser = spawn(facts.chromium, [...flags, `http://127.0.0.1:${server.address().port}/`], { stdio: 'ignore' });
const gone = new Promise((resolve) => { browser.on('exit', resolve); browser.on('error', (error) => told({ error })); });
const late = setTimeout(() => told({ error: 'the page says nothing' }), 180_000);
const said = await result;
clearTimeout(late);
browser.kill();
await gone;
server.close();
server.closeAllConnections();
await rm(profile, { recursive: true, force: true, maxRetries: 5 });

assert.equal(said.error, undefined);
assert.match(said.agent, /Chrome/);
assert.ok(said.connected, 'heart-beats hold');
assert.deepEqual([...said.seqs].sort((one, other) => one - other), said.seqs.map((_, at) => Math.min(...said.seqs) + at));
assert.deepEqual(said.heard.a, said.heard.b);
for (const name of ['a', 'b']) {
  assert.deepEqual(said.heard.a.filter((body) => body.startsWith(name)), Array.from({ length: 10 }, (_, at) => `${name} ${at}: 보라`));
}
console.log('OK');
