// Which elements are touched when a list is drawn again: one that is moved loses its focus, and a thousand take a second.

import assert from "node:assert/strict";
import { test } from "node:test";

const { keyed } = await import("../view/dom.js");
globalThis.document = { activeElement: null };

/** A list of elements that notes what is done to it. */
class Parent {
  constructor() {
    this.children = [];
    this.did = [];
  }

  get firstChild() {
    return this.children[0] ?? null;
  }

  insertBefore(child, place) {
    const had = this.children.includes(child);
    this.children = this.children.filter((other) => other !== child);
    this.children.splice(place ? this.children.indexOf(place) : this.children.length, 0, child);
    this.did.push(`${had ? "moves" : "adds"} ${child.rookeryKey}`);
  }

  make(text) {
    const parent = this;
    return {
      text,
      get nextSibling() { return parent.children[parent.children.indexOf(this) + 1] ?? null; },
      contains: () => false,
      querySelectorAll: () => [],
      remove() {
        parent.children = parent.children.filter((other) => other !== this);
        parent.did.push(`removes ${this.rookeryKey}`);
      },
      replaceWith(other) {
        parent.children = parent.children.map((child) => (child === this ? other : child));
        parent.did.push(`renews ${this.rookeryKey}`);
      },
    };
  }
}

/** `a b` is drawn, then `c d`: what is done. A letter is a key, and what stands behind it the text. */
function check(row) {
  const [before, after, expected] = row.split(/ ?(?:->|=>) ?/u);
  const parent = new Parent();
  const draw = (items) => keyed(parent, items.split(" ").filter(Boolean), { key: (item) => item[0], print: (item) => item, build: (item) => parent.make(item) });
  draw(before);
  parent.did = [];
  draw(after);
  assert.equal(parent.did.join(", "), expected, row);
  assert.equal(parent.children.map(({ text }) => text).join(" "), after, row);
}

test("what stays is not touched, whatever comes and goes around it", () => {
  check("a b c -> a b c => ");
  check("a b c -> a b c d => adds d");
  check("b c -> a b c => adds a");
  check("a b c d -> b c d => removes a");
  check("a b c d -> a c d => removes b");
  check("a b c d -> a x c d => removes b, adds x");
  check("a b c d -> d => removes a, removes b, removes c");
  check("a b c -> a b1 c => renews b");
  check("a b -> c d => removes a, removes b, adds c, adds d");
});

test("what has another place is moved there", () => {
  check("a b c -> c a b => moves c");
  check("a b c -> b c a => moves b, moves c");
});
