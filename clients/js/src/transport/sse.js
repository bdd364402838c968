// Lines over an event stream, read by `fetch` rather than `EventSource`, which can send no header and hides why it ended.

import { plain, readLines } from "./plain.js";

export const sse = () => plain("sse", {
  path: "/connection/sse",
  query: () => ({}),
  goesOn: false,
  read(body, said, closed) {
    let event = "";
    // Each event has one line of data, and `event` comes before it.
    return readLines(body, (line) => {
      const [, name, value] = /^(\w*):? ?(.*)$/u.exec(line) ?? [];
      if (name === "event") event = value;
      if (name !== "data") return;
      if (event === "close") closed(codeOf(value));
      else said(value);
      event = "";
    });
  },
});

/** @param {string} data */
function codeOf(data) {
  try {
    const { code } = JSON.parse(data);
    return Number.isInteger(code) ? code : 1006;
  } catch {
    return 1006;
  }
}
