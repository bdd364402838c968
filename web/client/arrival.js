// A token that came with the page's address, behind its `#`, where no server and no proxy sees it.
//
// `#token=TOKEN`, percent-encoded; with `&device_id=DEVICE` where that device alone may use it. Other fields are somebody else's.

const TOKEN_CHARS_MAX = 8192;

/** Whether it can be a token at all: it goes into a header. */
export const isToken = (text) => text.length <= TOKEN_CHARS_MAX && /^[\x21-\x7e]+$/u.test(text);

/** What a fragment brings, `{token, device, rest}`: "" for what it does not have, `rest` the fragment without it. */
export function arrival(hash) {
  const fields = new URLSearchParams(hash.slice(1));
  const token = fields.get("token") ?? "";
  const device = fields.get("device_id") ?? "";
  fields.delete("token");
  fields.delete("device_id");
  const left = String(fields);
  return { token: isToken(token) ? token : "", device: /^[A-Za-z0-9_-]{1,64}$/u.test(device) ? device : "", rest: left && `#${left}` };
}
