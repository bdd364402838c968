// What idle sessions take of a node's memory, by JSON or by STOMP.
//   node memory.js API_URL WS_URL PID SESSIONS
// Sessions are 16 to an account. A third of them warms the node up, a third comes by JSON, a third by STOMP; says the node's resident
// memory after each.
import { readFile } from 'node:fs/promises';
import { WebSocket } from 'ws';

const [api, ws, pid, count] = process.argv.slice(2);
const sessions = Number(count);
const kib = async () => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1]);
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const tokens = [];
for (let number = 0; number < sessions / 16; number += 1) {
  const body = JSON.stringify({ username: `m${Date.now() % 1e8}_${number}`, password: 'correct horse battery' });
  const reply = await fetch(`${api}/v1/auth/signup`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  const account = await reply.json();
  if (!account.token) throw new Error(JSON.stringify(account));
  tokens.push(account.token);
}

function open(kind, number) {
  const [token, device] = [tokens[Math.floor(number / 16)], `d${number % 16}`];
  const socket = new WebSocket(`${ws}/connection/websocket`, [kind === 'json' ? 'rookery.json.v1' : 'v12.stomp']);
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', (code) => reject(new Error(`closed with ${code}`)));
    socket.on('open', () => socket.send(kind === 'json'
      ? JSON.stringify({ id: 1, connect: { token, device_id: device } })
      : `CONNECT\naccept-version:1.2\npasscode:${token}\ndevice-id:${device}\nheart-beat:0,60000\n\n\0`));
    socket.once('message', (said) => {
      if (!/^(CONNECTED|\{"id":1,"connect")/.test(said.toString())) reject(new Error(said.toString()));
      if (kind === 'stomp') socket.send('SUBSCRIBE\nid:0\ndestination:/user/queue/inbox\nreceipt:r\n\n\0');
      else socket.send(JSON.stringify({ id: 2, echo: { data: 'r' } }));
      socket.once('message', () => resolve(socket));
    });
  });
}

await pause(20_000);
const third = Math.floor(sessions / 3);
let before = await kib();
for (const [at, kind] of ['json', 'stomp', 'json'].entries()) {
  for (let number = 0; number < third; number += 32) {
    const some = Array.from({ length: Math.min(32, third - number) }, (_, more) => open(kind, at * third + number + more));
    await Promise.all(some);
  }
  await pause(10_000);
  const after = await kib();
  console.log(`${third} by ${kind}: ${before} to ${after} KiB, ${Math.round(((after - before) * 1024) / third)} bytes each`);
  before = after;
}
process.exit(0);
