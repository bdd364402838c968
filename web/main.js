// Starts the page: who it is, what it held, then the model, the client and the screen.
//
// ?dev=NAME signs in a seeded user of `rookery dev`, #channel=ID opens that channel, #feed the feed, #feed=USER a user's posts, and #token=TOKEN offers to sign in by a token
// that something else has made; the address has it no longer than until this runs.

import * as account from "./client/account.js";
import { arrival } from "./client/arrival.js";
import { Held, sweep } from "./client/held.js";
import { Model } from "./client/model.js";
import * as push from "./client/push.js";
import * as reach from "./client/reach.js";
import { standing } from "./client/standing.js";
import { Client } from "./rookery-client/index.js";
import { translate } from "./view/language.js";
import { Screen } from "./view/screen.js";
import { signForm } from "./view/sign.js";

const WHY_KEY = "rookery.why";

async function chat() {
  const { device } = account.current();
  const model = new Model(account, {
    changed: () => { screen.changed(); held.changed(); },
    heard: (message) => screen.heard(message),
    gone: (channelId) => screen.gone(channelId),
    looking: (channelId) => screen.looking(channelId),
  });
  const held = new Held(device, () => model.kept());
  model.restore(await held.load());
  sweep();

  const client = new Client({
    api: account.api,
    token: account.token,
    // What is held and what is not answered yet outlives a reload, but not what is being written.
    choose: () => reach.choose(() => {
      if (screen.isWriting()) screen.state("the servers have changed: reload this page to go on", false);
      else location.reload();
    }),
    // Each tab is a device of its own; a copied one is its original's, and shares the connection.
    deviceId: device,
    tabs: device,
    store: held,
    clientName: "web",
  });
  model.use(client);
  reach.watch();

  const leave = async (why) => {
    await client.stop();
    await push.leave().catch(() => {});
    await Promise.all([account.signOut(), held.drop()]);
    sessionStorage.clear();
    if (why) sessionStorage.setItem(WHY_KEY, why);
    location.replace(location.pathname);
  };
  const screen = new Screen(model, account, push, () => leave());
  let wasLive = false;
  client.on("state", (state) => {
    const { words, live, why } = standing(state);
    if (wasLive && !live) model.lost();
    wasLive = live === true;
    if (!words) return void leave(why ?? account.whyOver());
    screen.state(words, live);
    if (live) model.live().catch((error) => screen.state(error.message, false));
    return undefined;
  });
  screen.draw();
  await client.start();

  push.listen({ looking: (channelId) => screen.looking(channelId), open: (channelId) => screen.go(channelId) });
  push.renew().catch(() => {});
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (wanted.has("channel") || wanted.has("feed")) history.replaceState(null, "", location.pathname + location.search);
  if (wanted.get("channel")) screen.go(wanted.get("channel"));
  else if (wanted.has("feed")) screen.feed(wanted.get("feed") || null);
}

async function start() {
  translate(document);
  const arrived = arrival(location.hash);
  if (arrived.rest !== location.hash) history.replaceState(null, "", location.pathname + location.search + arrived.rest);
  // A link that is followed in this tab changes the fragment alone.
  window.addEventListener("hashchange", () => { if (arrival(location.hash).token) location.reload(); });
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
  if (arrived.token) return signForm({ why, arrived, account }, chat);
  if (account.current()) return chat();
  return signForm({ why, account }, chat);
}

start();
