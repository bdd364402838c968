// Messages that name the user, newest first.

import { carryOut, el, keyed } from "./dom.js";
import { hitRow } from "./hits.js";
import { t } from "./language.js";
import { said } from "./words.js";

const PAGE = 30;

export class MentionsPanel {
  constructor(model, jump) {
    Object.assign(this, { model, jump, found: [], cursor: undefined });
  }

  build(body) {
    this.problem = el("p", { class: "problem", role: "alert" });
    this.rows = el("ul", { class: "rows" });
    this.none = el("p", { class: "none", hidden: true }, t("Nobody has mentioned you yet."));
    this.more = el("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.ask() }, t("Older ones"));
    body.append(this.problem, this.rows, this.none, this.more);
    this.ask();
  }

  ask() {
    return carryOut(this.problem, [this.more], async () => {
      const page = await this.model.mentions(PAGE, this.cursor);
      this.found.push(...page.messages);
      this.cursor = page.cursor;
      this.none.hidden = this.found.length > 0;
      this.more.hidden = !page.cursor;
      this.draw();
    });
  }

  draw() {
    keyed(this.rows, this.found, {
      key: (message) => `${message.channel_id} ${message.seq}`,
      print: (message) => `${this.model.people.name(message.from)} ${message.revision}`,
      build: (message) => hitRow(message, said(message, 200), this.model, this.jump),
    });
  }
}
