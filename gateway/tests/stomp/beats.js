// Heart-beats by @stomp/stompjs: both sides beat, and neither gives the other up. See `main.rs`.
import assert from 'node:assert/strict';
import { Client } from '@stomp/stompjs';
import { WebSocket } from 'ws';

Object.assign(globalThis, { WebSocket });

const { ws, ann } = JSON.parse(process.argv[2]);
let [beats, ended] = [0, false];
const client = new Client({
  brokerURL: `${ws}/connection/websocket`,
  connectHeaders: { login: 'ann', passcode: ann.token },
  reconnectDelay: 0,
  heartbeatIncoming: 1_000,
  heartbeatOutgoing: 1_000,
  debug: (line) => { if (line === '<<< PONG') beats += 1; },
});
client.onStompError = (frame) => { console.error(frame.headers); ended = true; };
client.onWebSocketClose = () => { ended = true; };
await new Promise((resolve) => { client.onConnect = resolve; client.activate(); });
await new Promise((resolve) => { setTimeout(resolve, 16_000); });
assert.equal(ended, false);
assert.ok(beats >= 3, `${beats} beats`);
await client.deactivate();
console.log('OK');
