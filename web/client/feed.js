// The feed as this tab holds it: posts, in which lists they are, replies, and who is followed.
//
// Owns the lists (the user's feed, and those of authors who were looked at) and what is known of each post, of which there is
// one state whatever lists it is in. Draws nothing; `changed()` tells that something did.

const PAGE = 20;
const NO_SUCH = 404;

/** A list of posts, newest first: the feed, or an author's. */
class Posts {
  constructor(userId) {
    // null: the feed.
    this.userId = userId;
    this.ids = [];
    this.cursor = undefined;
    this.isLoaded = false;
    this.loading = null;
    this.problem = "";
    // How many have come that are not in it.
    this.fresh = 0;
  }

  get hasMore() {
    return this.cursor !== undefined;
  }
}

export class FeedModel {
  /** `api` as of the client, `people` as of `people.js`, `me` a user id. */
  constructor({ api, people, me, changed }) {
    Object.assign(this, { api, people, me, changed });
    this.posts = new Map();
    this.lists = new Map();
    // Replies of posts that are open: {ids, cursor, isLoaded, loading, problem}.
    this.replies = new Map();
    // Whose profile was asked for, with `counts`, `public` and `following`.
    this.profiles = new Map();
    // Likes on their way: what is wanted in the end.
    this.wanted = new Map();
  }

  list(userId = null) {
    if (!this.lists.has(userId)) this.lists.set(userId, new Posts(userId));
    return this.lists.get(userId);
  }

  /**
   * The posts of a list, those that are known. In the feed the own ones stand among those of others, as far down as those are held:
   * the server's feed is what others have posted.
   */
  shown(list) {
    const known = ({ ids }) => ids.map((id) => this.posts.get(id)).filter(Boolean);
    const posts = known(list);
    if (list.userId !== null) return posts;
    const oldestMs = list.hasMore ? (posts.at(-1)?.sent_ms ?? Infinity) : 0;
    const own = known(this.list(this.me)).filter((post) => post.sent_ms >= oldestMs && !list.ids.includes(post.post_id));
    return [...posts, ...own].sort((a, b) => b.sent_ms - a.sent_ms);
  }

  /** Whether there is more of a list than is held. */
  hasMore(list) {
    return list.hasMore || (list.userId === null && this.list(this.me).hasMore);
  }

  // What comes.

  /** So many posts have come into the feed. */
  head(count) {
    const list = this.list();
    if (!list.isLoaded) return;
    list.fresh += count;
    this.changed();
  }

  /** After a connection that broke nobody tells how many have come. */
  async live() {
    const list = this.list();
    if (!list.isLoaded) return;
    const { posts } = await this.api.feed.home({ limit: PAGE });
    const first = posts.findIndex(({ post_id }) => list.ids.includes(post_id));
    list.fresh = first < 0 ? posts.length : first;
    this.changed();
  }

  take(posts) {
    for (const post of posts) {
      this.people.know(post.author);
      const known = this.posts.get(post.post_id);
      // A like that is on its way is shown as it will be.
      const liking = this.wanted.has(post.post_id) && known ? { liked: known.liked, likes: known.likes } : {};
      this.posts.set(post.post_id, { ...post, ...liking });
    }
    return posts.map(({ post_id }) => post_id);
  }

  // Lists.

  /** The newest page of a list; what is held stays if it follows without a hole. */
  load(list) {
    return this.once(list, async () => {
      if (list.userId === null) await this.load(this.list(this.me));
      const page = await this.page(list, {});
      const ids = this.take(page.posts);
      const held = list.ids.findIndex((id) => id === ids.at(-1));
      const joins = list.isLoaded && held >= 0;
      list.ids = joins ? [...ids, ...list.ids.slice(held + 1)] : ids;
      if (!joins) list.cursor = page.more ? page.cursor : undefined;
      list.isLoaded = true;
      list.fresh = 0;
    });
  }

  /** The page behind what is held. */
  more(list) {
    if (!this.hasMore(list)) return undefined;
    return this.once(list, async () => {
      if (list.hasMore) {
        const page = await this.page(list, { cursor: list.cursor });
        const held = new Set(list.ids);
        list.ids.push(...this.take(page.posts).filter((id) => !held.has(id)));
        list.cursor = page.more ? page.cursor : undefined;
      }
      if (list.userId === null) await this.ownDownTo(list);
    });
  }

  /** Own posts as far down as those of others are held; a page where there are no others. */
  async ownDownTo({ ids, hasMore }) {
    const own = this.list(this.me);
    const oldestMs = (list) => this.posts.get(list.at(-1))?.sent_ms ?? Infinity;
    do {
      if (!own.hasMore || (hasMore && oldestMs(own.ids) < oldestMs(ids))) return;
      await this.more(own);
    } while (hasMore && !own.problem);
  }

  page({ userId }, page) {
    const asked = { limit: PAGE, ...page };
    return userId === null ? this.api.feed.home(asked) : this.api.feed.of(userId, asked);
  }

  /** Asks for one thing of a list at a time; what goes wrong is its `problem`. */
  async once(list, act) {
    if (list.loading) return list.loading;
    list.problem = "";
    list.loading = act().catch((error) => { list.problem = error.message; }).finally(() => {
      list.loading = null;
      this.changed();
    });
    this.changed();
    return list.loading;
  }

  // Posts.

  /** Posts; the post, at the head of the lists that it belongs in. Rejects with why not: the same draft may be given again. */
  async create(draft) {
    const { post_id } = await this.api.feed.create(draft);
    await this.refresh(post_id);
    const own = this.list(this.me);
    if (!own.ids.includes(post_id)) own.ids.unshift(post_id);
    this.recount(this.me, "posts", 1);
    this.changed();
  }

  /** A post as it is now; it is gone from everywhere if there is none. */
  async refresh(postId) {
    try {
      this.take([await this.api.feed.get(postId)]);
    } catch (error) {
      if (error.status !== NO_SUCH) throw error;
      this.drop(postId);
    }
    this.changed();
  }

  /** Another text. What was changed elsewhere meanwhile is shown as it is now, and the edit rejects. */
  async edit(post, body) {
    try {
      this.take([await this.api.feed.edit(post, body)]);
      this.changed();
    } catch (error) {
      await this.refresh(post.post_id).catch(() => {});
      throw error;
    }
  }

  async remove({ post_id, author }, parentId) {
    await this.api.feed.delete(post_id);
    this.drop(post_id);
    const parent = this.posts.get(parentId);
    if (parent) parent.replies = Math.max(0, parent.replies - 1);
    else this.recount(author.user_id, "posts", -1);
    this.changed();
  }

  drop(postId) {
    this.posts.delete(postId);
    for (const list of [...this.lists.values(), ...this.replies.values()]) list.ids = list.ids.filter((id) => id !== postId);
  }

  /** Likes a post, or not any more: shown at once, and as the server has it in the end. Rejects with why not. */
  async like(post, on) {
    const show = (fields) => {
      const known = this.posts.get(post.post_id);
      if (known) this.posts.set(post.post_id, { ...known, ...fields });
      this.changed();
    };
    const { liked, likes } = this.posts.get(post.post_id) ?? post;
    if (liked !== on) show({ liked: on, likes: Math.max(0, likes + (on ? 1 : -1)) });
    const isUnderWay = this.wanted.has(post.post_id);
    this.wanted.set(post.post_id, on);
    if (isUnderWay) return;
    try {
      // The user may change their mind meanwhile.
      for (let told; told !== this.wanted.get(post.post_id);) {
        told = this.wanted.get(post.post_id);
        const answer = await this.api.feed.like(post.post_id, told);
        if (told === this.wanted.get(post.post_id)) show(answer);
      }
    } catch (error) {
      show({ liked, likes });
      throw error;
    } finally {
      this.wanted.delete(post.post_id);
    }
  }

  /** A page of who likes a post: `{people, cursor}`. */
  async likes(postId, cursor) {
    const page = await this.api.feed.likes(postId, { limit: 50, cursor });
    page.people.forEach((user) => this.people.know(user));
    return { people: page.people, cursor: page.more ? page.cursor : undefined };
  }

  // Replies.

  repliesOf(postId) {
    if (!this.replies.has(postId)) this.replies.set(postId, { ids: [], cursor: undefined, isLoaded: false, loading: null, problem: "" });
    return this.replies.get(postId);
  }

  /** The next page of replies, oldest first. */
  loadReplies(postId) {
    const thread = this.repliesOf(postId);
    if (thread.isLoaded && thread.cursor === undefined) return undefined;
    return this.once(thread, async () => {
      const page = await this.api.feed.replies(postId, { limit: PAGE, cursor: thread.cursor });
      const held = new Set(thread.ids);
      thread.ids.push(...this.take(page.replies).filter((id) => !held.has(id)));
      thread.cursor = page.more ? page.cursor : undefined;
      thread.isLoaded = true;
    });
  }

  async reply(postId, draft) {
    const { post_id } = await this.api.feed.reply(postId, draft);
    const thread = this.repliesOf(postId);
    await this.refresh(post_id);
    if (!thread.ids.includes(post_id)) thread.ids.push(post_id);
    await this.refresh(postId);
  }

  // Authors.

  /** A user's profile with counts, if it is known; `load` asks for it. */
  profile(userId) {
    return this.profiles.get(userId);
  }

  async loadProfile(userId) {
    const profile = await (userId === this.me ? this.api.me() : this.api.user(userId));
    this.people.know(profile);
    this.profiles.set(userId, profile);
    this.changed();
  }

  recount(userId, what, by) {
    const counts = this.profiles.get(userId)?.counts;
    if (counts) counts[what] = Math.max(0, (counts[what] ?? 0) + by);
  }

  async follow(userId, on) {
    const { following } = await this.api.feed.follow(userId, on);
    const profile = this.profiles.get(userId);
    if (profile && profile.following !== following) {
      profile.following = following;
      this.recount(userId, "followers", following ? 1 : -1);
    }
    // What the feed has is another from now on.
    this.list().fresh = Math.max(1, this.list().fresh);
    this.changed();
  }

  /** Whether anybody may follow this account. */
  async open(isPublic) {
    await this.api.updateMe({ public: isPublic });
    const profile = this.profiles.get(this.me);
    if (profile) profile.public = isPublic;
    this.changed();
  }
}
