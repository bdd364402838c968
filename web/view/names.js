// Completes a member's name after an @.
//
// Owns the list of suggestions and which one is chosen. The text field keeps the focus: a screen reader is told by
// aria-activedescendant.

import { nameAt } from "../client/text.js";
import { byId, el } from "./dom.js";

const SHOWN_MAX = 8;

export class Names {
  constructor(field, members) {
    this.field = field;
    this.members = members;
    this.list = byId("names");
    this.found = [];
    this.at = 0;
    field.addEventListener("blur", () => this.close());
  }

  /** Looks at what stands before the caret. */
  suggest() {
    const { field } = this;
    this.typed = nameAt(field.value, field.selectionStart);
    const starts = (text) => text.toLowerCase().startsWith(this.typed.name);
    this.found = this.typed
      ? this.members().filter((user) => starts(user.username) || starts(user.display_name)).slice(0, SHOWN_MAX)
      : [];
    // A name that is complete needs no completing: Enter sends.
    if (this.found.length === 1 && this.found[0].username === this.typed.name) this.found = [];
    this.at = 0;
    this.draw();
  }

  close() {
    this.found = [];
    this.draw();
  }

  /** Whether the key was for the list. */
  key(event) {
    if (!this.found.length) return false;
    if (event.key === "ArrowDown") this.at = (this.at + 1) % this.found.length;
    else if (event.key === "ArrowUp") this.at = (this.at + this.found.length - 1) % this.found.length;
    else if (event.key === "Enter" || event.key === "Tab") this.take(this.found[this.at]);
    else if (event.key === "Escape") this.close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    this.draw();
    return true;
  }

  take({ username }) {
    const { field, typed } = this;
    field.setRangeText(`@${username} `, typed.from, field.selectionStart, "end");
    this.close();
  }

  draw() {
    const { list, field, found, at } = this;
    list.hidden = !found.length;
    list.replaceChildren(...found.map((user, index) => el("li", {
      role: "option", id: `name-${index}`, "aria-selected": String(index === at),
      // Before the field loses the focus.
      onpointerdown: (event) => { event.preventDefault(); this.take(user); },
    }, el("b", {}, user.display_name), el("span", {}, `@${user.username}`))));
    if (found.length) field.setAttribute("aria-activedescendant", `name-${at}`);
    else field.removeAttribute("aria-activedescendant");
  }
}
