// Being told while away: this browser's push subscription, and where the server has it.
//
// Owns the note of whose the subscription is: a browser has one, which is one account's, whatever tabs it has. It outlives
// its tab, and ends when any tab of that account signs out. What is told is shown by `sw.js`.

import * as account from "./account.js";

const KEY = "rookery.push";

const isSupported = () => "PushManager" in globalThis && "Notification" in globalThis && Boolean(navigator.serviceWorker);

/** `{user_id, device_id, endpoint, key}` of whoever is told here, or null. */
const noted = () => JSON.parse(localStorage.getItem(KEY) ?? "null");

/** The same, if that is this account. */
function own() {
  const note = noted();
  return note?.user_id === account.current()?.user_id ? note : null;
}

async function subscribed() {
  const registration = await navigator.serviceWorker.getRegistration();
  return registration?.pushManager.getSubscription();
}

/** What the server says: the key to subscribe for, unless it sends nothing to browsers, and the devices that it tells. */
async function asked() {
  const { contacts, media, webpush_key } = await account.http("GET", "/v1/me/contacts");
  const devices = contacts.filter(({ medium }) => medium === "webpush").map(({ device_id }) => device_id);
  return { key: media.includes("webpush") ? webpush_key : undefined, devices };
}

async function isTold({ key, devices }) {
  const note = own();
  if (Notification.permission !== "granted" || !note || note.key !== key || !devices.includes(note.device_id)) return false;
  return (await subscribed())?.endpoint === note.endpoint;
}

/** Subscribes, unless it is subscribed and that counts, and tells the server. */
async function register({ key, devices }) {
  const note = noted();
  const { device, user_id } = account.current();
  await navigator.serviceWorker.register("sw.js");
  const { pushManager } = await navigator.serviceWorker.ready;
  let subscription = await pushManager.getSubscription();
  // The server forgets what the push service says is gone.
  const isGone = Boolean(own()) && !devices.includes(note.device_id);
  if (subscription && (note?.key !== key || isGone)) {
    await subscription.unsubscribe();
    subscription = null;
  }
  subscription ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await account.http("PUT", path(device), { medium: "webpush", subscription: subscription.toJSON(), locale: navigator.language });
  localStorage.setItem(KEY, JSON.stringify({ user_id, device_id: device, endpoint: subscription.endpoint, key }));
}

const path = (device) => `/v1/me/devices/${encodeURIComponent(device)}/push`;

/** How it stands: "unsupported" by this browser, "unoffered" by the server, "denied" by the user, "on" or "off". */
export async function state() {
  if (!isSupported()) return "unsupported";
  const answer = await asked();
  if (!answer.key) return "unoffered";
  if (Notification.permission === "denied") return "denied";
  return (await isTold(answer)) ? "on" : "off";
}

/** Asks the user, so only on a click, and before anything else: some browsers forget the click while one waits. */
export async function turnOn() {
  if ((await Notification.requestPermission()) !== "granted") return;
  const answer = await asked();
  if (answer.key) await register(answer);
}

/** Either half is enough: of a subscription that is no more the server is told when it sends. */
export async function turnOff() {
  const note = own();
  if (!note) return;
  const unsubscribe = async () => (await subscribed())?.unsubscribe();
  const halves = await Promise.allSettled([unsubscribe(), account.http("DELETE", path(note.device_id))]);
  if (halves.every(({ status }) => status === "rejected")) throw halves[1].reason;
  localStorage.removeItem(KEY);
}

/** Once for each page, and when the subscription has changed: what was on and does not count any more is made anew. */
export async function renew() {
  if (!isSupported() || !own() || Notification.permission !== "granted") return;
  const answer = await asked();
  if (answer.key && !(await isTold(answer))) await register(answer);
}

/** Before the account is signed out here. */
export async function leave() {
  if (!isSupported() || !own()) return;
  await turnOff().catch(() => localStorage.removeItem(KEY));
  const registration = await navigator.serviceWorker.getRegistration();
  for (const shown of (await registration?.getNotifications()) ?? []) shown.close();
}

/** What the service worker asks a page: `on` has `looking(channelId)` and `open(channelId)`. */
export function listen(on) {
  navigator.serviceWorker?.addEventListener("message", ({ data: { kind, channel_id, user_id }, ports }) => {
    const isOurs = !user_id || user_id === account.current()?.user_id;
    switch (kind) {
      case "looking": return ports[0].postMessage(isOurs && on.looking(channel_id));
      case "open":
        ports[0].postMessage(isOurs);
        return isOurs && channel_id ? on.open(channel_id) : undefined;
      case "subscribed": return renew().catch(() => {});
      // A later version's.
      default: return undefined;
    }
  });
}
