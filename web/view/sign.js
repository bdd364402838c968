// Signing in and up: by a password, by a token that is pasted, or by one that came with the page's address.
//
// A token in an address is somebody's who made the link: it signs nobody in before the user has seen as whom.

import { isToken } from "../client/arrival.js";
import { byId, carryOut, el } from "./dom.js";
import { t } from "./language.js";

/** Shows what there is to sign in by; `entered()` once somebody is. `why` is what there is to say first, `arrived` a token that came along. */
export async function signForm({ why, arrived, account }, entered) {
  const say = (text) => { byId("sign-why").textContent = text ? t(text) : ""; };
  const done = () => {
    byId("sign").hidden = true;
    entered();
  };
  say(why);
  if (arrived && (await offered(arrived, account, say, done))) return;

  const mode = await account.mode();
  const form = byId("sign-form");
  submits(form, async ({ username, password }, how) => {
    await (how === "signup" ? account.signUp : account.signIn)(username.value, password.value);
  }, done);
  submits(byId("token-form"), async ({ token }) => {
    const text = token.value.trim();
    if (!isToken(text)) throw new Error(t("This is no token: it has no blanks, and none but plain letters, digits and signs."));
    await account.signInBy(text);
  }, done);
  form.hidden = mode === "external";
  byId("by-token").hidden = mode === "own";
  byId("by-token").open = mode === "external";
  byId("by-token").querySelector("summary").hidden = mode === "external";
  byId("sign").hidden = false;
  (mode === "external" ? byId("token-form") : form).querySelector("input").focus();
}

/** Asks whether to sign in as whom a token in the address says; whether there was something to ask. */
async function offered({ token, device }, account, say, done) {
  const before = account.current();
  let user;
  try {
    user = await account.whose(token);
  } catch (error) {
    say(t("The link's token is not taken: {why}", { why: error.message }));
    if (!before) return false;
  }
  const enter = async () => {
    if (before && before.user_id !== user.user_id) await account.signOut();
    await account.signInBy(token, device);
  };
  // The same user's: a new token for the old one.
  if (user && before?.user_id === user.user_id) {
    await enter();
    done();
    return true;
  }
  const form = byId("arrived-form");
  const name = (who) => el("strong", {}, who.display_name || who.username);
  // The name stands where the language has it.
  const about = (words, who) => {
    const [before, behind] = t(words).split("{name}");
    return [before, name(who), behind];
  };
  form.querySelector("p").replaceChildren(...[
    ...(user ? [...about("This link signs you in as {name}.", user), " "] : []), ...(before ? about("You are signed in as {name}.", before) : []),
  ]);
  const [take, leave] = form.querySelectorAll("button");
  take.hidden = !user;
  leave.textContent = before ? t("Stay as I am") : t("Sign in otherwise");
  byId("sign").hidden = false;
  form.hidden = false;
  (user ? take : leave).focus();
  const taken = await new Promise((resolve) => {
    submits(form, async (_, how) => {
      if (how === "enter") await enter();
      resolve(how === "enter");
    });
  });
  form.hidden = true;
  say("");
  if (taken || before) done();
  return taken || Boolean(before);
}

/** Carries out what a form is for, `act(fields, button)`; what goes wrong is said there. */
function submits(form, act, done = () => {}) {
  const problem = form.querySelector(".problem");
  form.onsubmit = async (event) => {
    event.preventDefault();
    const buttons = [...form.querySelectorAll("button")];
    if (!(await carryOut(problem, buttons, () => act(form.elements, event.submitter?.value)))) return;
    form.reset();
    done();
  };
}
