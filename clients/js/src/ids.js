// Names that the client makes: devices, messages and operations.

/**
 * A UUID of version 7, whose time is the server's as far as it is known.
 *
 * @param {number} nowMs Unix milliseconds
 */
export function uuid7(nowMs) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const time = BigInt(Math.trunc(nowMs));
  for (let at = 0; at < 6; at += 1) bytes[at] = Number((time >> BigInt(8 * (5 - at))) & 0xffn);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/**
 * The time in such a UUID, Unix milliseconds.
 *
 * @param {string} uuid
 */
export const uuidMs = (uuid) => Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);

/**
 * A device's name, by chance.
 *
 * @param {string} [prefix]
 */
export function deviceId(prefix = "web") {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return `${prefix}-${btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_")}`;
}
