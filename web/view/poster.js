// The picture that stands for a video until it is played: one of its first frames, as this browser shows it.

/** The longer side of it, at most. */
const SIDE = 1280;
/** How long a browser may take to show a frame. */
const FRAME_MS = 5_000;

/** A JPEG of a file that is a video, or null: what this browser cannot play goes without. */
export async function posterOf(file) {
  if (!file.type.startsWith("video/")) return null;
  const video = document.createElement("video");
  const url = URL.createObjectURL(file);
  try {
    Object.assign(video, { muted: true, preload: "auto", playsInline: true, src: url });
    await happens(video, "loadeddata");
    // The very first frame is black more often than not.
    video.currentTime = Math.min(1, (video.duration || 0) / 10);
    await happens(video, "seeked");
    const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: Math.round(video.videoWidth * scale), height: Math.round(video.videoHeight * scale) });
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", 0.85); });
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(url);
  }
}

const happens = (video, event) => new Promise((resolve, reject) => {
  video.addEventListener(event, resolve, { once: true });
  video.addEventListener("error", () => reject(new Error("this browser cannot play it")), { once: true });
  setTimeout(() => reject(new Error(`no ${event} in ${FRAME_MS} ms`)), FRAME_MS);
});
