// The server of a conformance row, and the row against it: see clients/conformance/README.md.

import assert from "node:assert/strict";
import { WebSocket, WebSocketServer } from "ws";
import { Application, STRICT } from "./application.js";

const WAIT_MS = 5000;
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u;
const DAY_MS = 24 * 3600 * 1000;
/** Under Node; a browser has `browser.test.js`. */
const here = async (row, told) => new Application({ ...row, WebSocket }, told);

/** Runs a row; throws what did not hold. `host` makes its `Application`. */
export async function run(row, host = here) {
  const script = new Script(row, host);
  await script.listen();
  try {
    for (const [at, step] of row.steps.entries()) {
      try {
        await script.step(step);
      } catch (error) {
        error.message = `step ${at + 1}, ${JSON.stringify(step)}: ${error.message}`;
        throw error;
      }
    }
    script.end();
  } finally {
    await script.close();
  }
}

class Script {
  constructor(row, host) {
    this.row = row;
    this.host = host;
    this.names = new Map();
    /** Frames that came, `{socket, path, id, command, fields}`, and those that steps have named. */
    this.frames = [];
    this.named = new Map();
    this.last = null;
    /** Events by kind, ids of what was taken into the outbox by name. */
    this.events = new Map();
    this.ids = new Map();
    this.connections = 0;
    this.waker = () => {};
    this.steppedMs = Date.now();
  }

  async listen() {
    this.server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => "rookery.json.v1" });
    await new Promise((resolve) => { this.server.once("listening", resolve); });
    this.url = `ws://127.0.0.1:${this.server.address().port}`;
    this.server.on("connection", (socket, request) => {
      this.socket = socket;
      this.connections += 1;
      this.waker();
      const ids = new Set();
      socket.on("message", (data) => {
        for (const line of String(data).split("\n").filter(Boolean)) this.take(socket, request.url, ids, JSON.parse(line));
      });
    });
    const { cursor, tokens } = this.row;
    this.application = await this.host({ url: this.url, cursor, tokens }, (kind, detail) => {
      if (!this.events.has(kind)) this.events.set(kind, []);
      this.events.get(kind).push(detail);
      this.waker();
    });
    if (!this.row.steps[0].stopped) await this.application.start();
  }

  take(socket, path, ids, { id, ...rest }) {
    const [command] = Object.keys(rest);
    const fields = rest[command];
    if (command === "echo") return socket.send(JSON.stringify({ id, echo: fields }));
    if (id === undefined) assert.equal(command, "typing", "only typing has no id");
    else assert.ok(Number.isInteger(id) && id > 0 && !ids.has(id), `id ${id} of ${command}`);
    ids.add(id);
    for (const name of ["client_msg_id", "op_id"]) if (fields[name] !== undefined) assert.match(fields[name], UUID7);
    this.frames.push({ socket, path, id, command, fields });
    return this.waker();
  }

  async close() {
    await this.application?.stop();
    for (const socket of this.server.clients) socket.terminate();
    await new Promise((resolve) => { this.server.close(resolve); });
  }

  async step(step) {
    const [key] = Object.keys(step);
    await this[key === "client" ? "call" : `do_${key}`](step);
    this.steppedMs = Date.now();
  }

  do_stopped() {}

  async do_accept({ accept: { days = 0, ...reply }, connect = {} }) {
    const { fields } = await this.do_expect({ expect: { connect } });
    this.answer(this.last, {
      user_id: "1", session_id: "s", server_time_ms: Date.now() + days * DAY_MS, ping_ms: 25_000,
      limits: { body_chars_max: 4000, frame_bytes_max: 65_536 }, cursor: fields.cursor ?? "c0", retry: { base_ms: 20, cap_ms: 80 },
      ...this.filled(reply),
    });
  }

  async do_expect({ expect, as, path, after_ms: afterMs }) {
    const frame = await this.until(() => this.frames.shift(), "a frame");
    const waitedMs = Date.now() - this.steppedMs;
    const [command] = Object.keys(expect);
    assert.equal(frame.command, command, `the frame is ${frame.command} ${JSON.stringify(frame.fields)}`);
    const wrong = this.differs(expect[command], frame.fields, command);
    assert.ok(!wrong, wrong);
    if (path) assert.equal(frame.path, path);
    if (afterMs) assert.ok(waitedMs >= afterMs - 2, `it came after ${waitedMs} ms`);
    this.last = frame;
    if (as) this.named.set(as, frame);
    return frame;
  }

  do_reply({ reply, to }) {
    this.answer(to ? this.named.get(to) : this.last, this.filled(reply));
  }

  do_error({ error, to }) {
    const { socket, id } = to ? this.named.get(to) : this.last;
    socket.send(JSON.stringify({ id, error: { message: "refused by the row", temporary: false, retry_after_ms: 0, ...error } }));
  }

  answer({ socket, id, command }, fields) {
    socket.send(JSON.stringify({ id, [command]: fields }));
  }

  do_push({ push }) {
    this.socket.send(JSON.stringify({ push: this.filled(push) }));
  }

  do_raw({ raw, times = 1 }) {
    for (let at = 0; at < times; at += 1) this.socket.send(raw);
  }

  do_close({ close, reason = "" }) {
    this.socket.close(close, reason);
  }

  do_cut() {
    this.socket.terminate();
  }

  async do_quiet_ms({ quiet_ms: quietMs }) {
    const { connections } = this;
    await new Promise((resolve) => { setTimeout(resolve, quietMs); });
    assert.equal(this.connections, connections, "it has connected");
    assert.deepEqual(this.frames.map(({ command, fields }) => ({ [command]: fields })), [], "it has sent");
  }

  async do_stop() {
    await this.application.stop();
    this.events.clear();
  }

  async do_start() {
    await this.application.start();
  }

  async call({ client: call, as }) {
    const [name] = Object.keys(call);
    const id = await this.application.call(name, this.filled(call[name]), as);
    if (as && id) this.ids.set(as, id);
    // An application that does one thing after the other.
    await new Promise((resolve) => { setTimeout(resolve); });
  }

  async do_show({ show, as }) {
    const [kind] = Object.keys(show);
    const wanted = show[kind];
    const next = () => (this.events.get(kind) ?? []).shift();
    if (STRICT.includes(kind)) {
      const shown = await this.until(next, `event ${kind}`);
      const wrong = this.differs(wanted, shown, kind);
      return assert.ok(!wrong, `${wrong}: ${JSON.stringify(shown)}`);
    }
    const passed = [];
    const fits = () => {
      for (let event = next(); event; event = next()) {
        const flat = kind === "outgoing" ? { ...event, ...event.reply, ...event.problem, ...event.fields } : event;
        const isOf = !as || event.id === this.ids.get(as);
        if (isOf && !this.differs(wanted, flat, kind)) return true;
        passed.push(event);
      }
      return false;
    };
    return this.until(fits, () => `event ${kind}; there were ${JSON.stringify(passed)}`);
  }

  async do_result({ result, ok, error }) {
    const outcome = await Promise.race([
      this.application.result(result),
      new Promise((resolve) => { setTimeout(resolve, WAIT_MS, { problem: { message: "no answer" } }); }),
    ]);
    if (error !== undefined) {
      assert.ok(outcome.problem, `it came to ${JSON.stringify(outcome.value)}`);
      const code = outcome.problem.name === "Gone" ? 0 : outcome.problem.code;
      return assert.equal(code, error, outcome.problem.message);
    }
    assert.ok(!outcome.problem, outcome.problem?.message);
    const wrong = this.differs(ok, outcome.value, "result");
    return assert.ok(!wrong, wrong);
  }

  end() {
    for (const kind of STRICT) assert.deepEqual(this.events.get(kind) ?? [], [], `${kind} that no step wanted`);
    assert.deepEqual(this.frames.map(({ command, fields }) => ({ [command]: fields })), [], "frames that no step wanted");
  }

  /** Waits until `get` gives something. */
  async until(get, what) {
    const endMs = Date.now() + WAIT_MS;
    for (;;) {
      const got = get();
      if (got) return got;
      const leftMs = endMs - Date.now();
      if (leftMs <= 0) throw new Error(`there was no ${typeof what === "function" ? what() : what}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.waker = () => { clearTimeout(timer); resolve(); };
      });
    }
  }

  /** Where `found` is not as `wanted` has it, or nothing. Binds names. */
  differs(wanted, found, path) {
    if (typeof wanted === "string" && wanted.startsWith("$") && !wanted.startsWith("$url")) {
      if (found === undefined) return `${path} is not there`;
      if (!this.names.has(wanted)) this.names.set(wanted, found);
      return this.names.get(wanted) === found ? undefined : `${path} is ${found}, and ${wanted} was ${this.names.get(wanted)}`;
    }
    if (wanted === null) return found === undefined || found === null ? undefined : `${path} is there: ${JSON.stringify(found)}`;
    if (Array.isArray(wanted) && wanted.length !== found?.length) return `${path} has ${found?.length} elements`;
    if (typeof wanted === "object") {
      if (typeof found !== "object" || found === null) return `${path} is ${JSON.stringify(found)}`;
      for (const [name, value] of Object.entries(wanted)) {
        const wrong = this.differs(value, found[name], `${path}.${name}`);
        if (wrong) return wrong;
      }
      return undefined;
    }
    return wanted === found ? undefined : `${path} is ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`;
  }

  /** What the row says, with names in their place. */
  filled(said) {
    if (typeof said === "string" && said.startsWith("$url")) return this.url + said.slice(4);
    if (typeof said === "string" && said.startsWith("$")) return this.names.get(said);
    if (Array.isArray(said)) return said.map((each) => this.filled(each));
    if (typeof said !== "object" || said === null) return said;
    return Object.fromEntries(Object.entries(said).map(([name, value]) => [name, this.filled(value)]));
  }
}
