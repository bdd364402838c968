// A new conversation: with one user, a group, or a large channel.

import { uuid7 } from "../rookery-client/index.js";
import { carryOut, el } from "./dom.js";
import { t } from "./language.js";

const KINDS = {
  direct: "With one person",
  group: "A group, for up to some hundreds: everyone is told of everything",
  large: "A large channel, for any number: who has it open follows it",
};

export class CreatePanel {
  /** `made(channelId)` goes there. */
  constructor(model, made) {
    Object.assign(this, { model, made });
  }

  build(body) {
    this.problem = el("p", { class: "problem", role: "alert" });
    this.kinds = Object.entries(KINDS).map(([kind, words]) => el("label", { class: "check" },
      el("input", { type: "radio", name: "kind", value: kind, checked: kind === "direct" }), t(words)));
    this.names = el("input", { name: "names", autocapitalize: "none", spellcheck: "false", dataset: { focus: "" } });
    this.namesLabel = el("label", {}, el("span", {}, ""), this.names);
    this.title = el("input", { name: "title", maxlength: "128" });
    this.titleLabel = el("label", {}, t("Title"), this.title);
    this.past = el("label", { class: "check" },
      el("input", { type: "checkbox", name: "past", checked: true }), t("Who joins may read all that was written before"));
    this.button = el("button", { type: "submit" }, t("Begin"));
    // Repeated with the same content, the request makes nothing twice.
    const anew = () => { this.key = uuid7(Date.now()); this.draw(); };
    this.form = el("form", { class: "stack", oninput: anew, onsubmit: (event) => { event.preventDefault(); this.submit(); } },
      this.kinds, this.namesLabel, this.titleLabel, this.past, this.button, this.problem);
    body.append(this.form);
    anew();
  }

  draw() {
    const kind = this.form.elements.kind.value;
    this.namesLabel.firstChild.textContent = kind === "direct" ? t("Username") : t("Usernames to invite, separated by commas");
    this.names.required = kind === "direct";
    this.titleLabel.hidden = kind === "direct";
    this.title.required = kind === "large";
    this.past.hidden = kind !== "large";
  }

  submit() {
    return carryOut(this.problem, [this.button], async () => {
      const { people, groups } = this.model;
      const kind = this.form.elements.kind.value;
      const names = this.names.value.split(",").map((name) => name.trim()).filter(Boolean);
      const ids = await Promise.all(names.map((name) => people.find(name)));
      const title = this.title.value.trim() || names.join(", ");
      const history = this.form.elements.past.checked ? "all" : "joined";
      const make = {
        direct: () => groups.direct(ids[0]),
        group: () => groups.group(title, ids, this.key),
        large: () => groups.large(title, ids, history, this.key),
      };
      const { channel_id } = await make[kind]();
      await this.model.loadChannels();
      this.made(channel_id);
    });
  }
}
