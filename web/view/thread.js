// The messages of the channel that is open: their order, where the eye is, and what can be done to one.
//
// Owns the scroll position, the focus among messages and the palette of reactions. How one message looks is `message.js`.

import { byId, confirmed, el, keyed } from "./dom.js";
import { t, tn } from "./language.js";
import { dayRow, entryRow, messageRow, moveFiles, newRow } from "./message.js";
import { day, dayOf } from "./words.js";

/** Messages of one sender within this time are one group, under one name. */
const GROUP_MS = 5 * 60_000;
const EDGE_PX = 120;
const SMALL_GROUP = 20;
const PALETTE = ["👍", "❤️", "😂", "😮", "😢", "🙏", "🎉", "👀"];

export class Thread {
  /** `composer` takes replies and edits. `reached()` tells that the newest message has come in sight. */
  constructor(model, composer, reached) {
    this.model = model;
    this.composer = composer;
    this.reached = reached;
    this.list = byId("messages");
    this.shownId = null;
    this.goal = null;
    this.list.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.list.addEventListener("keydown", (event) => this.walk(event));
    byId("to-newest").onclick = () => this.toNewest();
    byId("to-unread").onclick = () => this.jump(this.channel().divider + 1);
    this.doings = {
      react: (message, button) => this.palette(message, button),
      toggle: (message, emoji, on) => model.acts.react(message, emoji, on),
      reply: (message) => composer.reply(message),
      edit: (message) => composer.edit(message),
      remove: (message) => this.remove(message),
      jump: (seq) => this.jump(seq),
      problem: (entry) => (model.acts.isStale(entry) ? t("the message was changed elsewhere meanwhile") : entry.problem),
      remedy: (entry) => (model.acts.isStale(entry) ? t("Edit the newest") : t("Try again")),
      again: (entry) => this.again(entry),
      giveUp: (entry) => model.acts.giveUp(entry),
      preview: (fileId, node) => this.preview(fileId, node),
    };
  }

  channel() {
    return this.model.channel(this.model.open);
  }

  /** Whether the newest message is in sight. */
  atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.list;
    return !this.channel().jump && scrollHeight - scrollTop - clientHeight < EDGE_PX;
  }

  draw() {
    const channel = this.channel();
    const isNew = this.shownId !== channel.channel_id;
    this.shownId = channel.channel_id;
    this.list.dataset.nothing = t("Nothing has been written here yet.");
    const atEnd = isNew || this.atEnd();
    const fromEnd = this.list.scrollHeight - this.list.scrollTop;
    const topmost = () => this.list.querySelector("[data-seq]")?.dataset.seq;
    const before = topmost();

    keyed(this.list, this.rows(channel), {
      key: (row) => row.key,
      print: (row) => row.print,
      build: (row) => row.build(),
    });
    for (const entry of this.model.acts.waiting(channel.channel_id)) {
      const row = entry.files?.length && [...this.list.children].find((child) => child.rookeryKey === entry.id);
      if (row) moveFiles(row, entry);
    }
    const messages = [...this.list.querySelectorAll(".message")];
    if (!messages.some((row) => row.tabIndex === 0)) messages.at(-1)?.setAttribute("tabindex", "0");

    if (this.goal) this.reach();
    else if (atEnd) this.list.scrollTop = this.list.scrollHeight;
    // What is read stays where it is when older messages come in above it.
    else if (before !== topmost()) this.list.scrollTop = this.list.scrollHeight - fromEnd;
    this.drawButtons(channel);
    if (isNew && channel.tail) this.scrolled();
  }

  drawButtons(channel) {
    const span = channel.jump ?? channel.tail;
    const unreadAbove = channel.divider !== null && span && channel.divider + 1 < span.from;
    byId("to-unread").hidden = !unreadAbove;
    byId("to-unread").textContent = `↑ ${t("First unread message")}`;
    const away = channel.jump || !this.atEnd();
    byId("to-newest").hidden = !away || !channel.tail;
    byId("to-newest").textContent = `↓ ${channel.unread ? tn(channel.unread, "{count} new message", "{count} new messages") : t("Newest")}`;
  }

  /** What stands in the list: days, the line before what is new, messages, what waits to be sent. */
  rows(channel) {
    const { model, doings } = this;
    const entries = model.acts.waiting(channel.channel_id);
    const sends = entries.filter(({ command }) => command === "send");
    // By what they change, since a thousand messages may be here and a thousand wait.
    const changes = new Map();
    for (const entry of entries) {
      if (entry.command !== "send") changes.set(entry.fields.seq, [...(changes.get(entry.fields.seq) ?? []), entry]);
    }
    const rows = [];
    const shown = channel.shown();
    const firstNew = firstUnread(channel, shown);
    let before = null;
    for (const message of shown) {
      if (!before || dayOf(before.sent_ms) !== dayOf(message.sent_ms)) {
        const words = day(message.sent_ms);
        rows.push({ key: `day ${dayOf(message.sent_ms)}`, print: words, build: () => dayRow(words) });
        before = null;
      }
      if (message.seq === firstNew) {
        rows.push({ key: "new", print: "", build: newRow });
        before = null;
      }
      const row = {
        message,
        mine: message.from === model.me(),
        first: !before || before.from !== message.from || message.sent_ms - before.sent_ms > GROUP_MS,
        mayDelete: channel.kind !== "direct" && ["admin", "owner"].includes(channel.role),
        readers: this.readers(channel, message),
        waiting: changes.get(message.seq) ?? [],
        quoted: message.reply_to ? model.quoted(channel, message.reply_to) : null,
      };
      rows.push({ key: `m${message.seq}`, print: this.print(row), build: () => messageRow(row, model, doings) });
      before = message;
    }
    if (channel.jump) return rows;
    for (const entry of sends) {
      rows.push({ key: entry.id, print: printOf(entry), build: () => entryRow(entry, model, doings) });
    }
    return rows;
  }

  /** Whom a receipt would name, where there are receipts. */
  readers(channel, { from, seq }) {
    const { model } = this;
    if (from !== model.me() || channel.kind === "large" || channel.member_count > SMALL_GROUP) return null;
    return { direct: channel.kind === "direct", users: channel.readers(seq, model.me()) };
  }

  /** Everything that a row's looks depend on. */
  print({ message, first, mayDelete, readers, waiting, quoted }) {
    const people = [message.from, ...(message.mentions ?? []), ...(readers?.users ?? []), ...(quoted ? [quoted.from] : [])];
    const names = people.map((user) => this.model.people.name(user));
    return JSON.stringify([message, first, mayDelete, waiting, quoted?.revision, quoted?.deleted, names, readers?.users]);
  }

  scrolled() {
    const { model, list } = this;
    if (!model.open || list.clientHeight === 0) return;
    if (list.scrollTop < EDGE_PX) model.older(model.open).catch(() => {});
    if (list.scrollHeight - list.scrollTop - list.clientHeight < EDGE_PX) model.newer(model.open).catch(() => {});
    this.drawButtons(this.channel());
    if (this.atEnd()) this.reached();
  }

  toNewest() {
    this.model.toNewest(this.model.open);
    this.list.scrollTop = this.list.scrollHeight;
  }

  /** Goes to a message, and there to its row. */
  async jump(seq) {
    this.goal = { id: this.model.open, seq };
    byId("notice").textContent = "";
    try {
      await this.model.jumpTo(this.model.open, seq);
      this.draw();
    } catch (error) {
      byId("notice").textContent = error.message;
    } finally {
      this.goal = null;
    }
  }

  reach() {
    const row = this.goal.id === this.model.open && this.list.querySelector(`[data-seq="${this.goal.seq}"]`);
    if (!row) return;
    row.scrollIntoView({ block: "center" });
    row.classList.add("found");
    setTimeout(() => row.classList.remove("found"), 2000);
    this.focus(row);
  }

  focus(row) {
    this.list.querySelectorAll('[tabindex="0"]').forEach((other) => other.setAttribute("tabindex", "-1"));
    row.setAttribute("tabindex", "0");
    row.focus({ preventScroll: true });
  }

  /** Arrow keys go from message to message; Tab goes into one. */
  walk(event) {
    if (!["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    let row = event.target.closest("li");
    do row = event.key === "ArrowUp" ? row.previousElementSibling : row.nextElementSibling;
    while (row && !row.classList.contains("message"));
    if (!row) return;
    this.focus(row);
    row.scrollIntoView({ block: "nearest" });
  }

  async remove(message) {
    if (await confirmed(t("Delete this message for everyone?"), t("Delete"))) this.model.acts.delete(message);
  }

  /** Tries what was refused again. A stale edit is taken up anew, on the message as it is now. */
  again(entry) {
    const { acts } = this.model;
    if (!acts.isStale(entry)) return acts.again(entry);
    acts.giveUp(entry);
    const now = this.channel().messages.get(entry.fields.seq);
    return now && this.composer.edit(now, entry.fields.body);
  }

  /** A small picture of a file that waits, in the place of its icon. */
  async preview(fileId, node) {
    try {
      const blob = await this.model.acts.file(fileId);
      if (!blob) return;
      const picture = await createImageBitmap(blob, { resizeWidth: 112 });
      const canvas = el("canvas", { class: "preview", width: picture.width, height: picture.height, "aria-hidden": "true" });
      canvas.getContext("2d").drawImage(picture, 0, 0);
      node.replaceWith(canvas);
    } catch {
      // What is no picture keeps the icon.
    }
  }

  /** A few emojis, and a place for any other. */
  palette(message, button) {
    const choose = (emoji) => {
      menu.hidePopover();
      const mine = message.reactions?.some((tally) => tally.emoji === emoji && tally.mine);
      this.model.acts.react(message, emoji, !mine);
    };
    const other = el("input", { required: true, "aria-label": t("Another emoji"), placeholder: t("other"), maxlength: "32" });
    const menu = el("div", { class: "menu", popover: "auto", role: "group", "aria-label": t("Reactions") },
      PALETTE.map((emoji) => el("button", { type: "button", class: "bare", onclick: () => choose(emoji) }, emoji)),
      el("form", { onsubmit: (event) => { event.preventDefault(); choose(other.value.trim()); } }, other));
    menu.addEventListener("toggle", ({ newState }) => { if (newState === "closed") menu.remove(); });
    document.body.append(menu);
    menu.showPopover();
    const { left, top, bottom } = button.getBoundingClientRect();
    const { offsetWidth, offsetHeight } = menu;
    menu.style.left = `${Math.max(8, Math.min(left, innerWidth - offsetWidth - 8))}px`;
    menu.style.top = `${top > offsetHeight + 8 ? top - offsetHeight - 4 : bottom + 4}px`;
    menu.querySelector("button").focus();
  }
}

/** What the looks of a message that waits depend on: how far its files are is drawn into it. */
const printOf = ({ files, ...entry }) => JSON.stringify([entry, files?.map(({ id, attachment }) => [id, Boolean(attachment)])]);

/** The seq before which the line stands: of the first new message, if what is before that is here too. */
function firstUnread({ divider, jump, tail }, shown) {
  const at = divider === null ? -1 : shown.findIndex(({ seq }) => seq > divider);
  const isFirst = at > 0 || shown[at]?.seq === divider + 1 || (jump ?? tail)?.complete;
  return at >= 0 && isFirst ? shown[at].seq : null;
}
