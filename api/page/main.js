// Starts the page: who it is, then the connection, the model and the view.
//
// ?dev=NAME signs in a seeded user of `rookery dev`. No token is ever in an address.

import * as account from "./account.js";
import { Connection } from "./connection.js";
import { Model } from "./model.js";
import { View, show, signForm } from "./view.js";

function chat() {
  show("chat");
  const model = new Model((channelId) => view.draw(channelId));
  const leave = async () => {
    connection.stop();
    await account.signOut();
    sessionStorage.clear();
    location.replace(location.pathname);
  };
  const view = new View(model, leave);
  const connection = new Connection({
    state: (text, live) => view.state(text, live),
    live: () => model.live().catch(() => {}),
    push: (kind, fields) => model.push(kind, fields),
    forget: () => model.forget(),
    signedOut: leave,
  });
  model.connection = connection;
  view.draw(undefined, account.current().display_name);
}

async function start() {
  const wanted = new URLSearchParams(location.search).get("dev");
  if (wanted && account.current()?.username !== wanted) {
    try {
      await account.devSignIn(wanted);
    } catch (error) {
      document.querySelector("#sign-form .problem").textContent = `${wanted}: ${error.message}`;
    }
  }
  if (account.current()) return chat();
  show("sign");
  signForm(async (how, username, password) => {
    await (how === "signup" ? account.signUp(username, password) : account.signIn(username, password));
    chat();
  });
  return undefined;
}

start();
