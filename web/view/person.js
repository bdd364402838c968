// A person or a channel in small: letter and dot, a line in a list, the field in which a username is typed.

import { el } from "./dom.js";
import { t } from "./language.js";
import { presence } from "./words.js";

/** A user's or channel's first letter, in a colour of its own, with a dot if there is a state. */
export function avatar(name, id, state) {
  const node = el("span", { class: "avatar" },
    el("span", { "aria-hidden": "true" }, [...name][0]?.toUpperCase() ?? ""),
    state && el("span", { class: `dot ${state}`, role: "img", "aria-label": t(state), title: t(state) }));
  node.style.setProperty("--hue", String(Number(BigInt(id) * 47n % 360n)));
  return node;
}

/** A person in a list, with presence if there is an entry, a word about it if there is one, and whatever stands beside. */
export function personRow(user, entry, note, ...beside) {
  const name = user.display_name || user.username;
  const about = [`@${user.username}`, note, entry && presence(entry)].filter(Boolean).join(" · ");
  return el("li", { class: "person" },
    avatar(name, user.user_id, entry?.state),
    el("span", { class: "grow" }, el("b", {}, name), el("small", {}, about)),
    ...beside);
}

/** Where a username is typed: as it is, not as a word. */
export function usernameField(label) {
  const asItIs = { autocapitalize: "none", spellcheck: "false" };
  return el("input", { required: true, placeholder: t("username"), "aria-label": label, ...asItIs });
}
