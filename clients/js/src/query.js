// Parts of paths and query strings.

export const part = encodeURIComponent;

/** A query string with its "?", "" if nothing is given. @param {Record<string, string | number | undefined>} fields */
export function query(fields) {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}
