// The feed, or an author's posts: where one posts, what has come, and more by scrolling.
//
// Owns which of the two is shown and where the eye is. One post is `post.js`, what is held is `client/feed.js`.

import { byId, carryOut, el, renew, say } from "./dom.js";
import { t, tn } from "./language.js";
import { avatar } from "./person.js";
import { PostForm } from "./postform.js";
import { PostView, place } from "./post.js";

/** How far from the end more is asked for. */
const EDGE_PX = 600;

export class FeedView {
  /** `panel(name, title, content)` opens something beside; `talk(userId)` a conversation. */
  constructor(model, { likes, talk }) {
    Object.assign(this, { model, talk });
    this.views = new Map();
    // null: the feed; a user id: that author's posts.
    this.userId = null;
    this.isOpen = false;
    this.scroll = byId("feed-scroll");
    this.posts = byId("posts");
    this.doings = { author: (userId) => this.show(userId), likes };
    this.form = new PostForm(model, {
      words: () => ({ label: t("What is new?"), button: t("Post") }), isPublic: () => Boolean(model.feed.profile(model.me())?.public), zone: byId("feed"), isOff: () => byId("post-place").hidden, send: (draft) => this.posted(draft),
    });
    byId("post-place").replaceChildren(this.form.node);
    this.scroll.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.posts.addEventListener("keydown", (event) => this.walk(event));
    byId("feed-new").onclick = () => this.newest();
    byId("feed-more").onclick = () => this.model.feed.more(this.list());
  }

  get isWriting() {
    return this.form.isWriting || [...this.views.values()].some((view) => view.isWriting);
  }

  translated() {
    this.form.translated();
    for (const view of this.views.values()) view.translated();
  }

  list() {
    return this.model.feed.list(this.userId);
  }

  /** Shows the feed, or with an id an author's posts. */
  show(userId = null) {
    this.userId = userId;
    this.isOpen = true;
    this.scroll.scrollTop = 0;
    const { feed } = this.model;
    const list = this.list();
    // What is held is shown meanwhile.
    feed.load(list);
    const profile = userId ?? this.model.me();
    if (userId !== null || !feed.profile(profile)) carryOut(byId("feed-notice"), [], () => feed.loadProfile(profile));
    this.draw();
    byId("feed-title").focus({ preventScroll: true });
  }

  hide() {
    this.isOpen = false;
  }

  async posted(draft) {
    await this.model.feed.create(draft);
    this.scroll.scrollTop = 0;
    say(byId("announce"), t("Your post is there."));
  }

  async newest() {
    await this.model.feed.load(this.list());
    this.scroll.scrollTop = 0;
    this.posts.querySelector("article")?.focus({ preventScroll: true });
  }

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroll;
    const list = this.list();
    if (this.isOpen && list.isLoaded && !list.problem && scrollHeight - scrollTop - clientHeight < EDGE_PX) this.model.feed.more(list);
  }

  draw() {
    const { feed } = this.model;
    this.badge();
    if (!this.isOpen) return;
    const list = this.list();
    const shown = feed.shown(list);
    const isMine = this.userId === this.model.me();
    say(byId("feed-title"), this.userId === null ? t("Feed") : this.model.people.name(this.userId));
    byId("post-place").hidden = this.userId !== null && !isMine;
    this.about(isMine);
    for (const [id, view] of this.views) if (!feed.posts.has(id) && !view.isWriting) this.views.delete(id);
    for (const { post_id } of shown) if (!this.views.has(post_id)) this.views.set(post_id, new PostView(this.model, post_id, this.doings));
    place(this.posts, shown.map(({ post_id }) => this.views.get(post_id).node));
    for (const [at, { post_id }] of shown.entries()) {
      const view = this.views.get(post_id);
      view.node.setAttribute("aria-posinset", String(at + 1));
      view.node.setAttribute("aria-setsize", feed.hasMore(list) ? "-1" : String(shown.length));
      view.draw();
    }
    this.form.draw();
    this.posts.setAttribute("aria-busy", String(Boolean(list.loading)));
    byId("feed-new").hidden = !list.fresh;
    if (list.fresh) say(byId("feed-new"), `↑ ${tn(list.fresh, "{count} new post", "{count} new posts")}`);
    say(byId("feed-fresh"), list.fresh ? tn(list.fresh, "{count} new post", "{count} new posts") : "");
    say(byId("feed-problem"), list.problem);
    byId("feed-more").hidden = !feed.hasMore(list) || Boolean(list.loading);
    const nothing = this.userId === null ? t("Nothing here yet: post something, or add friends.") : t("No posts that you may see.");
    say(byId("feed-end"), list.loading ? t("Loading…") : list.isLoaded && !shown.length && !list.problem ? nothing : "");
    // A page may be shorter than the window.
    if (list.isLoaded && !list.problem && feed.hasMore(list) && !list.loading) this.scrolled();
  }

  /** How many posts wait, where the feed is one of several places. */
  badge() {
    const { fresh } = this.model.feed.list();
    const badge = byId("feed-badge");
    badge.hidden = !fresh;
    say(badge, fresh > 99 ? "99+" : String(fresh));
    badge.setAttribute("aria-label", tn(fresh, "{count} new post", "{count} new posts"));
  }

  /** An author: counts, whether one follows, and of the own account whether anybody may. */
  about(isMine) {
    const { model } = this;
    const node = byId("feed-about");
    node.hidden = this.userId === null;
    if (this.userId === null) return;
    const profile = model.feed.profile(this.userId);
    const name = model.people.name(this.userId);
    renew(node, JSON.stringify([profile, name, isMine]), () => {
      const { posts = 0, followers = 0, following = 0 } = profile?.counts ?? {};
      const counts = [
        tn(posts, "{count} post", "{count} posts"), tn(followers, "{count} follower", "{count} followers"), t("follows {count}", { count: following }),
      ];
      const problem = byId("feed-notice");
      const follow = el("button", {
        type: "button", class: profile?.following ? "quiet small" : "small", "aria-pressed": String(Boolean(profile?.following)),
        onclick: () => carryOut(problem, [follow], () => model.feed.follow(this.userId, !profile.following)),
      }, profile?.following ? t("Following") : t("Follow"));
      const open = el("input", { type: "checkbox", checked: Boolean(profile?.public), onchange: () => carryOut(problem, [open], () => model.feed.open(open.checked)) });
      return [
        avatar(name, this.userId),
        el("div", { class: "grow" }, el("b", {}, name), profile && el("small", {}, `@${profile.username} · ${counts.join(" · ")}`)),
        !isMine && profile && el("button", { type: "button", class: "quiet small", onclick: () => this.talk(this.userId) }, t("Talk")),
        !isMine && (profile?.public || profile?.following) && follow,
        isMine && profile && el("label", { class: "check" }, open, t("Anyone may follow me")),
      ].filter(Boolean);
    });
  }

  /** Arrow keys and Page Up and Down go from post to post, as of ARIA's feeds; Tab goes into one. */
  walk(event) {
    const by = { ArrowUp: -1, PageUp: -1, ArrowDown: 1, PageDown: 1 }[event.key];
    const post = event.target.closest("article");
    const isArrow = event.key.startsWith("Arrow");
    // Within a post arrows are the fields', and scroll.
    if (!by || !post || (isArrow && event.target !== post) || event.target.closest("textarea, select, video, audio")) return;
    const all = [...this.posts.querySelectorAll("article")].filter((each) => each.checkVisibility());
    const next = all[all.indexOf(post) + by];
    if (!next) return;
    event.preventDefault();
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }
}
