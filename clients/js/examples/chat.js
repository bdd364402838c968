// A chat in the terminal: node examples/chat.js http://localhost:8000 ann PASSWORD CHANNEL
import { createInterface } from "node:readline";
import { WebSocket } from "ws";
import { Account, Client } from "@rookery/client";
import { FileStore } from "@rookery/client/file-store";

const [apiUrl, username, password, channel] = process.argv.slice(2);
const store = new FileStore(`.rookery-${username}`);
const account = new Account({ apiUrl, store });
if (!(await account.signedIn())) await account.login({ username, password });

const client = new Client({ apiUrl, store, token: account.token, WebSocket });
client.on("state", ({ state }) => console.log(`* ${state}`));
client.on("message", ({ message }) => console.log(`${message.seq} <${message.from}> ${message.body}`));
client.on("outgoing", ({ state, fields }) => { if (state === "failed") console.log(`* not sent: ${fields.body}`); });
client.on("lost", async () => {
  for (const { seq, from, body } of (await client.history(channel, { limit: 20 })).messages) console.log(`${seq} <${from}> ${body}`);
});
await client.start();
for await (const line of createInterface({ input: process.stdin })) await client.send(channel, line).kept;
await client.stop();
