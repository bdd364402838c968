// Makes and renews elements. Text goes in as text: nothing here or elsewhere parses content as HTML.

import { language, t } from "./language.js";

export const byId = (id) => document.getElementById(id);

/**
 * An element. Of `props`, functions named on… are listeners, `dataset` and `class` are themselves, true and false set and leave
 * out an attribute, and everything else is an attribute. Children are elements and texts; what is null or false is left out.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "value") node.value = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the pictures in index.html. It says nothing to a screen reader: what it is on has a name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button that is only a picture. */
export function iconButton(name, label, onclick, props = {}) {
  return el("button", { type: "button", class: "bare", title: label, "aria-label": label, onclick, ...props }, icon(name));
}

/**
 * Makes a parent's children those of `items`, in order. A child is built anew only if its item's `print` has changed, so that
 * focus and selection stay where they are. In another language everything is.
 */
export function keyed(parent, items, { key, print, build }) {
  const before = new Map([...parent.children].map((child) => [child.rookeryKey, child]));
  const stays = new Set(items.map(key));
  // First, so that what stays is found at its place: to move an element takes its focus, and a thousand take a second.
  for (const [itemKey, child] of before) if (!stays.has(itemKey)) child.remove();
  let place = parent.firstChild;
  for (const item of items) {
    const itemKey = key(item);
    const itemPrint = `${language()} ${print(item)}`;
    let child = before.get(itemKey);
    before.delete(itemKey);
    if (child?.rookeryPrint !== itemPrint) {
      const fresh = build(item);
      fresh.rookeryKey = itemKey;
      fresh.rookeryPrint = itemPrint;
      if (child) {
        const hadFocus = child.contains(document.activeElement);
        const at = controls(child).indexOf(document.activeElement);
        if (place === child) place = fresh;
        child.replaceWith(fresh);
        if (hadFocus) (controls(fresh)[at] ?? fresh).focus();
      }
      child = fresh;
    }
    if (child === place) place = place.nextSibling;
    else parent.insertBefore(child, place);
  }
}

/** Renews what is in an element if its `print` has changed. `build()` gives children, of which what is null or false is left out. */
export function renew(node, print, build) {
  const said = `${language()} ${print}`;
  if (node.rookeryPrint === said) return;
  node.rookeryPrint = said;
  node.replaceChildren(...[build()].flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

const controls = (node) => [...node.querySelectorAll("button, input, select")];

/** Says something new: a live region whose text stays as it is stays silent. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Carries something out for a button or a form: while it runs it cannot be asked for again; what goes wrong is said there. */
export async function carryOut(problem, controls, act) {
  problem.textContent = "";
  controls.forEach((control) => { control.disabled = true; });
  try {
    await act();
    return true;
  } catch (error) {
    problem.textContent = error.message;
    return false;
  } finally {
    controls.forEach((control) => { control.disabled = false; });
  }
}

/** Asks before something that cannot be undone. */
export function confirmed(question, yes) {
  const dialog = el("dialog", { "aria-label": question },
    el("form", { method: "dialog" },
      el("p", {}, question),
      el("div", { class: "row end" },
        el("button", { class: "quiet", value: "" }, t("Cancel")),
        el("button", { class: "alarm", value: "yes" }, yes))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    };
  });
}
