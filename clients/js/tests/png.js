// PNG pictures of any size, drawn by a function of each pixel.

import { crc32 as zlibCrc32, deflateSync } from "node:zlib";

/** CRC-32 of PNG: Node has one from version 22 on. */
function crc32(bytes) {
  if (zlibCrc32) return zlibCrc32(bytes);
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}

function chunk(kind, content) {
  const named = Buffer.concat([Buffer.from(kind), content]);
  const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  crc.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, crc]);
}

/** A picture of 8 bits a channel; `paint(x, y)` gives `[red, green, blue]`. */
export function png(width, height, paint) {
  const rows = Buffer.alloc(height * (1 + 3 * width));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) rows.set(paint(x, y), y * (1 + 3 * width) + 1 + 3 * x);
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

/** A landscape under a sun, of a hue. */
export const landscape = (width, height, hue = 0) => png(width, height, (x, y) => {
  const [u, v] = [x / width, y / height];
  const isSun = Math.hypot(u - 0.7, (v - 0.3) * (height / width)) < 0.09;
  const hill = 0.62 + 0.1 * Math.sin(u * 5 + hue) + 0.04 * Math.sin(u * 17);
  if (isSun) return [255, 232, 150];
  if (v > hill) return [40 + 60 * v, (90 + hue * 20) % 256, 70 + 40 * u];
  return [120 + 110 * v, 150 + 60 * (1 - v), (225 - 40 * v - hue * 30) & 255];
});
