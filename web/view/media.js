// Attachments of a message or a post: pictures with what they look like before they are loaded, films, sounds, other files.
//
// Builds elements from attachments. URLs are signed and expire: they are asked for by `urls({fresh})`, a promise of them by media
// id, and once more if one is not taken.

import { el, icon } from "./dom.js";
import { t } from "./language.js";
import { blur, pictureName } from "./picture.js";
import { openViewer } from "./viewer.js";
import { fileSize } from "./words.js";

/** The longer side of each thumbnail, at most. */
const VARIANTS = { small: 160, medium: 480, large: 1280 };
const SIZES = "(max-width: 44rem) 92vw, 30rem";

/** The attachments, or null if there are none. */
export function attachments(media, urls) {
  if (!media?.length) return null;
  const pictures = media.filter(({ kind }) => kind === "image");
  const others = media.filter(({ kind }) => kind !== "image");
  return el("div", { class: "media" },
    pictures.length > 0 && el("div", { class: `pictures of-${Math.min(pictures.length, 4)}` },
      pictures.map((picture, at) => pictureButton(picture, urls, () => openViewer(pictures, at, urls)))),
    others.map((each) => other(each, urls)));
}

function pictureButton(picture, urls, open) {
  const { width, height, media_id } = picture;
  const image = el("img", { alt: pictureName(picture), loading: "lazy", decoding: "async", draggable: "false" });
  const button = el("button", { type: "button", class: "picture", onclick: open }, blur(picture), image);
  if (width && height) button.style.aspectRatio = `${width} / ${height}`;
  image.addEventListener("load", () => button.classList.add("is-loaded"));
  load(image, urls, media_id, (found) => {
    image.sizes = SIZES;
    const sources = sourcesOf(picture, found);
    if (sources) image.srcset = sources;
    image.src = found.medium ?? found.original;
  }, () => button.classList.add("is-broken"));
  return button;
}

/** Has `show(urls)` set what an element loads; once more with fresh URLs if that fails, and then it is broken. */
function load(node, urls, mediaId, show, broken) {
  let isFresh = false;
  const ask = () => urls({ fresh: isFresh }).then((all) => (all[mediaId] ? show(all[mediaId]) : broken()), broken);
  node.addEventListener("error", () => {
    if (isFresh) return broken();
    isFresh = true;
    return ask();
  });
  ask();
}

/** `srcset` of a picture whose size is known: what fits, never a large original. */
function sourcesOf({ width, height }, urls) {
  if (!width || !height) return "";
  const widthOf = (side) => Math.round(width * Math.min(1, side / Math.max(width, height)));
  const sources = Object.entries(VARIANTS).filter(([variant]) => urls[variant]).map(([variant, side]) => `${urls[variant]} ${widthOf(side)}w`);
  // Of a picture that is no larger than a thumbnail there is none.
  return [...sources, ...(urls.large ? [] : [`${urls.original} ${width}w`])].join(", ");
}

function other(attachment, urls) {
  switch (attachment.kind) {
    case "video": return film(attachment, urls);
    case "audio": return sound(attachment, urls);
    // Also of kinds that a later server has.
    default: return fileLink(attachment, urls);
  }
}

function film(attachment, urls) {
  const { media_id, width, height } = attachment;
  const video = el("video", { controls: true, preload: "none", playsinline: true, "aria-label": attachment.name || t("Video") });
  if (width && height) video.style.aspectRatio = `${width} / ${height}`;
  load(video, urls, media_id, (found) => {
    if (found.poster) video.poster = found.poster;
    video.src = found.original;
  }, () => video.replaceWith(fileLink(attachment, urls)));
  return video;
}

function sound(attachment, urls) {
  const audio = el("audio", { controls: true, preload: "none", "aria-label": attachment.name || t("Sound") });
  load(audio, urls, attachment.media_id, (found) => { audio.src = found.original; }, () => audio.replaceWith(fileLink(attachment, urls)));
  return el("div", { class: "sound" }, attachment.name && el("small", { dir: "auto" }, attachment.name), audio);
}

function fileLink({ media_id, name, bytes }, urls) {
  const link = el("a", { class: "file", rel: "noopener", target: "_blank", download: name || "" }, icon("file"),
    el("span", { class: "grow" }, el("b", { dir: "auto" }, name || t("File")), el("small", {}, fileSize(bytes))), icon("down"));
  const point = () => urls({}).then((all) => { if (all[media_id]) link.href = all[media_id].original; }).catch(() => {});
  point();
  // What was signed a day ago is not taken any more.
  for (const about of ["pointerenter", "focus"]) link.addEventListener(about, point);
  return link;
}
