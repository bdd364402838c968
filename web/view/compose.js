// Writing: a message, an answer to one, or another text for an own one.
//
// Owns the text field with its drafts, the files that go along, and what it is for at the moment. Names of members are completed
// by `names.js`, files are chosen by `attach.js`.

import { Attaching } from "../client/attaching.js";
import { chars } from "../client/text.js";
import { wellFormed } from "../rookery-client/index.js";
import { Strip } from "./attach.js";
import { byId } from "./dom.js";
import { t } from "./language.js";
import { Names } from "./names.js";
import { said } from "./words.js";

export class Composer {
  constructor(model, wrote) {
    this.model = model;
    this.wrote = wrote;
    this.form = byId("write-form");
    this.field = this.form.elements.body;
    this.problem = this.form.querySelector(".problem");
    const others = () => model.people.membersOf(model.open).list.filter((user) => user.user_id !== model.me());
    this.names = new Names(this.field, others);
    // {reply: message} or {edit: message} or {}.
    this.purpose = {};
    this.drafts = new Map();
    // Files, by channel.
    this.attached = new Map();
    this.strip = new Strip(() => this.attaching());
    byId("attached").replaceChildren(this.strip.list, this.strip.problem, this.strip.words, this.strip.input);
    byId("attach-place").replaceChildren(this.strip.button);
    this.strip.listen(this.field, byId("channel"), () => Boolean(this.purpose.edit));

    this.form.onsubmit = (event) => { event.preventDefault(); this.submit(); };
    this.field.onkeydown = (event) => this.key(event);
    this.field.oninput = () => {
      this.names.suggest();
      if (!this.purpose.edit) model.presence.write(model.open, Boolean(this.field.value.trim()));
    };
    byId("writing-to").querySelector("button").onclick = () => this.be({}, "");
  }

  /** The files beside what is written in the channel that is open. */
  attaching() {
    const { open } = this.model;
    if (!this.attached.has(open)) this.attached.set(open, new Attaching(this.model.account.api.media, () => this.strip.draw()));
    return this.attached.get(open);
  }

  /** Goes from one channel to another, each with its draft. */
  move(from, to) {
    if (from && !this.purpose.edit) this.drafts.set(from, { text: this.field.value, reply: this.purpose.reply });
    const draft = this.drafts.get(to);
    this.be(draft?.reply ? { reply: draft.reply } : {}, draft?.text ?? "");
    // On a touch screen a keyboard would cover what there is to read.
    if (!to || matchMedia("(hover: none)").matches) this.field.blur();
  }

  /** Whether there is text in any channel that was not sent. */
  isWriting() {
    return Boolean(this.field.value.trim()) || [...this.drafts.values()].some(({ text }) => text.trim())
      || [...this.attached.values()].some((attaching) => !attaching.isEmpty);
  }

  reply(message) {
    this.be({ reply: message }, this.purpose.edit ? "" : this.field.value);
  }

  /** Another text for a message, based on the message as it is given. */
  edit(message, body = message.body) {
    this.be({ edit: message }, body);
  }

  be(purpose, text) {
    this.purpose = purpose;
    this.field.value = text;
    this.problem.textContent = "";
    this.names.close();
    this.label();
    this.field.focus();
  }

  /** Says what is written, and shows what goes along. */
  label() {
    const { reply, edit } = this.purpose;
    byId("writing-to").hidden = !reply && !edit;
    byId("writing-to").querySelector("span").textContent = edit
      ? t("Edit your message")
      : reply ? t("Reply to {name}: {words}", { name: this.model.people.name(reply.from), words: said(reply, 120) }) : "";
    this.form.querySelector("[type=submit]").textContent = edit ? t("Save") : t("Send");
    // An edit keeps what is attached.
    byId("attached").hidden = Boolean(edit);
    this.strip.button.hidden = Boolean(edit);
    this.strip.draw();
  }

  /** Another language; what is written stays. */
  translated() {
    this.label();
    this.strip.translated();
  }

  submit() {
    const { model, purpose } = this;
    const body = wellFormed(this.field.value.trim());
    const attaching = this.attaching();
    const hasFiles = !purpose.edit && !attaching.isEmpty;
    if ((!body && !hasFiles && !purpose.edit?.media?.length) || !model.open) return;
    if (hasFiles && attaching.hasFailed) {
      this.problem.textContent = t("Remove what could not be uploaded, or try it again.");
      return;
    }
    const length = chars(body);
    const most = model.client.state.body_chars_max ?? Infinity;
    if (length > most) {
      this.problem.textContent = t("This is {length} characters long; {most} are allowed.", { length, most });
      return;
    }
    if (!purpose.edit) model.acts.write(model.open, body, purpose.reply?.seq, attaching.take());
    else if (body !== purpose.edit.body) model.acts.edit(purpose.edit, body);
    this.be({}, "");
    this.wrote(Boolean(purpose.edit));
  }

  key(event) {
    // While an input method composes a syllable, keys are its own: Enter ends the syllable. 229 is what older browsers say.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.names.key(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.form.requestSubmit();
    } else if (event.key === "Escape" && (this.purpose.reply || this.purpose.edit)) {
      event.preventDefault();
      event.stopPropagation();
      this.be({}, "");
    } else if (event.key === "ArrowUp" && !this.field.value) {
      event.preventDefault();
      this.editLast();
    }
  }

  editLast() {
    const { model } = this;
    const last = model.channel(model.open).shown().findLast((message) => message.from === model.me() && !message.deleted);
    if (last) this.edit(last);
  }
}
