// The screen: which channel is open, what its heading says, and what is drawn when something changes.
//
// Owns the composition of the view's parts and the keyboard that is everyone's. Each part has its own file.

import * as settings from "../client/settings.js";
import { preview } from "../client/text.js";
import { AboutPanel } from "./about.js";
import { Channels } from "./channels.js";
import { Composer } from "./compose.js";
import { CreatePanel } from "./create.js";
import { DevicesPanel } from "./devices.js";
import { byId, confirmed, iconButton, say } from "./dom.js";
import { FriendsPanel } from "./friends.js";
import { MentionsPanel } from "./mentions.js";
import { NotificationsPanel } from "./notifications.js";
import { Panel } from "./panel.js";
import { SearchPanel } from "./search.js";
import { Thread } from "./thread.js";
import { count, presence, some } from "./words.js";

/** How many times as long as it took the last time the screen is left alone before it is drawn again, and at the most. */
const REST = 3;
const REST_MS_MAX = 1_000;
/** Times like "5 minutes ago" are drawn again this often. */
const AGAIN_MS = 30_000;

export class Screen {
  constructor(model, account, push, signOut) {
    this.model = model;
    this.panel = new Panel();
    this.channels = new Channels(model, (id) => this.choose(id));
    this.composer = new Composer(model, (edited) => this.wrote(edited));
    this.thread = new Thread(model, this.composer, () => this.seen());
    this.drewMs = 0;
    byId("chat").hidden = false;
    byId("me").textContent = account.current().display_name;

    const jump = (id, seq) => this.jump(id, seq);
    const talk = (userId) => this.talk(userId);
    const leave = async () => { if (await confirmed("Sign out of this tab?", "Sign out")) signOut(); };
    byId("tools").replaceChildren(
      iconButton("search", "Search", () => this.panel.open("search", "Search", new SearchPanel(model, null, jump))),
      iconButton("at", "Mentions", () => this.panel.open("mentions", "Mentions", new MentionsPanel(model, jump))),
      iconButton("heart", "Friends", () => this.panel.open("friends", "Friends", new FriendsPanel(model, talk))),
      iconButton("bell", "Notifications", () => this.panel.open("told", "Notifications", new NotificationsPanel(push, settings))),
      iconButton("device", "Devices", () => this.panel.open("devices", "Devices", new DevicesPanel(account))),
      iconButton("leave", "Sign out", leave));
    const begin = () => this.panel.open("new", "New conversation", new CreatePanel(model, (id) => this.go(id)));
    byId("new-button").onclick = begin;
    byId("find-button").onclick = () => this.panel.open("find", "Search here", new SearchPanel(model, model.open, jump));
    byId("about-button").onclick = () => this.panel.open("about", "About", new AboutPanel(model, model.open));
    byId("back").onclick = () => this.choose(null);
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("visibilitychange", () => this.seen());
    window.addEventListener("focus", () => this.seen());
    setInterval(() => this.draw(), AGAIN_MS);
    this.choose(null);
  }

  /** Escape closes what is on top: a question or a menu does so by itself. */
  key(event) {
    const isOurs = event.key === "Escape" && !event.isComposing && !document.querySelector("dialog[open], :popover-open");
    if (isOurs) this.panel.close();
  }

  /** Whether there is text that was not sent. */
  isWriting() {
    return this.composer.isWriting();
  }

  state(text, live) {
    byId("status").textContent = text;
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
    const about = [channel.member_count && count(channel.member_count, "member"), online && `${online} online`];
    say(state, channel.peer ? (entry ? presence(entry) : "") : about.filter(Boolean).join(", "));
    if (channel.notice) say(byId("notice"), channel.notice);
    const writers = model.presence.writers(model.open).map((user) => model.people.name(user));
    say(byId("typing"), writers.length ? `${some(writers)} ${writers.length > 1 ? "are" : "is"} typing…` : "");
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
    byId("channel").hidden = !id;
    byId("nothing-open").hidden = Boolean(id);
    byId("chat").classList.toggle("has-channel", Boolean(id));
    if (before === id) return this.draw();
    this.model.choose(id);
    this.composer.move(before, id);
    this.draw();
    return this.seen();
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
    byId("announce").textContent = `${this.model.people.name(message.from)}: ${preview(message.body, 300)}`;
  }

  /** The channel is not this account's any more. */
  gone(id) {
    if (this.model.open !== id) return;
    this.model.open = null;
    this.choose(null);
    byId("announce").textContent = "You are not a member of this channel any more.";
    byId("nothing-open").textContent = "You are not a member of that channel any more.";
  }
}
