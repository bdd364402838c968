// The screen: which channel is open or whether the feed is, what the heading says, and what is drawn when something changes.
//
// Owns the composition of the view's parts and the keyboard that is everyone's. Each part has its own file.

import * as settings from "../client/settings.js";
import { AboutPanel } from "./about.js";
import { Channels } from "./channels.js";
import { Composer } from "./compose.js";
import { CreatePanel } from "./create.js";
import { DevicesPanel } from "./devices.js";
import { byId, confirmed, el, iconButton, say } from "./dom.js";
import { FeedView } from "./feed.js";
import { FriendsPanel } from "./friends.js";
import { LANGUAGES, language, onLanguage, speak, t, tn, translate } from "./language.js";
import { LikesPanel } from "./likes.js";
import { MentionsPanel } from "./mentions.js";
import { NotificationsPanel } from "./notifications.js";
import { Panel } from "./panel.js";
import { SearchPanel } from "./search.js";
import { Thread } from "./thread.js";
import { presence, said, some } from "./words.js";

/** How many times as long as it took the last time the screen is left alone before it is drawn again, and at the most. */
const REST = 3;
const REST_MS_MAX = 1_000;
/** Times like "5 minutes ago" are drawn again this often. */
const AGAIN_MS = 30_000;

function refuse(event) {
  if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "none";
}

export class Screen {
  constructor(model, account, push, signOut) {
    this.model = model;
    this.panel = new Panel();
    this.channels = new Channels(model, (id) => this.choose(id));
    this.composer = new Composer(model, (edited) => this.wrote(edited));
    this.thread = new Thread(model, this.composer, () => this.seen());
    const posts = (userId) => this.feed(userId);
    this.posts = new FeedView(model, {
      talk: (userId) => this.talk(userId),
      likes: (postId) => this.panel.open(`likes ${postId}`, t("Likes"), new LikesPanel(model, postId, posts)),
    });
    this.account = account;
    this.push = push;
    this.signOut = signOut;
    this.drewMs = 0;
    byId("chat").hidden = false;
    byId("me").textContent = account.current().display_name;

    const jump = (id, seq) => this.jump(id, seq);
    const begin = () => this.panel.open("new", t("New conversation"), new CreatePanel(model, (id) => this.go(id)));
    byId("new-button").onclick = begin;
    byId("find-button").onclick = () => this.panel.open("find", t("Search here"), new SearchPanel(model, model.open, jump));
    byId("about-button").onclick = () => this.panel.open("about", t("About"), new AboutPanel(model, model.open));
    byId("back").onclick = () => this.choose(null);
    byId("feed-back").onclick = () => (this.posts.userId === null ? this.choose(null) : this.feed());
    byId("feed-button").onclick = () => this.feed();
    byId("feed-mine").onclick = () => this.feed(model.me());
    this.tools();
    onLanguage(() => this.translated());
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("visibilitychange", () => this.seen());
    window.addEventListener("focus", () => this.seen());
    // A file that is dropped beside the places for it would be opened in the place of the page.
    for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => refuse(event));
    setInterval(() => this.draw(), AGAIN_MS);
    this.choose(null);
  }

  /** The buttons that open something beside. */
  tools() {
    const { model, account, panel } = this;
    const jump = (id, seq) => this.jump(id, seq);
    const tool = (name, key, label, content) => iconButton(name, label, () => panel.open(key, label, content()));
    const leave = async () => { if (await confirmed(t("Sign out of this tab?"), t("Sign out"))) this.signOut(); };
    byId("tools").replaceChildren(
      tool("search", "search", t("Search"), () => new SearchPanel(model, null, jump)),
      tool("at", "mentions", t("Mentions"), () => new MentionsPanel(model, jump)),
      tool("friends", "friends", t("Friends"), () => new FriendsPanel(model, (userId) => this.talk(userId), (userId) => this.feed(userId))),
      tool("bell", "told", t("Notifications"), () => new NotificationsPanel(this.push, settings)),
      tool("device", "devices", t("Devices"), () => new DevicesPanel(account)),
      this.languages(),
      iconButton("leave", t("Sign out"), leave));
  }

  /** The switch to the other language, by its own name. */
  languages() {
    const other = Object.keys(LANGUAGES).find((tag) => tag !== language());
    return el("button", { type: "button", class: "bare language", lang: other, title: LANGUAGES[other], "aria-label": LANGUAGES[other], onclick: () => speak(other) },
      other === "ko" ? "한" : "EN");
  }

  /** Another language: what stands is said anew, and what is being written stays. */
  translated() {
    translate(document);
    this.panel.close();
    byId("status").textContent = t(this.standing ?? "");
    this.tools();
    this.posts.translated();
    this.composer.translated();
    byId("tools").querySelector(".language").focus();
    this.draw();
  }

  /** Escape closes what is on top: a question or a menu does so by itself. */
  key(event) {
    const isOurs = event.key === "Escape" && !event.isComposing && !document.querySelector("dialog[open], :popover-open");
    if (isOurs) this.panel.close();
  }

  /** Whether there is text that was not sent. */
  isWriting() {
    return this.composer.isWriting() || this.posts.isWriting;
  }

  state(text, live) {
    this.standing = text;
    byId("status").textContent = t(text);
    byId("status").classList.toggle("away", !live);
  }

  /**
   * Something changed: everything is drawn, once, however many events there were. Where that takes long, as of a thousand
   * messages, it is done more seldom, so that what comes and goes is not held up by how it looks.
   */
  changed() {
    this.drawing ??= setTimeout(() => {
      const beganMs = performance.now();
      this.drawing = null;
      this.draw();
      this.seen();
      this.drewMs = performance.now() - beganMs;
    }, Math.min(REST_MS_MAX, this.drewMs * REST));
  }

  draw() {
    const unread = this.model.unread();
    document.title = unread ? `(${unread}) Rookery` : "Rookery";
    if (unread !== this.badge) navigator.setAppBadge?.(unread).catch(() => {});
    this.badge = unread;
    this.channels.draw();
    this.posts.draw();
    if (this.model.open) {
      this.heading();
      this.thread.draw();
    }
    this.panel.draw();
  }

  heading() {
    const { model } = this;
    const channel = model.channel(model.open);
    say(byId("title"), model.title(channel));
    const state = byId("subtitle");
    const entry = channel.peer && model.presence.of(channel.peer.user_id);
    const online = channel.opened?.online;
    state.className = entry?.state ?? "";
    const about = [channel.member_count && tn(channel.member_count, "{count} member", "{count} members"), online && t("{count} online", { count: online })];
    say(state, channel.peer ? (entry ? presence(entry) : "") : about.filter(Boolean).join(", "));
    if (channel.notice) say(byId("notice"), channel.notice);
    const writers = model.presence.writers(model.open).map((user) => model.people.name(user));
    say(byId("typing"), writers.length ? t(writers.length > 1 ? "{names} are typing…" : "{names} is typing…", { names: some(writers) }) : "");
  }

  /** Whether the user sees what comes in a channel. */
  looking(id) {
    return id === this.model.open && !document.hidden && document.hasFocus() && this.thread.atEnd();
  }

  seen() {
    if (this.model.open && this.looking(this.model.open)) this.model.markRead(this.model.open);
  }

  choose(id) {
    const before = this.model.open;
    if (this.panel.name === "about" || this.panel.name === "find") this.panel.close();
    byId("notice").textContent = "";
    this.posts.hide();
    this.place(id ? "channel" : null);
    if (before === id) return this.draw();
    this.model.choose(id);
    this.composer.move(before, id);
    this.draw();
    return this.seen();
  }

  /** What stands in the middle: the channel, the feed, or neither. */
  place(name) {
    for (const each of ["channel", "feed"]) byId(each).hidden = each !== name;
    byId("nothing-open").hidden = name !== null;
    byId("chat").classList.toggle("has-channel", name !== null);
    byId("feed-button").setAttribute("aria-current", String(name === "feed"));
  }

  /** Shows the feed, or an author's posts, in the place of the channel that was open. */
  feed(userId = null) {
    if (this.model.open) this.choose(null);
    if (matchMedia("(max-width: 60rem)").matches) this.panel.close();
    this.place("feed");
    this.posts.show(userId);
  }

  /** Goes to a channel, away from what stands before it on a small screen. */
  go(id) {
    this.panel.close();
    this.choose(id);
  }

  async jump(id, seq) {
    if (matchMedia("(max-width: 60rem)").matches) this.panel.close();
    if (this.model.open !== id) this.choose(id);
    await this.thread.jump(seq);
  }

  async talk(userId) {
    const { channel_id } = await this.model.groups.direct(userId);
    await this.model.loadChannels();
    this.go(channel_id);
  }

  wrote(edited) {
    if (!edited) this.thread.toNewest();
  }

  /** What others write where the user looks is said to those who do not see it. */
  heard(message) {
    if (message.channel_id !== this.model.open) return;
    byId("announce").textContent = `${this.model.people.name(message.from)}: ${said(message, 300)}`;
  }

  /** The channel is not this account's any more. */
  gone(id) {
    if (this.model.open !== id) return;
    this.model.open = null;
    this.choose(null);
    byId("announce").textContent = t("You are not a member of this channel any more.");
    byId("nothing-open").textContent = t("You are not a member of that channel any more.");
  }
}
