// Friends, requests for friendship, and blocks.

import { carryOut, el, keyed } from "./dom.js";
import { t } from "./language.js";
import { personRow, usernameField } from "./person.js";

const STATES = { requested: "you asked", asked: "asks you", accepted: null };

export class FriendsPanel {
  /** `talk(userId)` opens the direct channel with a user, `posts(userId)` shows what one has posted. */
  constructor(model, talk, posts) {
    Object.assign(this, { model, talk, posts });
  }

  build(body) {
    const { people } = this.model;
    this.problem = el("p", { class: "problem", role: "alert" });
    this.field = usernameField(t("Username of a friend to be"));
    this.button = el("button", { type: "submit" }, t("Add"));
    this.friends = el("ul", { class: "rows" });
    this.blocks = el("ul", { class: "rows" });
    this.blocksTitle = el("h3", {}, t("Blocked"));
    body.append(
      el("form", { class: "line", onsubmit: (event) => { event.preventDefault(); this.add(); } }, this.field, this.button),
      this.problem, this.friends, this.blocksTitle, this.blocks);
    this.carry(() => Promise.all([people.loadFriends(), people.loadBlocks()]));
  }

  carry(act) {
    return carryOut(this.problem, [this.button], act);
  }

  async add() {
    const { people } = this.model;
    if (await this.carry(async () => people.befriend(await people.find(this.field.value)))) this.field.value = "";
  }

  draw() {
    const { people, presence } = this.model;
    const act = (label, what) => el("button", { type: "button", class: "quiet small", onclick: () => this.carry(what) }, label);
    keyed(this.friends, people.friends, {
      key: (user) => user.user_id,
      print: (user) => JSON.stringify([user, presence.of(user.user_id)]),
      build: (user) => personRow(user, user.state === "accepted" ? presence.of(user.user_id) : null, STATES[user.state] && t(STATES[user.state]),
        user.state === "asked" && act(t("Accept"), () => people.befriend(user.user_id)),
        user.state === "accepted" && act(t("Posts"), () => this.posts(user.user_id)),
        user.state === "accepted" && act(t("Talk"), () => this.talk(user.user_id)),
        act(user.state === "accepted" ? t("End") : t("Decline"), () => people.unfriend(user.user_id))),
    });
    this.blocksTitle.hidden = !people.blocks.length;
    keyed(this.blocks, people.blocks, {
      key: (user) => user.user_id,
      print: JSON.stringify,
      build: (user) => personRow(user, null, null, act(t("Unblock"), () => people.block(user.user_id, false))),
    });
  }
}
