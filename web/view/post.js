// One post, or one reply: who wrote it, what it says and shows, likes, and what may be done to it.
//
// Its element stays the same while it is shown, so that focus, drafts of replies and films that play are not lost: `draw` renews
// the parts that have changed.

import { beginning, pieces } from "../client/text.js";
import { carryOut, confirmed, el, icon, iconButton, renew, say } from "./dom.js";
import { t, tn } from "./language.js";
import { attachments } from "./media.js";
import { avatar } from "./person.js";
import { PostForm } from "./postform.js";
import { full, when } from "./words.js";

/** Of a longer text this much is shown at first. */
const TEXT_MAX = 1200;

const AUDIENCES = { friends: "Friends", public: "Everyone" };

export class PostView {
  /** `doings` has `author(userId)` and `likes(postId)`, which show them. `parent` is the post that a reply is below. */
  constructor(model, postId, doings, parent = null) {
    Object.assign(this, { model, id: postId, doings, parent });
    this.replies = new Map();
    const [headId, bodyId] = [`by-${postId}`, `post-${postId}`];
    this.head = el("header", { id: headId });
    this.body = el("div", { class: "body", dir: "auto", id: bodyId });
    this.media = el("div", { class: "attached" });
    this.like = el("button", { type: "button", class: "act like", onclick: () => this.toggleLike() }, icon("heart"), el("span", {}));
    this.likes = el("button", { type: "button", class: "act count", onclick: () => doings.likes(postId) });
    this.talk = !parent && el("button", { type: "button", class: "act", "aria-expanded": "false", onclick: () => this.toggleReplies() }, icon("reply"), el("span", {}));
    this.problem = el("p", { class: "problem", role: "alert" });
    this.below = el("section", { class: "replies", hidden: true });
    this.node = el("article", { class: parent ? "post reply" : "post", tabindex: "0", "aria-labelledby": `${headId} ${bodyId}`, dataset: { post: postId } },
      this.head, this.body, this.media, el("div", { class: "acts-line" }, this.like, this.likes, this.talk), this.problem, this.below);
  }

  get post() {
    return this.model.feed.posts.get(this.id);
  }

  draw() {
    const { post, model } = this;
    if (!post) return;
    const isMine = post.author.user_id === model.me();
    const isAbove = this.parent && model.feed.posts.get(this.parent)?.author.user_id === model.me();
    const name = model.people.name(post.author.user_id);
    renew(this.head, JSON.stringify([name, post.sent_ms, post.edited_ms, post.audience, when(post.sent_ms)]), () => [
      el("button", { type: "button", class: "link author", onclick: () => this.doings.author(post.author.user_id) }, avatar(name, post.author.user_id), el("b", {}, name)),
      el("small", { class: "grow" },
        el("time", { datetime: new Date(post.sent_ms).toISOString(), title: full(post.sent_ms) }, when(post.sent_ms)),
        post.audience && !this.parent && ` · ${t(AUDIENCES[post.audience] ?? post.audience)}`,
        post.edited_ms && el("span", { title: full(post.edited_ms) }, ` · ${t("edited")}`)),
      isMine && iconButton("edit", t("Edit"), () => this.edit()),
      (isMine || isAbove) && iconButton("trash", t("Delete"), () => this.remove()),
    ]);
    const users = (post.mentions ?? []).map((id) => model.people.profile(id)).filter(Boolean);
    if (!this.editing) renew(this.body, JSON.stringify([post.body, post.revision, users]), () => this.text(post.body, users));
    renew(this.media, JSON.stringify((post.media ?? []).map(({ urls, ...rest }) => rest)), () => [attachments(post.media, (options) => model.urls(post, options))]);
    this.like.setAttribute("aria-pressed", String(Boolean(post.liked)));
    say(this.like.lastChild, post.liked ? t("Liked") : t("Like"));
    this.likes.hidden = !post.likes;
    say(this.likes, tn(post.likes, "{count} like", "{count} likes"));
    if (this.talk) say(this.talk.lastChild, post.replies ? tn(post.replies, "{count} reply", "{count} replies") : t("Reply"));
    if (!this.below.hidden) this.drawReplies();
  }

  text(body, users) {
    const show = (shown) => pieces(shown, users).map(({ text: words, user_id, href }) => {
      if (href) return el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, words);
      if (!user_id) return words;
      const me = user_id === this.model.me();
      return el("button", { type: "button", class: me ? "link mention me" : "link mention", onclick: () => this.doings.author(user_id) }, words);
    });
    if (body.length <= TEXT_MAX) return show(body);
    const all = () => this.body.replaceChildren(...show(body));
    return [...show(beginning(body, TEXT_MAX)), "… ", el("button", { type: "button", class: "link", onclick: all }, t("Show all of it"))];
  }

  toggleLike() {
    const { post } = this;
    this.problem.textContent = "";
    this.model.feed.like(post, !post.liked).catch((error) => { this.problem.textContent = error.message; });
  }

  edit() {
    if (this.editing) return;
    const { post } = this;
    this.editing = true;
    const field = el("textarea", { rows: "2", value: post.body, "aria-label": t("Edit your post"), dir: "auto" });
    const save = el("button", { type: "submit", class: "small" }, t("Save"));
    const over = () => {
      this.editing = false;
      this.body.rookeryPrint = undefined;
      this.draw();
      this.node.focus();
    };
    const submit = async (event) => {
      event.preventDefault();
      const body = field.value.trim();
      if (body === post.body) return over();
      if (!body && !post.media?.length) return undefined;
      return (await carryOut(this.problem, [save], () => this.model.feed.edit(post, body))) && over();
    };
    const form = el("form", { class: "post-form", onsubmit: submit }, field,
      el("div", { class: "line" }, el("span", { class: "grow" }), el("button", { type: "button", class: "quiet small", onclick: over }, t("Cancel")), save));
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) {
        event.stopPropagation();
        over();
      } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    this.body.replaceChildren(form);
    field.focus();
  }

  async remove() {
    const question = this.parent ? t("Delete this reply?") : t("Delete this post, and the replies to it?");
    if (await confirmed(question, t("Delete"))) carryOut(this.problem, [], () => this.model.feed.remove(this.post, this.parent));
  }

  // Replies.

  toggleReplies() {
    const isOpen = this.below.hidden;
    this.below.hidden = !isOpen;
    this.talk.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) return;
    if (!this.form) {
      this.list = el("div", { class: "reply-list" });
      this.more = el("button", { type: "button", class: "quiet small", onclick: () => this.model.feed.loadReplies(this.id) });
      this.repliesProblem = el("p", { class: "problem", role: "alert" });
      this.form = new PostForm(this.model, {
        words: () => ({ label: t("Write a reply"), button: t("Reply") }), send: (draft) => this.model.feed.reply(this.id, draft),
      });
      this.below.append(this.list, this.more, this.repliesProblem, this.form.node);
    }
    const thread = this.model.feed.repliesOf(this.id);
    if (!thread.isLoaded) this.model.feed.loadReplies(this.id);
    this.drawReplies();
    this.form.field.focus();
  }

  drawReplies() {
    this.below.setAttribute("aria-label", t("Replies"));
    const { feed } = this.model;
    const thread = feed.repliesOf(this.id);
    const shown = thread.ids.filter((id) => feed.posts.has(id));
    for (const id of this.replies.keys()) if (!shown.includes(id)) this.replies.delete(id);
    for (const id of shown) if (!this.replies.has(id)) this.replies.set(id, new PostView(this.model, id, this.doings, this.id));
    place(this.list, shown.map((id) => this.replies.get(id).node));
    for (const view of this.replies.values()) view.draw();
    this.more.hidden = thread.cursor === undefined;
    say(this.more, t("More replies"));
    say(this.repliesProblem, thread.problem);
    this.form.draw();
  }

  /** Says everything in the page's language but what is being written. */
  translated() {
    this.form?.translated();
    for (const view of this.replies.values()) view.translated();
  }

  get isWriting() {
    return Boolean(this.editing || this.form?.isWriting);
  }
}

/** Makes a parent's children these, and moves only what is elsewhere: what is moved loses its focus. */
export function place(parent, nodes) {
  const stays = new Set(nodes);
  for (const child of [...parent.children]) if (!stays.has(child)) child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}
