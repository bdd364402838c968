// A program that sends numbers, to be killed: `node sender.js OPTIONS`, JSON with `{urls, store, token, channelId, from, to}`. Says
// `kept N` when message N is in its store, and `sent N` when the server has it. First it sends what an earlier run has left,
// and goes on with the number after the channel's last, or with `from` if that is more: so one that was kept and is lost is a hole.

import { WebSocket } from "ws";
import { Client } from "../src/index.js";
import { FileStore } from "../src/node/file-store.js";

const { urls, store, token, channelId, from, to } = JSON.parse(process.argv[2]);
const client = new Client({ url: urls, store: new FileStore(store), WebSocket, token: () => token });
client.on("outgoing", ({ state, fields, problem }) => {
  if (state === "sent") console.log(`sent ${fields.body}`);
  if (state === "failed") console.log(`failed ${fields.body} ${problem.message}`);
});
client.on("error", ({ error }) => console.log(`error ${error?.message}`));
await client.start();
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
while (client.state.state !== "live" || client.outgoing().length > 0) await sleep(10);
const { messages } = await client.history(channelId, { limit: 1 });
for (let at = Math.max(from, Number(messages[0]?.body ?? 0) + 1); at <= to; at += 1) {
  const outgoing = client.send(channelId, String(at));
  await outgoing.kept;
  console.log(`kept ${at}`);
  await sleep(5);
}
