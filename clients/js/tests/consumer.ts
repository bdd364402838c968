// What an application in TypeScript sees: compiled by `npm run check`, never run.

import { Account, Client, IndexedDbStore, MemoryStore, type Message, type Outcome, type Post, type Store, type Upload } from "@rookery/client";
import { FileStore } from "@rookery/client/file-store";

const stores: Store[] = [new MemoryStore(), new IndexedDbStore("x"), new FileStore("x")];
const account = new Account({ apiUrl: "http://localhost:8000", store: stores[0] });
const client = new Client({ apiUrl: "http://localhost:8000", token: account.token, store: stores[0], tabs: false });

const shown: Message[] = [];
const off: () => void = client.on("message", ({ message }) => { shown.push(message); });
client.on("state", ({ state, retry_ms }) => { const left: number | undefined = state === "waiting" ? retry_ms : 0; return left; });
client.on("outgoing", (outcome: Outcome) => outcome.problem?.message.trim());
client.on("snapshot", async ({ channels, first }) => { if (first) await client.history(channels[0].channel_id, { limit: 1 }); });
// @ts-expect-error there is no such event
client.on("massage", () => {});
// @ts-expect-error ids are strings
client.send(7, "hello");
// @ts-expect-error a token is needed
new Client({ url: "ws://localhost:8001/connection/websocket" });

const sent = client.send("7", "hello", { replyTo: 3, mentions: ["2"] });
export const seq: Promise<number> = sent.done.then((reply) => reply.seq);
export const hits = client.search("tea").then(({ hits: [first] }) => first.snippet.length);
const upload: Upload = client.api.media.upload(new Blob(["x"]), { name: "x.txt", changed: ({ sentBytes }) => sentBytes.toFixed() });
client.send("7", "", { media: [upload, new Blob(["y"]), "5"] });
client.on("feed_head", ({ count }) => count.toFixed());
export const liked = client.api.feed.home({ limit: 5 }).then(({ posts: [post] }: { posts: Post[] }) => client.api.feed.like(post.post_id));
// @ts-expect-error there are two audiences
client.api.feed.create({ body: "x", audience: "everybody" });
off();
