// What a picture is called, and what it looks like before it is loaded.

import { average, pixels } from "../client/blurhash.js";
import { el } from "./dom.js";
import { t } from "./language.js";

/** Pixels of a blurhash, each way. */
const BLUR = 32;

/** What a screen reader says of a picture. */
export const pictureName = ({ name }) => (name ? t("Picture {name}", { name }) : t("Picture"));

/** What a picture looks like from afar: drawn before it is loaded. */
export function blur({ blurhash }) {
  const canvas = el("canvas", { width: BLUR, height: BLUR, class: "blur", "aria-hidden": "true" });
  const drawn = pixels(blurhash, BLUR, BLUR);
  if (!drawn) return canvas;
  canvas.style.backgroundColor = average(blurhash);
  canvas.getContext("2d")?.putImageData(new ImageData(drawn, BLUR, BLUR), 0, 0);
  return canvas;
}
