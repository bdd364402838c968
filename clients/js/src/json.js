// JSON as the server takes it. Ids are strings on the wire and stay strings: no number here is larger than 2^53.

/**
 * A text whose lone surrogates, which no UTF-8 can hold, are U+FFFD.
 *
 * @param {string} text
 */
export const wellFormed = (text) => text.replace(/\p{Surrogate}/gu, "\uFFFD");

/**
 * JSON in which every text is well formed.
 *
 * @param {unknown} value
 */
export const json = (value) => JSON.stringify(value, (_, field) => (typeof field === "string" ? wellFormed(field) : field));
