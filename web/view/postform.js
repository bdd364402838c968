// Where a post or a reply is written: text, files, and for a post whom it is for.
//
// Owns its fields until they are sent. What was sent without an answer is sent again under the same id.

import { Attaching } from "../client/attaching.js";
import { chars, mentioned } from "../client/text.js";
import { uuid7, wellFormed } from "../rookery-client/index.js";
import { Strip } from "./attach.js";
import { el } from "./dom.js";
import { t } from "./language.js";

/** Characters of a post, as the server takes them. */
const CHARS_MAX = 5000;

export class PostForm {
  /**
   * `words()` gives `{label, button}`, what the field and the button say; `send(draft)` is a promise; `isPublic()` where there is a choice of
   * whom it is for; `zone` is dropped on, the form unless given, but
   * for while `isOff()`.
   */
  constructor(model, { words, isPublic, send, zone, isOff }) {
    Object.assign(this, { model, words, isPublic, send });
    this.attaching = new Attaching(model.account.api.media, () => this.draw());
    this.strip = new Strip(() => this.attaching);
    this.field = el("textarea", { rows: "1", dir: "auto" });
    this.audience = isPublic && el("select", {}, el("option", { value: "friends" }), el("option", { value: "public" }));
    this.button = el("button", { type: "submit" });
    this.problem = el("p", { class: "problem", role: "alert" });
    this.node = el("form", { class: "post-form", autocomplete: "off" },
      this.field, this.strip.list, this.strip.problem, this.strip.words,
      el("div", { class: "line" }, this.strip.button, this.strip.input, el("span", { class: "grow" }), this.audience, this.button),
      this.problem);
    this.strip.listen(this.field, zone ?? this.node, isOff);
    this.node.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.node.requestSubmit();
    });
    // Another content is another post.
    this.field.addEventListener("input", () => { this.id = undefined; });
    this.translated();
  }

  /** Says everything in the page's language; what is written stays. */
  translated() {
    const { label, button } = this.words();
    for (const name of ["placeholder", "aria-label"]) this.field.setAttribute(name, label);
    this.field.title = t("Ctrl+Enter sends");
    this.button.textContent = button;
    if (this.audience) {
      this.audience.setAttribute("aria-label", t("Who may see it"));
      for (const option of this.audience.options) option.textContent = t(option.value === "public" ? "Everyone" : "Friends");
    }
    this.strip.translated();
  }

  get isWriting() {
    return Boolean(this.field.value.trim()) || !this.attaching.isEmpty;
  }

  draw() {
    this.strip.draw();
    if (!this.audience) return;
    // Only a public account posts to everyone.
    const everyone = this.audience.querySelector("[value=public]");
    everyone.disabled = !this.isPublic();
    if (everyone.disabled && everyone.selected) this.audience.value = "friends";
    this.audience.title = everyone.disabled ? t("To post to everyone, let anyone follow you: under My posts") : "";
  }

  async submit() {
    if (this.isSending) return;
    const body = wellFormed(this.field.value.trim());
    const { attaching, problem } = this;
    if (!body && attaching.isEmpty) return this.field.focus();
    problem.textContent = "";
    const length = chars(body);
    if (length > CHARS_MAX) {
      problem.textContent = t("This is {length} characters long; {most} are allowed.", { length, most: CHARS_MAX });
      return;
    }
    this.sending(true);
    try {
      const media = (await attaching.whole()).map(({ media_id }) => media_id);
      const content = JSON.stringify([body, media, this.audience?.value]);
      if (this.content !== content) this.id = undefined;
      this.content = content;
      this.id ??= uuid7(this.model.client.serverNow());
      const mentions = mentioned(body, this.model.people.friends);
      await this.send({ id: this.id, body, media, mentions, ...(this.audience && { audience: this.audience.value }) });
      this.id = undefined;
      this.field.value = "";
      attaching.take();
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      this.sending(false);
    }
    this.field.focus();
  }

  sending(on) {
    this.isSending = on;
    this.button.disabled = on;
    this.field.readOnly = on;
    this.node.setAttribute("aria-busy", String(on));
  }
}
