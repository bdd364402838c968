// Errors of the client, by whose fault they are.

/** The server refused a command or the connection: `code` is of PROTOCOL section 6. */
export class Refused extends Error {
  /** @param {{ code: number, message?: string, temporary?: boolean, retry_after_ms?: number }} error */
  constructor({ code, message, temporary = false, retry_after_ms = 0 }) {
    super(message || `the server refused it with ${code}`);
    this.name = "Refused";
    this.code = code;
    /** Whether the same may be asked again. */
    this.temporary = temporary === true;
    /** How long to wait before that. */
    this.retryAfterMs = retry_after_ms;
  }
}

/** The connection went before the answer came, or there is none: asking again is safe. */
export class Gone extends Error {
  constructor(message = "there is no connection at the moment") {
    super(message);
    this.name = "Gone";
  }
}

/** HTTP was refused: `status` is 0 where no node could be reached, `code` is of PROTOCOL section 6 or 0. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {number} code
   * @param {string} [detail]
   * @param {number} [retryAfterMs]
   */
  constructor(status, code, detail, retryAfterMs = 0) {
    super(detail || `the server answered ${status}`);
    this.name = "Problem";
    this.status = status;
    this.code = code;
    /** How long the server wants to be left alone. */
    this.retryAfterMs = retryAfterMs;
  }
}

/** The outbox holds as much as it may, or the store did not take an entry: nothing was sent. */
export class NotKept extends Error {
  /**
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(message, cause) {
    super(message, { cause });
    this.name = "NotKept";
  }
}

/** What the server sent is not what PROTOCOL says. It was left out, and the client went on. */
export class BadInput extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "BadInput";
  }
}
