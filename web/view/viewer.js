// The viewer: one picture of several, as large as the window.
//
// Arrow keys and buttons go to the others, Escape and a click beside it close it, and the focus goes back to where it was.

import { el, icon, iconButton } from "./dom.js";
import { t } from "./language.js";
import { blur, pictureName } from "./picture.js";
import { fileSize } from "./words.js";

/** Shows `pictures`, the one at `at` first. `urls({fresh})` as of `media.js`. */
export function openViewer(pictures, at, urls) {
  const stage = el("div", { class: "stage" });
  const caption = el("p", { class: "grow", role: "status", dir: "auto" });
  const download = el("a", { class: "bare", title: t("Open the original"), "aria-label": t("Open the original"), target: "_blank", rel: "noopener" }, icon("down"));
  const step = (by) => {
    at = (at + by + pictures.length) % pictures.length;
    show();
  };
  const dialog = el("dialog", { class: "viewer", "aria-label": t("Picture viewer") },
    el("header", {}, caption, download, iconButton("close", t("Close"), () => dialog.close())),
    pictures.length > 1 && iconButton("back", t("Previous picture"), () => step(-1), { class: "bare turn before" }),
    stage,
    pictures.length > 1 && iconButton("next", t("Next picture"), () => step(1), { class: "bare turn after" }));
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft" && pictures.length > 1) step(-1);
    else if (event.key === "ArrowRight" && pictures.length > 1) step(1);
    else if (event.key === "Home") step(-at);
    else if (event.key === "End") step(pictures.length - 1 - at);
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("click", ({ target }) => { if (target === dialog || target === stage) dialog.close(); });
  const before = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    before?.focus();
  });

  function show() {
    const picture = pictures[at];
    const where = pictures.length > 1 ? t("{at} of {all}", { at: at + 1, all: pictures.length }) : "";
    caption.textContent = [picture.name, where, fileSize(picture.bytes)].filter(Boolean).join(" · ");
    const image = el("img", { alt: pictureName(picture) });
    const frame = el("div", { class: "frame" }, blur(picture), image);
    if (picture.width && picture.height) {
      frame.style.aspectRatio = `${picture.width} / ${picture.height}`;
      frame.style.setProperty("--ratio", String(picture.width / picture.height));
      frame.style.setProperty("--wide", `${picture.width}px`);
    }
    image.addEventListener("load", () => frame.classList.add("is-loaded"));
    stage.replaceChildren(frame);
    const ask = (fresh) => urls({ fresh }).then((all) => {
      const found = all[picture.media_id];
      if (!found) throw new Error(t("This picture cannot be shown."));
      image.src = found.large ?? found.original;
      download.href = found.original;
    }).catch((error) => stage.replaceChildren(el("p", { class: "problem", role: "alert" }, error.message)));
    image.addEventListener("error", () => ask(true), { once: true });
    ask(false);
  }

  document.body.append(dialog);
  show();
  dialog.showModal();
}
