// The feed as a tab holds it: pages that join, likes that change their mind, what has come, replies.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Attaching } from "../client/attaching.js";
import { FeedModel } from "../client/feed.js";

const author = { user_id: "2", username: "bob", display_name: "Bob" };
const post = (seq, fields = {}) => ({ post_id: `9-${seq}`, channel_id: "9", seq, revision: 0, author, body: `post ${seq}`, likes: 0, liked: false, replies: 0, sent_ms: seq, ...fields });

/** A server of numbered posts, newest first, in pages of `size`; `did` is what was asked. */
function server(seqs, size = 3) {
  const state = { posts: seqs.map((seq) => post(seq)), did: [], likes: [], fails: null };
  const page = (posts, { cursor }) => {
    const from = cursor ? posts.findIndex(({ seq }) => seq < Number(cursor)) : 0;
    const found = from < 0 ? [] : posts.slice(from, from + size);
    const more = from >= 0 && posts.length > from + size;
    return { posts: found.map((each) => ({ ...each })), more, ...(more && { cursor: String(found.at(-1).seq) }) };
  };
  const asked = async (line, answer) => {
    state.did.push(line);
    await state.held;
    if (state.fails) throw Object.assign(new Error(state.fails.message), state.fails);
    return answer();
  };
  const find = (id) => {
    const found = state.posts.find(({ post_id }) => post_id === id) ?? state.replies?.find(({ post_id }) => post_id === id);
    if (!found) throw Object.assign(new Error("gone"), { status: 404 });
    return { ...found };
  };
  state.feed = {
    home: (asking) => asked(`home ${asking.cursor ?? ""}`.trim(), () => page(state.posts, asking)),
    of: (userId, asking) => asked(`of ${userId}`, () => page(state.posts.filter((each) => each.author.user_id === userId), asking)),
    get: (id) => asked(`get ${id}`, () => find(id)),
    create: (draft) => asked("create", () => {
      const made = post(state.posts[0].seq + 1, { ...draft, author: { ...author, user_id: "1" } });
      state.posts.unshift(made);
      return { post_id: made.post_id };
    }),
    edit: ({ post_id }, body) => asked(`edit ${post_id}`, () => Object.assign(state.posts.find((each) => each.post_id === post_id), { body, revision: 1 })),
    delete: (id) => asked(`delete ${id}`, () => { state.posts = state.posts.filter(({ post_id }) => post_id !== id); }),
    like: (id, on) => asked(`like ${id} ${on}`, () => Object.assign(state.posts.find(({ post_id }) => post_id === id), { liked: on, likes: on ? 1 : 0 })),
    replies: (id, { cursor }) => asked(`replies ${id} ${cursor ?? ""}`.trim(), () => {
      const { posts, ...rest } = page((state.replies ?? []).map((each) => ({ ...each, seq: 1000 - each.seq })), { cursor });
      return { replies: posts, ...rest };
    }),
    reply: (id, { body }) => asked(`reply ${id}`, () => {
      const made = post(500, { post_id: "9-500", body });
      (state.replies ??= []).push(made);
      return { post_id: made.post_id };
    }),
    follow: (id, on) => asked(`follow ${id} ${on}`, () => ({ user_id: id, following: on })),
  };
  state.user = async (id) => ({ ...author, user_id: id, public: true, counts: { posts: 1, followers: 5, following: 0 } });
  state.me = async () => ({ user_id: "1", username: "ann", counts: { posts: 0, followers: 0, following: 0 } });
  state.updateMe = async () => ({});
  return state;
}

function feedOf(api) {
  return new FeedModel({ api, people: { know() {} }, me: "1", changed() {} });
}

const shown = (feed, list) => feed.shown(list).map(({ seq }) => seq).join(" ");

test("pages follow each other without a hole, and none twice", async () => {
  const api = server([9, 8, 7, 6, 5, 4, 3]);
  const feed = feedOf(api);
  const list = feed.list();
  const check = async (act, expected, hasMore) => {
    await act;
    assert.deepEqual([shown(feed, list), feed.hasMore(list)], [expected, hasMore]);
  };
  await check(feed.load(list), "9 8 7", true);
  await check(feed.more(list), "9 8 7 6 5 4", true);
  // What has come joins what is held.
  api.posts.unshift(post(11), post(10));
  await check(feed.load(list), "11 10 9 8 7 6 5 4", true);
  await check(feed.more(list), "11 10 9 8 7 6 5 4 3", false);
  assert.equal(feed.more(list), undefined);
  // So much has come that what is held is too far away: it is asked for again.
  api.posts.unshift(post(16), post(15), post(14), post(13), post(12));
  await check(feed.load(list), "16 15 14", true);
  await check(feed.more(list), "16 15 14 13 12 11", true);
  // Asked for twice at once, it is asked for once.
  api.did.length = 0;
  await check(Promise.all([feed.more(list), feed.more(list)]), "16 15 14 13 12 11 10 9 8", true);
  assert.deepEqual(api.did, ["home 11"]);
  // What goes wrong is said, and what is held stays.
  api.fails = { message: "no network" };
  await check(feed.load(list), "16 15 14 13 12 11 10 9 8", true);
  assert.equal(list.problem, "no network");
});

test("what has come is counted, and after a break it is asked for", async () => {
  const api = server([3, 2, 1]);
  const feed = feedOf(api);
  const list = feed.list();
  feed.head(5);
  assert.equal(list.fresh, 0, "nothing is held yet");
  await feed.live();
  assert.deepEqual(api.did, []);
  await feed.load(list);
  feed.head(2);
  feed.head(1);
  assert.equal(list.fresh, 3);
  await feed.load(list);
  assert.equal(list.fresh, 0);
  api.posts.unshift(post(5), post(4));
  await feed.live();
  assert.equal(list.fresh, 2);
  assert.equal(shown(feed, list), "3 2 1", "it comes when the user asks for it");
});

test("a like is shown at once, and ends as the user wants it", async () => {
  const api = server([1]);
  const feed = feedOf(api);
  await feed.load(feed.list());
  const now = () => feed.posts.get("9-1");
  let free;
  api.held = new Promise((resolve) => { free = resolve; });
  const liking = feed.like(now(), true);
  assert.deepEqual([now().liked, now().likes], [true, 1]);
  feed.like(now(), false);
  feed.like(now(), true);
  feed.like(now(), false);
  assert.deepEqual([now().liked, now().likes], [false, 0]);
  free();
  await liking;
  assert.deepEqual(api.did.filter((line) => line.startsWith("like")), ["like 9-1 true", "like 9-1 false"]);
  assert.deepEqual([now().liked, now().likes], [false, 0]);
  api.fails = { message: "it is blocked" };
  await assert.rejects(feed.like(now(), true), /it is blocked/u);
  assert.deepEqual([now().liked, now().likes], [false, 0]);
});

test("what one posts is at the head of the feed and of the own posts; what is gone is gone everywhere", async () => {
  const api = server([2, 1]);
  const feed = feedOf(api);
  const [home, mine] = [feed.list(), feed.list("1")];
  await feed.load(home);
  await feed.loadProfile("1");
  await feed.create({ body: "hello" });
  assert.deepEqual([shown(feed, home), shown(feed, mine), feed.profile("1").counts.posts], ["3 2 1", "3", 1]);
  await feed.edit(feed.posts.get("9-3"), "changed");
  assert.equal(feed.posts.get("9-3").body, "changed");
  await feed.remove(feed.posts.get("9-3"));
  assert.deepEqual([shown(feed, home), shown(feed, mine), feed.profile("1").counts.posts], ["2 1", "", 0]);
  // Deleted by its author meanwhile: an edit, a like or a look finds that.
  api.posts = api.posts.filter(({ seq }) => seq !== 2);
  await feed.refresh("9-2");
  assert.equal(shown(feed, home), "1");
});

test("own posts stand among those of others, as far down as those are held", async () => {
  const api = server([30, 28, 26, 24, 22, 20]);
  const others = api.feed.home;
  const own = [29, 27, 21, 19, 18, 17, 16].map((seq) => post(seq, { author: { ...author, user_id: "1" } }));
  api.feed.of = async (_, { cursor }) => {
    const rest = cursor ? own.filter(({ seq }) => seq < Number(cursor)) : own;
    return { posts: rest.slice(0, 3), more: rest.length > 3, ...(rest.length > 3 && { cursor: String(rest[2].seq) }) };
  };
  const feed = feedOf(api);
  const list = feed.list();
  const check = async (act, expected, hasMore) => {
    await act;
    assert.deepEqual([shown(feed, list), feed.hasMore(list), others === api.feed.home], [expected, hasMore, true]);
  };
  await check(feed.load(list), "30 29 28 27 26", true);
  // Below those of others only own ones are left.
  await check(feed.more(list), "30 29 28 27 26 24 22 21 20 19 18 17", true);
  await check(feed.more(list), "30 29 28 27 26 24 22 21 20 19 18 17 16", false);
});

test("an edit of what was changed elsewhere is refused, and shows what there is now", async () => {
  const api = server([1]);
  const feed = feedOf(api);
  await feed.load(feed.list());
  api.posts[0].body = "changed elsewhere";
  api.feed.edit = async () => { throw new Error("another revision"); };
  await assert.rejects(feed.edit(feed.posts.get("9-1"), "mine"), /another revision/u);
  assert.equal(feed.posts.get("9-1").body, "changed elsewhere");
});

test("replies come page by page, and the own one behind them", async () => {
  const api = server([1]);
  api.replies = [101, 102, 103, 104].map((seq) => post(seq));
  const feed = feedOf(api);
  await feed.load(feed.list());
  await feed.loadReplies("9-1");
  const thread = feed.repliesOf("9-1");
  assert.deepEqual([thread.ids.length, thread.cursor !== undefined], [3, true]);
  await feed.loadReplies("9-1");
  assert.deepEqual([thread.ids.length, thread.cursor], [4, undefined]);
  api.posts[0].replies = 5;
  await feed.reply("9-1", { body: "me too" });
  assert.equal(thread.ids.at(-1), "9-500");
  assert.equal(feed.posts.get("9-1").replies, 5);
});

test("who is followed is counted once", async () => {
  const api = server([1]);
  const feed = feedOf(api);
  await feed.loadProfile("2");
  const check = async (on, followers) => {
    await feed.follow("2", on);
    assert.deepEqual([feed.profile("2").following, feed.profile("2").counts.followers], [on, followers]);
  };
  await check(true, 6);
  await check(true, 6);
  await check(false, 5);
});

test("files beside what is written: ten at most, in order, and those that are removed end", () => {
  const did = [];
  const media = { upload: (file) => ({ state: "sending", cancel: () => did.push(`cancel ${file}`), done: Promise.resolve(file) }) };
  const attaching = new Attaching(media, () => {});
  assert.equal(attaching.add(["a", "b", "c"]), 0);
  attaching.remove(attaching.items[1]);
  assert.equal(attaching.add(Array.from({ length: 10 }, (_, at) => String(at))), 2);
  assert.deepEqual(attaching.items.map(({ file }) => file), ["a", "c", "0", "1", "2", "3", "4", "5", "6", "7"]);
  assert.equal(attaching.take().length, 10);
  assert.ok(attaching.isEmpty);
  attaching.add(["z"]);
  attaching.clear();
  assert.deepEqual(did, ["cancel b", "cancel z"]);
});
