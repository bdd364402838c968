// Writing: a message, an answer to one, or another text for an own one.
//
// Owns the text field with its drafts, and what it is for at the moment. Names of members are completed by `names.js`.

import { chars, preview } from "../client/text.js";
import { wellFormed } from "../rookery-client/index.js";
import { byId } from "./dom.js";
import { Names } from "./names.js";

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

    this.form.onsubmit = (event) => { event.preventDefault(); this.submit(); };
    this.field.onkeydown = (event) => this.key(event);
    this.field.oninput = () => {
      this.names.suggest();
      if (!this.purpose.edit) model.presence.write(model.open, Boolean(this.field.value.trim()));
    };
    byId("writing-to").querySelector("button").onclick = () => this.be({}, "");
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
    return Boolean(this.field.value.trim()) || [...this.drafts.values()].some(({ text }) => text.trim());
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
    const { reply, edit } = purpose;
    byId("writing-to").hidden = !reply && !edit;
    byId("writing-to").querySelector("span").textContent = edit
      ? "Edit your message"
      : reply ? `Reply to ${this.model.people.name(reply.from)}: ${preview(reply.body, 120)}` : "";
    this.form.querySelector("[type=submit]").textContent = edit ? "Save" : "Send";
    this.field.focus();
  }

  submit() {
    const { model, purpose } = this;
    const body = wellFormed(this.field.value.trim());
    if (!body || !model.open) return;
    const length = chars(body);
    const most = model.client.state.body_chars_max ?? Infinity;
    if (length > most) {
      this.problem.textContent = `This is ${length} characters long; ${most} are allowed.`;
      return;
    }
    if (!purpose.edit) model.acts.write(model.open, body, purpose.reply?.seq);
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
