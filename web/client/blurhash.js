// Blurhash, as of woltapp/blurhash: a text of some 30 characters that says what a picture looks like from afar.
//
// Pure. What is no blurhash gives null, and whoever draws draws nothing.

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";

function base83(text) {
  let value = 0;
  for (const digit of text) value = value * 83 + DIGITS.indexOf(digit);
  return value;
}

const toLinear = (value) => (value <= 10.31475 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);

function toSrgb(value) {
  const within = Math.max(0, Math.min(1, value));
  return Math.trunc(within <= 0.0031308 ? within * 12.92 * 255 + 0.5 : (1.055 * within ** (1 / 2.4) - 0.055) * 255 + 0.5);
}

const colourOf = (value) => [value >> 16, (value >> 8) & 255, value & 255].map(toLinear);

function waveOf(value, most) {
  const signed = (step) => Math.sign(step - 9) * ((step - 9) / 9) ** 2 * most;
  return [signed(Math.trunc(value / 361)), signed(Math.trunc(value / 19) % 19), signed(value % 19)];
}

/** `{columns, rows}` of its waves, or null if it is none. */
function shape(hash) {
  if (typeof hash !== "string" || hash.length < 6 || [...hash].some((digit) => !DIGITS.includes(digit))) return null;
  const size = base83(hash[0]);
  const [columns, rows] = [(size % 9) + 1, Math.trunc(size / 9) + 1];
  return hash.length === 4 + 2 * columns * rows ? { columns, rows } : null;
}

/** Its average colour as `#rrggbb`, or null. */
export const average = (hash) => (shape(hash) ? `#${base83(hash.slice(2, 6)).toString(16).padStart(6, "0")}` : null);

/** Its pixels, four bytes each as of `ImageData`, or null. */
export function pixels(hash, width, height) {
  const waves = shape(hash);
  if (!waves) return null;
  const { columns, rows } = waves;
  const most = (base83(hash[1]) + 1) / 166;
  const colours = Array.from({ length: columns * rows }, (_, at) => (at === 0
    ? colourOf(base83(hash.slice(2, 6)))
    : waveOf(base83(hash.slice(4 + at * 2, 6 + at * 2)), most)));
  const drawn = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const sum = [0, 0, 0];
      for (const [at, colour] of colours.entries()) {
        const wave = Math.cos((Math.PI * x * (at % columns)) / width) * Math.cos((Math.PI * y * Math.trunc(at / columns)) / height);
        for (const channel of [0, 1, 2]) sum[channel] += colour[channel] * wave;
      }
      drawn.set([...sum.map(toSrgb), 255], 4 * (y * width + x));
    }
  }
  return drawn;
}
