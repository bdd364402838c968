// Starts the page: who it is, what it held, then the model, the screen and the connection.
//
// ?dev=NAME signs in a seeded user of `rookery dev`, #channel=ID opens that channel. No token is ever in an address.

import * as account from "./client/account.js";
import { Connection } from "./client/connection.js";
import * as held from "./client/held.js";
import { Model } from "./client/model.js";
import * as push from "./client/push.js";
import { Screen } from "./view/screen.js";
import { signForm } from "./view/sign.js";

const WHY_KEY = "rookery.why";
const SAVE_MS = 500;

async function chat() {
  const { device } = account.current();
  const model = new Model(account, {
    changed: () => { screen.changed(); save(); },
    heard: (message) => screen.heard(message),
    gone: (channelId) => screen.gone(channelId),
    looking: (channelId) => screen.looking(channelId),
  });

  // Channels and the cursor after them, in one piece.
  let saving = null;
  const save = () => {
    saving ??= setTimeout(() => {
      saving = null;
      if (!connection.stopped) held.save(device, { cursor: connection.cursor, channels: model.kept() });
    }, SAVE_MS);
  };
  const before = await held.load(device);
  if (before) model.restore(before.channels);
  held.sweep();

  const leave = async (why) => {
    connection.stop();
    await push.leave().catch(() => {});
    await Promise.all([account.signOut(), held.drop(device)]);
    sessionStorage.clear();
    if (why) sessionStorage.setItem(WHY_KEY, why);
    location.replace(location.pathname);
  };
  const screen = new Screen(model, account, push, () => leave());
  const connection = new Connection(before?.cursor ?? null, {
    state: (text, live) => screen.state(text, live),
    live: () => model.live().catch((error) => screen.state(error.message, false)),
    lost: () => model.lost(),
    push: (kind, fields) => model.push(kind, fields),
    forget: () => model.forget(),
    // What is held and what is not answered yet outlives it, but not what is being written.
    stale: () => {
      if (screen.isWriting()) screen.state("the servers have changed: reload this page to go on", false);
      else location.reload();
    },
    signedOut: leave,
  });
  model.connection = connection;
  screen.draw();

  push.listen({ looking: (channelId) => screen.looking(channelId), open: (channelId) => screen.go(channelId) });
  push.renew().catch(() => {});
  const wanted = new URLSearchParams(location.hash.slice(1)).get("channel");
  if (wanted) {
    history.replaceState(null, "", location.pathname + location.search);
    screen.go(wanted);
  }
}

async function start() {
  let why = sessionStorage.getItem(WHY_KEY);
  sessionStorage.removeItem(WHY_KEY);
  const wanted = new URLSearchParams(location.search).get("dev");
  if (wanted && account.current()?.username !== wanted) {
    try {
      await account.devSignIn(wanted);
    } catch (error) {
      why = `${wanted}: ${error.message}`;
    }
  }
  if (account.current()) return chat();
  return signForm(why, async (how, username, password) => {
    await (how === "signup" ? account.signUp(username, password) : account.signIn(username, password));
    chat();
  });
}

start();
