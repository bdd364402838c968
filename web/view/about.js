// About the channel that is open: its members and roles, its title, its notifications, and leaving it. Of a direct one, the
// other: friendship and blocks.

import { carryOut, confirmed, el, iconButton, keyed } from "./dom.js";
import { t } from "./language.js";
import { personRow, usernameField } from "./person.js";

const ROLES = ["member", "admin", "owner"];

export class AboutPanel {
  constructor(model, channelId) {
    this.model = model;
    this.id = channelId;
    this.channel = model.channel(channelId);
    this.rules = ["admin", "owner"].includes(this.channel.role);
  }

  build(body) {
    this.problem = el("p", { class: "problem", role: "alert" });
    this.rows = el("ul", { class: "rows" });
    this.muted = el("input", { type: "checkbox", onchange: () => this.mute() });
    this.more = el("button", { type: "button", class: "quiet", onclick: () => this.carry(() => this.load(true)) }, t("More members"));
    const leave = el("button", { type: "button", class: "quiet alarm", onclick: () => this.leave() }, t("Leave"));
    const isDirect = this.channel.kind === "direct";
    if (isDirect) this.friendship = el("div", { class: "row" });
    body.append(...[
      this.problem,
      this.friendship,
      this.rules && !isDirect && this.titleForm(),
      this.rules && !isDirect && this.inviteForm(),
      el("label", { class: "check" }, this.muted, t("No notifications")),
      this.rows,
      this.more,
      !isDirect && leave,
    ].filter(Boolean));
    this.carry(() => this.load(false));
  }

  carry(act, controls = []) {
    return carryOut(this.problem, controls, act);
  }

  async load(more) {
    await this.model.people.loadMembers(this.id, more);
    const { list } = this.model.people.membersOf(this.id);
    if (this.channel.kind === "large") await this.model.presence.look(this.id, Math.floor((list.length - 1) / 200));
  }

  titleForm() {
    const field = el("input", { required: true, maxlength: "128", value: this.channel.title, "aria-label": t("Title") });
    const button = el("button", { type: "submit", class: "quiet" }, t("Rename"));
    const rename = (event) => {
      event.preventDefault();
      this.carry(() => this.model.groups.rename(this.id, field.value.trim()).then(() => this.model.loadChannels()), [button]);
    };
    return el("form", { class: "line", onsubmit: rename }, field, button);
  }

  inviteForm() {
    const { people, groups } = this.model;
    const field = usernameField(t("Username to invite"));
    const button = el("button", { type: "submit", class: "quiet" }, t("Invite"));
    const invite = async (event) => {
      event.preventDefault();
      const done = await this.carry(async () => {
        await groups.put(this.id, await people.find(field.value));
        await people.loadMembers(this.id);
      }, [button]);
      if (done) field.value = "";
    };
    return el("form", { class: "line", onsubmit: invite }, field, button);
  }

  mute() {
    const muted = this.muted.checked;
    this.carry(async () => {
      await this.model.groups.mute(this.id, muted);
      this.channel.muted = muted;
      this.model.on.changed();
    }, [this.muted]);
  }

  async leave() {
    if (!(await confirmed(t("Leave {title}?", { title: this.model.title(this.channel) }), t("Leave")))) return;
    if (await this.carry(() => this.model.groups.leave(this.id))) this.model.drop(this.id);
  }

  draw() {
    const { people, presence } = this.model;
    const { list, cursor } = people.membersOf(this.id);
    this.muted.checked = Boolean(this.channel.muted);
    this.more.hidden = !cursor;
    if (this.friendship) this.drawFriendship();
    keyed(this.rows, list, {
      key: (user) => user.user_id,
      print: (user) => JSON.stringify([user, presence.of(user.user_id), this.channel.role]),
      build: (user) => {
        const isMe = user.user_id === this.model.me();
        return personRow(user, isMe ? null : presence.of(user.user_id), null, ...this.beside(user));
      },
    });
  }

  /** What may be done to a member. */
  beside(user) {
    const { groups, people } = this.model;
    if (this.channel.kind === "direct") return [];
    if (!this.rules || user.user_id === this.model.me()) return [el("small", {}, t(user.role))];
    const after = (request) => this.carry(() => request.then(() => people.loadMembers(this.id)));
    const role = el("select", {
      "aria-label": t("Role of {name}", { name: user.display_name }),
      onchange: () => after(groups.put(this.id, user.user_id, role.value)),
    }, ROLES.map((name) => el("option", { value: name, selected: name === user.role }, t(name))));
    const remove = async () => {
      if (await confirmed(t("Remove {name}?", { name: user.display_name }), t("Remove"))) after(groups.remove(this.id, user.user_id));
    };
    return [role, iconButton("close", t("Remove {name}", { name: user.display_name }), remove)];
  }

  drawFriendship() {
    const { people } = this.model;
    const other = this.channel.peer.user_id;
    const state = people.friends.find((user) => user.user_id === other)?.state;
    const blocked = people.isBlocked(other);
    const print = `${state} ${blocked}`;
    if (this.friendship.rookeryPrint === print) return;
    this.friendship.rookeryPrint = print;
    const act = (label, what) => {
      const button = el("button", { type: "button", class: "quiet", onclick: () => this.carry(what, [button]) }, label);
      return button;
    };
    const words = { accepted: "End friendship", requested: "Withdraw request", asked: "Accept friendship" };
    const ends = state === "accepted" || state === "requested";
    this.friendship.replaceChildren(
      act(t(words[state] ?? "Add as a friend"), () => (ends ? people.unfriend(other) : people.befriend(other))),
      act(blocked ? t("Unblock") : t("Block"), () => people.block(other, !blocked)));
  }
}
