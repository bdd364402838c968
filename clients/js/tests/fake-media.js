// A server of media and posts as PROTOCOL has them, in memory, with faults where a test wants them.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

/**
 * `did` is a line for each request, `METHOD PATH STATUS`, without its query. `faults` is consulted before each: a function of
 * `(request, did)` that gives a status to answer, "cut" to break the connection, or nothing.
 */
export async function startFake(t, { faults = () => undefined, readyAfter = 0 } = {}) {
  const did = [];
  const media = new Map();
  const uploads = new Map();
  let nextId = 100;
  const state = { faults, did, media, uploads, asked: [], posts: [], posters: [] };
  const describe = (bytes, name, type) => {
    const hash = createHash("sha256").update(bytes).digest("hex");
    const known = [...media.values()].find((each) => each.hash === hash);
    if (known) return known;
    const media_id = String(nextId += 1);
    const made = {
      hash, media_id, kind: type.startsWith("image/") ? "image" : "file", content_type: type, name, bytes: bytes.length,
      urls: { original: `/v1/media/${media_id}/original?expires=${Math.floor(Date.now() / 1000) + 3600}&signature=s` }, expires_ms: Date.now() + 3_600_000,
    };
    media.set(media_id, made);
    return made;
  };
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://x");
    const line = `${request.method} ${pathname}`;
    const answer = (status, fields, headers = {}) => {
      did.push(`${line} ${status}`);
      response.writeHead(status, { "content-type": "application/json", "access-control-allow-origin": "*", ...headers });
      response.end(fields === undefined || request.method === "HEAD" ? "" : JSON.stringify(fields));
    };
    const chunks = [];
    const fault = state.faults(request, did);
    let cut = false;
    request.on("error", () => { cut = true; });
    if (fault === "cut") {
      did.push(`${line} cut`);
      return request.socket.destroy();
    }
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      cut = true;
    }
    const body = Buffer.concat(chunks);
    if (fault) return answer(fault, { code: fault === 401 ? 109 : 107, detail: `fault ${fault}` }, fault === 429 ? { "retry-after": "0" } : {});
    const metadata = request.headers["upload-metadata"] ?? "";
    const poster = searchParams.get("poster") ?? Buffer.from(/poster (\S+?)(,|$)/u.exec(metadata)?.[1] ?? "", "base64").toString();
    if (poster) state.posters.push(poster);
    if (line === "POST /v1/media") return answer(201, describe(body, searchParams.get("name") ?? "", request.headers["content-type"]));
    if (line === "POST /v1/media/uploads") {
      const media_id = String(nextId += 1);
      const name = Buffer.from(/filename (\S+?)(,|$)/u.exec(metadata)[1], "base64").toString();
      uploads.set(media_id, { name, length: Number(request.headers["upload-length"]), bytes: Buffer.alloc(0), looks: 0 });
      return answer(201, undefined, { location: `/v1/media/uploads/${media_id}` });
    }
    const id = /^\/v1\/media\/(?:uploads\/)?(\d+)$/u.exec(pathname)?.[1];
    const upload = uploads.get(id);
    if (pathname.startsWith("/v1/media/uploads/")) {
      if (!upload) return answer(404, { code: 102, detail: "no such upload" });
      if (request.method === "HEAD") return answer(200, undefined, { "upload-offset": String(upload.bytes.length), "upload-length": String(upload.length) });
      if (request.method === "DELETE") return uploads.delete(id), answer(204);
      if (Number(request.headers["upload-offset"]) !== upload.bytes.length) return answer(409, { code: 122, detail: "another offset" });
      upload.bytes = Buffer.concat([upload.bytes, body]);
      return cut ? undefined : answer(204, undefined, { "upload-offset": String(upload.bytes.length) });
    }
    if (id && request.method === "GET") {
      if (upload && (upload.bytes.length < upload.length || (upload.looks += 1) <= readyAfter)) return answer(409, { code: 122, detail: "not ready" });
      const found = upload ? describe(upload.bytes, upload.name, "application/octet-stream") : media.get(id);
      return found ? answer(200, found) : answer(404, { code: 102 });
    }
    if (line === "POST /v1/media/urls") {
      const { channel_id, seqs } = JSON.parse(body);
      state.asked.push({ channel_id, seqs });
      const found = Object.fromEntries(seqs.map((seq) => [String(1000 + seq), { original: `/v1/media/${1000 + seq}/original?round=${state.asked.length}` }]));
      return answer(200, { media: found, expires_ms: state.expiresMs ?? Date.now() + 3_600_000 });
    }
    state.posts.push({ line: `${line}${request.url.slice(pathname.length)}`, body: body.length ? JSON.parse(body) : undefined });
    return answer(200, state.answer?.(line) ?? {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  return Object.assign(state, { url: `http://127.0.0.1:${server.address().port}` });
}
