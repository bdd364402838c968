// The language of the page: the user's choice, else the browser's, else English.
//
// Texts are written in English where they are used, and looked up by that in the catalogue of another language. What a
// catalogue lacks stays English; a test finds it.

import { ko } from "./ko.js";

const KEY = "rookery.language";
const CATALOGUES = { en: {}, ko };
/** Each by its own name. */
export const LANGUAGES = { en: "English", ko: "한국어" };

const listeners = new Set();
let current;

function preferred() {
  const chosen = globalThis.localStorage?.getItem(KEY);
  const spoken = [chosen, ...(globalThis.navigator?.languages ?? [globalThis.navigator?.language])];
  return spoken.map((tag) => tag?.split("-")[0]).find((tag) => Object.hasOwn(CATALOGUES, tag ?? "")) ?? "en";
}

/** "en" or "ko". */
export const language = () => (current ??= preferred());

/** Another language from now on, also for the next visit. */
export function speak(tag) {
  current = tag;
  globalThis.localStorage?.setItem(KEY, tag);
  for (const listener of listeners) listener();
}

/** `listener()` is told of another language. */
export const onLanguage = (listener) => listeners.add(listener);

/** A text in the page's language, with `{name}` filled in from `fields`. */
export function t(text, fields = {}) {
  const said = CATALOGUES[language()][text] ?? text;
  return said.replace(/\{(\w+)\}/gu, (whole, name) => (name in fields ? String(fields[name]) : whole));
}

/** A text for a number, `{count}` in it: `one` is English for 1. */
export const tn = (count, one, many) => t(count === 1 && language() === "en" ? one : many, { count });

/** Texts and attributes that stand in index.html: what has `data-t` is translated, `data-t-label` as title and aria-label. */
export function translate(root) {
  document.documentElement.lang = language();
  for (const node of root.querySelectorAll("[data-t]")) {
    node.dataset.tEn ??= node.textContent.trim();
    node.textContent = t(node.dataset.tEn);
  }
  for (const name of ["title", "aria-label", "placeholder"]) {
    for (const node of root.querySelectorAll(`[data-t-attributes][${name}]`)) {
      const key = `en_${name.replace("-", "_")}`;
      node.dataset[key] ??= node.getAttribute(name);
      node.setAttribute(name, t(node.dataset[key]));
    }
  }
}
