// The list of channels: what each is called, who is there, what was said last and what is unread.

import { byId, el, keyed } from "./dom.js";
import { avatar } from "./person.js";
import { t, tn } from "./language.js";
import { brief, said } from "./words.js";

export class Channels {
  constructor(model, choose) {
    this.model = model;
    this.choose = choose;
    this.list = byId("channels");
    this.list.addEventListener("keydown", (event) => this.walk(event));
  }

  draw() {
    keyed(this.list, this.model.list().map((channel) => this.row(channel)), {
      key: (row) => row.id,
      print: (row) => JSON.stringify(row),
      build: (row) => this.build(row),
    });
  }

  /** What a row shows. */
  row(channel) {
    const { model } = this;
    const last = channel.last_message;
    const writers = model.presence.writers(channel.channel_id);
    const who = last && channel.kind !== "direct" ? `${last.from === model.me() ? t("You") : model.people.name(last.from)}: ` : "";
    return {
      id: channel.channel_id,
      title: model.title(channel),
      kind: channel.kind,
      state: channel.peer ? model.presence.of(channel.peer.user_id)?.state : null,
      said: writers.length ? t("typing…") : last ? `${who}${said(last, 120)}` : "",
      typing: writers.length > 0,
      when: last ? brief(last.sent_ms) : "",
      unread: channel.unread,
      muted: Boolean(channel.muted),
      current: channel.channel_id === model.open,
    };
  }

  build(row) {
    const unread = row.unread > 999 ? "999+" : String(row.unread);
    const props = {
      type: "button",
      class: `channel ${row.kind}${row.muted ? " muted" : ""}`,
      "aria-current": row.current ? "true" : null,
      onclick: () => this.choose(row.id),
    };
    return el("li", {}, el("button", props,
      avatar(row.title, row.id, row.state),
      el("span", { class: "name", dataset: { muted: t("muted") } }, row.title),
      el("time", {}, row.when),
      el("span", { class: row.typing ? "last typing" : "last" }, row.said),
      row.unread > 0 && el("span", { class: "badge", "aria-label": tn(row.unread, "{count} unread", "{count} unread") }, unread)));
  }

  walk(event) {
    if (!["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    const rows = [...this.list.querySelectorAll("button")];
    const at = rows.indexOf(document.activeElement) + (event.key === "ArrowUp" ? -1 : 1);
    rows[Math.max(0, Math.min(rows.length - 1, at))]?.focus();
  }
}
