// Who likes a post.

import { carryOut, el } from "./dom.js";
import { t } from "./language.js";
import { personRow } from "./person.js";

export class LikesPanel {
  /** `show(userId)` shows a user's posts. */
  constructor(model, postId, show) {
    Object.assign(this, { model, postId, show });
  }

  build(body) {
    this.problem = el("p", { class: "problem", role: "alert" });
    this.rows = el("ul", { class: "rows" });
    this.more = el("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.ask() }, t("More"));
    body.append(this.problem, this.rows, this.more);
    this.ask();
  }

  ask() {
    return carryOut(this.problem, [this.more], async () => {
      const { people, cursor } = await this.model.feed.likes(this.postId, this.cursor);
      const posts = (user) => el("button", { type: "button", class: "quiet small", onclick: () => this.show(user.user_id) }, t("Posts"));
      this.rows.append(...people.map((user) => personRow(user, null, null, posts(user))));
      this.cursor = cursor;
      this.more.hidden = !cursor;
    });
  }
}
