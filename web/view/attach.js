// Files beside what is being written: chosen by a button, pasted or dropped, each with how far its upload is.
//
// Owns the strip of files, its live region and the zone to drop on. Uploads themselves are `client/attaching.js`.

import { FILES_MAX } from "../client/attaching.js";
import { el, icon, iconButton, keyed, say } from "./dom.js";
import { t, tn } from "./language.js";
import { posterOf } from "./poster.js";
import { fileSize } from "./words.js";

/** Pixels of a preview in the strip. */
const PREVIEW = 112;

export class Strip {
  /** `attaching()` gives the files of what is being written at the moment. */
  constructor(attaching) {
    this.attaching = attaching;
    this.previews = new Map();
    this.list = el("ul", { class: "strip", hidden: true });
    this.words = el("p", { class: "unseen", role: "status" });
    this.problem = el("p", { class: "problem", role: "alert" });
    this.input = el("input", { type: "file", multiple: true, hidden: true, tabindex: "-1" });
    this.button = iconButton("attach", "", () => this.input.click());
    this.input.addEventListener("change", () => {
      this.add(this.input.files);
      this.input.value = "";
    });
    this.states = new Map();
    this.translated();
  }

  translated() {
    this.list.setAttribute("aria-label", t("Attached files"));
    for (const name of ["title", "aria-label"]) this.button.setAttribute(name, t("Attach files"));
  }

  /** Takes what is pasted into `field`, and what is dropped on `zone`; `isOff()` while nothing may be attached. */
  listen(field, zone, isOff = () => false) {
    field.addEventListener("paste", (event) => {
      const { files } = event.clipboardData;
      // Text that was copied along with a picture of it is pasted as text.
      if (!files.length || event.clipboardData.types.includes("text/plain") || isOff()) return;
      event.preventDefault();
      this.add(files);
    });
    const over = (on) => zone.classList.toggle("dropping", on);
    zone.addEventListener("dragover", (event) => {
      // A place within this one may have taken it.
      if (event.defaultPrevented) return over(false);
      if (isOff() || !event.dataTransfer.types.includes("Files")) return undefined;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      return over(true);
    });
    zone.addEventListener("dragleave", ({ relatedTarget }) => { if (!zone.contains(relatedTarget)) over(false); });
    zone.addEventListener("drop", (event) => {
      over(false);
      if (event.defaultPrevented || isOff() || !event.dataTransfer.files.length) return;
      event.preventDefault();
      this.add(event.dataTransfer.files);
      field.focus();
    });
  }

  add(files) {
    const left = this.attaching().add(files, posterOf);
    this.problem.textContent = left ? t("{max} files are allowed; {left} were left out.", { max: FILES_MAX, left }) : "";
  }

  /** Draws the files as they are now. */
  draw() {
    const { items } = this.attaching();
    this.list.hidden = !items.length;
    if (!items.length) this.problem.textContent = "";
    keyed(this.list, items, {
      key: ({ id }) => id,
      print: ({ upload }) => `${upload.state === "failed"}`,
      build: (item) => this.chip(item),
    });
    for (const [at, item] of items.entries()) this.progress(this.list.children[at], item);
    this.tell(items);
  }

  chip(item) {
    const { file, upload } = item;
    const failed = upload.state === "failed";
    const remove = () => {
      this.attaching().remove(item);
      this.button.focus();
    };
    const name = upload.name;
    const node = el("li", { class: failed ? "chip failed" : "chip" },
      this.preview(file),
      el("span", { class: "about" }, el("b", { dir: "auto", title: name }, name),
        failed ? el("small", { role: "alert" }, upload.error?.message ?? "") : el("small", {}, fileSize(upload.bytes)),
        !failed && el("progress", { max: "1", "aria-label": t("Upload of {name}", { name }) })),
      failed && el("button", { type: "button", class: "link", onclick: () => upload.retry() }, t("Try again")),
      iconButton("close", failed || upload.state === "done" ? t("Remove {name}", { name }) : t("Cancel {name}", { name }), remove));
    return node;
  }

  /** A small picture of a file that is one, drawn once: a preview of the whole would take its memory. */
  preview(file) {
    if (!/^image\/(png|jpeg|gif|webp|avif|bmp)$/u.test(file.type)) return el("span", { class: "preview" }, icon("file"));
    if (!this.previews.has(file)) {
      const canvas = el("canvas", { class: "preview", width: PREVIEW, height: PREVIEW, "aria-hidden": "true" });
      createImageBitmap(file).then((picture) => {
        const side = Math.min(picture.width, picture.height);
        canvas.getContext("2d").drawImage(picture, (picture.width - side) / 2, (picture.height - side) / 2, side, side, 0, 0, PREVIEW, PREVIEW);
        picture.close();
      }).catch(() => {});
      this.previews.set(file, canvas);
    }
    return this.previews.get(file);
  }

  progress(node, { upload }) {
    const bar = node.querySelector("progress");
    if (!bar) return;
    const waits = upload.state === "waiting" && upload.error;
    say(node.querySelector("small"), waits ? t("The server cannot be reached, trying again…") : fileSize(upload.bytes));
    bar.hidden = upload.state === "done";
    // What has not begun says so, and not 0.
    if (upload.state === "waiting" && !upload.sentBytes) bar.removeAttribute("value");
    else bar.value = upload.bytes ? upload.sentBytes / upload.bytes : 1;
  }

  /** Says what came and what is whole to those who do not see it. */
  tell(items) {
    const now = new Map(items.map(({ id, upload }) => [id, upload.state === "done" ? "done" : "sending"]));
    const come = items.filter(({ id }) => !this.states.has(id)).length;
    const whole = items.filter(({ id }) => now.get(id) === "done" && this.states.get(id) === "sending");
    const isAll = items.length > 0 && items.every(({ id }) => now.get(id) === "done");
    this.states = now;
    if (come) say(this.words, tn(come, "{count} file attached", "{count} files attached"));
    else if (whole.length && isAll) say(this.words, t("All files are uploaded"));
    else if (!items.length) say(this.words, "");
    for (const file of this.previews.keys()) if (!items.some((item) => item.file === file)) this.previews.delete(file);
  }
}
