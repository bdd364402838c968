// One message of the channel that is open, or what stands between two: a day, the line before what is new.
//
// Builds elements from what it is given. What a click means is in `doings`, which the thread hands in.

import { beginning, pieces, preview } from "../client/text.js";
import { clock, full, some } from "./words.js";
import { el, iconButton } from "./dom.js";

/** Of a longer text this much is shown at first. */
const TEXT_MAX = 3000;

export function dayRow(text) {
  return el("li", { class: "day", role: "separator" }, el("span", {}, text));
}

export function newRow() {
  return el("li", { class: "new", role: "separator", "aria-label": "New messages" }, el("span", {}, "New"));
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
        ? el("div", { class: "body gone" }, "This message was deleted.")
        : [text(message.body, message.mentions, model), toolbar(row, doings)]),
    reactions(row, doings),
    el("div", { class: "state" },
      el("time", { datetime: new Date(message.sent_ms).toISOString() }, clock(message.sent_ms)),
      message.edited_ms && !message.deleted && el("span", { title: full(message.edited_ms) }, "edited"),
      mine && readers && receipt(readers, model)),
    waiting.map((entry) => waitingLine(entry, doings)));
}

/** A message that waits to be sent, or was refused. */
export function entryRow(entry, model, doings) {
  const { body, mentions } = entry.fields;
  return el("li", { class: `message mine first ${entry.problem ? "failed" : "waiting"}`, tabindex: "-1" },
    el("div", { class: "bubble" }, text(body, mentions, model)),
    entry.problem ? waitingLine(entry, doings) : el("div", { class: "state" }, "sending…"));
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
    node.append("… ", el("button", { type: "button", class: "link", onclick: all }, "Show all of it"));
  }
  return node;
}

function quote({ message, quoted }, model, doings) {
  const words = !quoted ? "…" : quoted.deleted ? "a deleted message" : preview(quoted.body, 200);
  return el("button", { type: "button", class: "quote", onclick: () => doings.jump(message.reply_to) },
    el("b", {}, quoted ? model.people.name(quoted.from) : ""), el("span", {}, words));
}

function toolbar(row, doings) {
  const { message, mine, mayDelete } = row;
  return el("div", { class: "acts", role: "group", "aria-label": "This message" },
    iconButton("smile", "React", (event) => doings.react(message, event.currentTarget)),
    iconButton("reply", "Reply", () => doings.reply(message)),
    mine && iconButton("edit", "Edit", () => doings.edit(message)),
    (mine || mayDelete) && iconButton("trash", "Delete", () => doings.remove(message)));
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
  if (direct) return el("span", { class: "receipt" }, users.length ? "read" : "sent");
  if (!users.length) return el("span", { class: "receipt" }, "sent");
  const names = users.map((user) => model.people.name(user));
  return el("span", { class: "receipt", title: names.join(", ") }, `read by ${some(names)}`);
}

const DEEDS = { send: "message", edit: "edit", delete: "deletion", react: "reaction" };

/** What was done to a message and is not answered, or was refused. */
function waitingLine(entry, doings) {
  if (!entry.problem) return el("div", { class: "state" }, `${DEEDS[entry.command]} on its way…`);
  return el("div", { class: "state failed", role: "alert" },
    el("span", {}, `${DEEDS[entry.command]} refused: ${doings.problem(entry)}`),
    el("button", { type: "button", class: "link", onclick: () => doings.again(entry) }, doings.remedy(entry)),
    el("button", { type: "button", class: "link", onclick: () => doings.giveUp(entry) }, "Discard"));
}
