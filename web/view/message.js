// One message of the channel that is open, or what stands between two: a day, the line before what is new.
//
// Builds elements from what it is given. What a click means is in `doings`, which the thread hands in.

import { beginning, pieces } from "../client/text.js";
import { el, icon, iconButton } from "./dom.js";
import { t } from "./language.js";
import { attachments } from "./media.js";
import { clock, fileSize, full, said, some } from "./words.js";

/** Of a longer text this much is shown at first. */
const TEXT_MAX = 3000;

export function dayRow(text) {
  return el("li", { class: "day", role: "separator" }, el("span", {}, text));
}

export function newRow() {
  return el("li", { class: "new", role: "separator", "aria-label": t("New messages") }, el("span", {}, t("New")));
}

/**
 * A message that the server has. `row` is `{message, mine, first, mayDelete, readers, waiting, quoted}`, `model` gives names,
 * `doings` has `react`, `toggle`, `reply`, `edit`, `remove`, `jump`, `again` and `giveUp`.
 */
export function messageRow(row, model, doings) {
  const { message, mine, first, readers, waiting } = row;
  const named = message.mentions?.includes(model.me());
  const classes = ["message", mine && "mine", first && "first", named && "named"].filter(Boolean).join(" ");
  return el("li", { class: classes, tabindex: "-1", dataset: { seq: message.seq } },
    first && !mine && el("div", { class: "who" }, model.people.name(message.from)),
    el("div", { class: "bubble", title: full(message.sent_ms) },
      message.reply_to && quote(row, model, doings),
      message.deleted
        ? el("div", { class: "body gone" }, t("This message was deleted."))
        : [
          attachments(message.media, (options) => model.urls(message, options)),
          message.body && text(message.body, message.mentions, model),
          toolbar(row, doings),
        ]),
    reactions(row, doings),
    el("div", { class: "state" },
      el("time", { datetime: new Date(message.sent_ms).toISOString() }, clock(message.sent_ms)),
      message.edited_ms && !message.deleted && el("span", { title: full(message.edited_ms) }, t("edited")),
      mine && readers && receipt(readers, model)),
    waiting.map((entry) => waitingLine(entry, doings)));
}

/** A message that waits to be sent, or was refused. */
export function entryRow(entry, model, doings) {
  const { body, mentions } = entry.fields;
  return el("li", { class: `message mine first ${entry.problem ? "failed" : "waiting"}`, tabindex: "-1" },
    el("div", { class: "bubble" },
      entry.files?.length > 0 && el("ul", { class: "sending" }, entry.files.map((file) => sendingFile(file, doings))),
      body && text(body, mentions, model)),
    entry.problem ? waitingLine(entry, doings) : sendingLine(entry, doings));
}

/** A file that is on its way: a picture as it is here, its name and how far it is, which `moveFiles` renews. */
function sendingFile({ id, name, bytes, type }, doings) {
  const node = el("li", { class: "chip", dataset: { file: id } },
    el("span", { class: "preview" }, icon("file")),
    el("span", { class: "about" }, el("b", { dir: "auto" }, name || t("File")), bytes > 0 && el("small", {}, fileSize(bytes)),
      bytes > 0 && el("progress", { max: "1", "aria-label": t("Upload of {name}", { name }) })));
  if (/^image\/(png|jpeg|gif|webp|avif|bmp)$/u.test(type)) doings.preview(id, node.firstChild);
  return node;
}

/** Shows how far the files of a message are, in its row. */
export function moveFiles(row, { files }) {
  for (const { id, bytes, sent_bytes, attachment } of files ?? []) {
    const bar = row.querySelector(`[data-file="${id}"] progress`);
    if (!bar) continue;
    bar.hidden = Boolean(attachment);
    bar.value = bytes ? sent_bytes / bytes : 1;
  }
}

function sendingLine(entry, doings) {
  const waits = entry.files?.some(({ attachment }) => !attachment);
  return el("div", { class: "state" }, el("span", {}, t("sending…")),
    waits && el("button", { type: "button", class: "link", onclick: () => doings.giveUp(entry) }, t("Cancel")));
}

function text(body, mentions, model) {
  const users = (mentions ?? []).map((id) => model.people.profile(id)).filter(Boolean);
  const show = (shown) => pieces(shown, users).map(({ text: words, user_id, href }) => {
    if (href) return el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, words);
    if (!user_id) return words;
    return el("span", { class: user_id === model.me() ? "mention me" : "mention", title: model.people.name(user_id) }, words);
  });
  const node = el("div", { class: "body", dir: "auto" }, show(beginning(body, TEXT_MAX)));
  if (body.length > TEXT_MAX) {
    const all = () => node.replaceChildren(...show(body));
    node.append("… ", el("button", { type: "button", class: "link", onclick: all }, t("Show all of it")));
  }
  return node;
}

function quote({ message, quoted }, model, doings) {
  const words = !quoted ? "…" : quoted.deleted ? t("a deleted message") : said(quoted, 200);
  return el("button", { type: "button", class: "quote", onclick: () => doings.jump(message.reply_to) },
    el("b", {}, quoted ? model.people.name(quoted.from) : ""), el("span", {}, words));
}

function toolbar(row, doings) {
  const { message, mine, mayDelete } = row;
  return el("div", { class: "acts", role: "group", "aria-label": t("This message") },
    iconButton("smile", t("React"), (event) => doings.react(message, event.currentTarget)),
    iconButton("reply", t("Reply"), () => doings.reply(message)),
    mine && iconButton("edit", t("Edit"), () => doings.edit(message)),
    (mine || mayDelete) && iconButton("trash", t("Delete"), () => doings.remove(message)));
}

function reactions({ message }, doings) {
  if (!message.reactions?.length) return null;
  return el("div", { class: "reactions" }, message.reactions.map(({ emoji, count, mine }) => {
    const toggle = () => doings.toggle(message, emoji, !mine);
    const props = { type: "button", "aria-pressed": String(Boolean(mine)), "aria-label": `${emoji} ${count}`, onclick: toggle };
    return el("button", props, emoji, el("span", {}, count));
  }));
}

function receipt({ direct, users }, model) {
  if (direct) return el("span", { class: "receipt" }, users.length ? t("read") : t("sent"));
  if (!users.length) return el("span", { class: "receipt" }, t("sent"));
  const names = users.map((user) => model.people.name(user));
  return el("span", { class: "receipt", title: names.join(", ") }, t("read by {names}", { names: some(names) }));
}

const DEEDS = {
  send: ["message on its way…", "message refused: {why}"],
  edit: ["edit on its way…", "edit refused: {why}"],
  delete: ["deletion on its way…", "deletion refused: {why}"],
  react: ["reaction on its way…", "reaction refused: {why}"],
};

/** What was done to a message and is not answered, or was refused. */
function waitingLine(entry, doings) {
  const [onItsWay, refused] = DEEDS[entry.command];
  if (!entry.problem) return el("div", { class: "state" }, t(onItsWay));
  return el("div", { class: "state failed", role: "alert" },
    el("span", {}, t(refused, { why: doings.problem(entry) })),
    el("button", { type: "button", class: "link", onclick: () => doings.again(entry) }, doings.remedy(entry)),
    el("button", { type: "button", class: "link", onclick: () => doings.giveUp(entry) }, t("Discard")));
}
