// Signing in and up.

import { byId, carryOut } from "./dom.js";

/** `enter(how, username, password)` may refuse with an error. `why` is what there is to say first. */
export function signForm(why, enter) {
  byId("sign").hidden = false;
  const form = byId("sign-form");
  const problem = form.querySelector(".problem");
  problem.textContent = why ?? "";
  form.onsubmit = async (event) => {
    event.preventDefault();
    const { username, password } = form.elements;
    const how = event.submitter?.value ?? "login";
    const buttons = [...form.querySelectorAll("button")];
    const entered = await carryOut(problem, buttons, () => enter(how, username.value, password.value));
    if (!entered) return;
    form.reset();
    byId("sign").hidden = true;
  };
}
