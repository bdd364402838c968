// The side on which search, mentions, members, friends and devices open, one at a time.
//
// Owns its heading, closing it and where the focus goes. What stands in it is the business of the file that opens it: it is
// called again to be drawn anew when something changes.

import { byId } from "./dom.js";

export class Panel {
  constructor() {
    this.node = byId("panel");
    this.body = byId("panel-body");
    this.name = null;
    byId("panel-close").onclick = () => this.close();
  }

  /** `content` has `build(body)`, and `draw()` if it follows what changes. The same name again closes. */
  open(name, title, content) {
    if (this.name === name) return this.close();
    if (this.node.hidden) this.before = document.activeElement;
    this.name = name;
    this.content = content;
    byId("panel-title").textContent = title;
    this.body.replaceChildren();
    this.node.hidden = false;
    byId("chat").classList.add("has-panel");
    content.build(this.body);
    content.draw?.();
    (this.body.querySelector("[data-focus]") ?? this.node).focus();
    return undefined;
  }

  draw() {
    if (this.name) this.content.draw?.();
  }

  close() {
    if (!this.name) return;
    this.name = null;
    this.content = null;
    this.node.hidden = true;
    byId("chat").classList.remove("has-panel");
    this.before?.focus();
  }
}
