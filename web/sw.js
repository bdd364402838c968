// The service worker: shows what the server tells while the user is away, and leads from there to the channel.
//
// Owns what is shown, the badge, and what a click does. Knows no account: pages say whose they are, each for itself. What it is
// sent is made by notify/src/providers/webpush.rs: {id, title, body, data, tag?, badge?, url?, image?}.

/** How long a page may take to answer. A click's right to bring one to the front lasts somewhat longer. */
const ANSWER_MS = 500;
/** Safari takes each push without a notification for a fault, the others not while a page is seen. */
const MUST_SHOW = /^((?!Chrom|Android).)*Safari/u.test(navigator.userAgent);

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("push", (event) => event.waitUntil(show(event.data.json())));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(follow(event.notification.data));
});
self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(subscribe(event)));

async function show({ id, title, body, data, tag, badge, url, image }) {
  if (badge !== undefined) await navigator.setAppBadge?.(badge).catch(() => {});
  if (!MUST_SHOW && (await isSeen(data))) return;
  const before = tag ? await registration.getNotifications({ tag }) : [];
  // The next of a channel takes the place of the one before and is heard; the same once more is not.
  const renotify = Boolean(tag) && !before.some((shown) => shown.data?.id === id);
  await registration.showNotification(title, { body, tag, renotify, image, data: { ...data, id, url } });
}

/** Whether the user looks at the place that is told of. */
async function isSeen({ channel_id, user_id }) {
  const focused = (await pages()).find((page) => page.focused && page.visibilityState === "visible");
  return Boolean(channel_id && focused) && ask(focused, { kind: "looking", channel_id, user_id });
}

async function follow({ channel_id, user_id, url }) {
  if (/^https?:/iu.test(url ?? "")) return clients.openWindow(url);
  for (const page of await pages()) {
    if (await ask(page, { kind: "open", channel_id, user_id })) return page.focus();
  }
  return clients.openWindow(channel_id ? `./#channel=${channel_id}` : "./");
}

/** The push service has changed the subscription. Pages have the tokens that it takes to tell the server, now or when one comes. */
async function subscribe({ oldSubscription, newSubscription }) {
  if (!newSubscription && oldSubscription) await registration.pushManager.subscribe(oldSubscription.options);
  for (const page of await pages()) page.postMessage({ kind: "subscribed" });
}

/** Those of the browser that are open, the one that was used last first. */
const pages = () => clients.matchAll({ type: "window", includeUncontrolled: true });

/** A page's answer; no, if it does not answer, as one in which nobody is signed in. */
function ask(page, question) {
  const { port1, port2 } = new MessageChannel();
  page.postMessage(question, [port2]);
  return new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
    setTimeout(() => resolve(false), ANSWER_MS);
  });
}
