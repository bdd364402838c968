// A message somewhere, as a line that leads there: of a search, of a mention.

import { el } from "./dom.js";
import { t } from "./language.js";
import { brief } from "./words.js";

/** `hit` is `{channel_id, seq, from, sent_ms}`, `words` what is shown of its text. */
export function hitRow(hit, words, model, jump) {
  const channel = model.channels.get(hit.channel_id);
  return el("li", {}, el("button", { type: "button", class: "hit", onclick: () => jump(hit.channel_id, hit.seq) },
    el("span", { class: "over" },
      el("b", {}, model.people.name(hit.from)),
      el("span", { class: "grow" }, channel ? t("in {title}", { title: model.title(channel) }) : ""),
      el("time", {}, brief(hit.sent_ms))),
    el("span", { class: "words", dir: "auto" }, words)));
}
