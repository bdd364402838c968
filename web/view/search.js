// Search, over all channels or one. A hit leads to its message.

import { carryOut, el } from "./dom.js";
import { hitRow } from "./hits.js";
import { t } from "./language.js";

/** Characters of a query, as the server takes it. */
const QUERY_MAX = 200;

export class SearchPanel {
  /** `channelId` if it is about one channel. `jump(channelId, seq)` goes to a message. */
  constructor(model, channelId, jump) {
    Object.assign(this, { model, channelId, jump });
  }

  build(body) {
    this.field = el("input", {
      type: "search", required: true, maxlength: QUERY_MAX, dataset: { focus: "" },
      "aria-label": t("Words to search for"), placeholder: t("Words, all of which a message has"),
    });
    this.button = el("button", { type: "submit" }, t("Search"));
    this.problem = el("p", { class: "problem", role: "alert" });
    this.hits = el("ul", { class: "rows", "aria-live": "polite" });
    const older = () => this.ask(this.next);
    this.more = el("button", { type: "button", class: "quiet", hidden: true, onclick: older }, t("Older ones"));
    const submit = (event) => { event.preventDefault(); this.begin(); };
    const form = el("form", { class: "line", role: "search", onsubmit: submit }, this.field, this.button);
    body.append(form, this.problem, this.hits, this.more);
  }

  begin() {
    this.query = this.field.value.trim();
    if (!this.query) return;
    this.hits.replaceChildren();
    this.more.hidden = true;
    this.ask();
  }

  ask(after) {
    return carryOut(this.problem, [this.button, this.more], async () => {
      const { hits, more, cursor } = await this.model.search(this.query, this.channelId, after);
      if (!hits.length && !after && !more) this.hits.append(el("li", { class: "none" }, t("Nothing was found.")));
      this.hits.append(...hits.map((hit) => hitRow(hit, hit.snippet, this.model, this.jump)));
      this.next = cursor;
      this.more.hidden = !more;
    });
  }
}
