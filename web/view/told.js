// Whether this browser tells the user what comes while they are away, and the button that changes it.

import { carryOut, el } from "./dom.js";
import { t } from "./language.js";

const WORDS = {
  unsupported: "This browser cannot do it, or not at this address.",
  unoffered: "This server does not offer it.",
  denied: "Blocked by this browser: allow notifications in its settings for this site.",
  on: "On, in this browser",
  off: "Off",
};

/** A row; `push` has `state()`, `turnOn()` and `turnOff()`. What goes wrong is said in `problem`. */
export function toldRow(push, problem) {
  const words = el("small", { role: "status" });
  const button = el("button", { type: "button", class: "quiet", hidden: true });
  const draw = async () => {
    const state = await push.state();
    words.textContent = t(WORDS[state]);
    button.hidden = !["on", "off"].includes(state);
    button.textContent = state === "on" ? t("Turn off") : t("Turn on");
    button.onclick = () => carryOut(problem, [button], () => change(state));
  };
  const change = (state) => (state === "on" ? push.turnOff() : push.turnOn()).finally(draw);
  carryOut(problem, [button], draw);
  return el("div", { class: "person" }, el("span", { class: "grow" }, el("b", {}, t("Tell me when I am away")), words), button);
}
