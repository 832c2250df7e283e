// Cloudflare's REST paths for KV, over the namespace that the Worker in workerd reads: with the limits that the platform has,
// its envelopes and codes, and faults when the test asks for them. Written from the vendor's documentation, not from our client.

import { createServer } from "node:http";

export const ACCOUNT = "0123456789abcdef0123456789abcdef";
export const NAMESPACE = "fedcba9876543210fedcba9876543210";
export const TOKEN = "kv-test-token";

const PAIRS_MAX = 10_000;
const KEY_BYTES_MAX = 512;
const VALUE_BYTES_MAX = 25 << 20;
const METADATA_BYTES_MAX = 1_024;
const BODY_BYTES_MAX = 100_000_000;
/** One write a second and key. What is sent a second apart may arrive a little closer. */
const WRITE_GAP_MS = 950;

class Refusal extends Error {
  constructor(status, code, message, headers = {}) {
    super(message);
    Object.assign(this, { status, code, headers });
  }
}

const utf8Bytes = (text) => Buffer.byteLength(text, "utf8");

function checkKey(key) {
  if (typeof key !== "string" || key === "" || key === "." || key === "..") throw new Refusal(400, 10030, `invalid key name ${JSON.stringify(key)}`);
  if (utf8Bytes(key) > KEY_BYTES_MAX) throw new Refusal(400, 10030, `key name over ${KEY_BYTES_MAX} bytes`);
}

function checkPair({ key, value, metadata, ...rest }) {
  checkKey(key);
  if (typeof value !== "string") throw new Refusal(400, 10026, "a value must be a string");
  if (utf8Bytes(value) > VALUE_BYTES_MAX) throw new Refusal(413, 10022, "value too large");
  if (metadata !== undefined && utf8Bytes(JSON.stringify(metadata)) > METADATA_BYTES_MAX) throw new Refusal(400, 10024, "metadata too large");
  // The platform takes base64 and expirations, too; nothing of ours sends them.
  for (const name of Object.keys(rest)) throw new Refusal(400, 10026, `unknown field ${name}`);
}

async function readBody(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Refusal(413, 10022, "request body too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseList(body, what) {
  let list;
  try {
    list = JSON.parse(body.toString());
  } catch {
    throw new Refusal(400, 10026, "the body is not JSON");
  }
  if (!Array.isArray(list) || list.length > PAIRS_MAX) throw new Refusal(400, 10026, `an array of at most ${PAIRS_MAX} ${what}`);
  return list;
}

/** A value with metadata comes as a form, one without as the body itself. */
async function parseValue(request, body) {
  if (!request.headers["content-type"]?.startsWith("multipart/form-data")) return { value: body.toString() };
  const form = await new Response(body, { headers: { "content-type": request.headers["content-type"] } }).formData();
  const part = form.get("value");
  const metadata = form.get("metadata");
  const value = typeof part === "string" ? part : await part.text();
  return { value, metadata: metadata === null ? undefined : JSON.parse(metadata) };
}

/** What is asked, as tests see it: `put`, `delete`, `get`, `bulk_put`, `bulk_delete` or `keys`. */
function operationOf(method, rest) {
  if (rest === "/bulk" && method === "PUT") return { kind: "bulk_put" };
  if ((rest === "/bulk/delete" && method === "POST") || (rest === "/bulk" && method === "DELETE")) return { kind: "bulk_delete" };
  if (rest === "/keys" && method === "GET") return { kind: "keys" };
  if (rest.startsWith("/values/")) {
    const kind = { PUT: "put", DELETE: "delete", GET: "get" }[method];
    if (kind) return { kind, key: decodeURIComponent(rest.slice("/values/".length)) };
  }
  throw new Refusal(405, 10405, "no such operation");
}

class KvApi {
  /** Every call: its kind, its keys, when it came, the fault it met, and whether it has been carried out or refused. */
  calls = [];
  /** How often a key was written too soon after its last write; a client that keeps to the limits never does. */
  tooSoon = 0;
  /** Says which fault a call meets: see `#faulty`. */
  faultOf = () => undefined;
  /** Called with a call and its body before it is carried out; where it gives a promise, that is waited for. */
  before = () => undefined;
  /** How far the clock has been moved, in milliseconds. */
  skippedMs = 0;
  #worker;
  #links;
  #written = new Map();
  #held = new Set();

  constructor(worker) {
    this.#worker = worker;
    this.#links = worker.links;
  }

  /** Ends every call that hangs. */
  release() {
    for (const socket of this.#held) socket.destroy();
    this.#held.clear();
  }

  writes() {
    return this.calls.filter(({ kind }) => kind !== "keys" && kind !== "get");
  }

  async answer(request, response) {
    try {
      const { result, info, isLost } = await this.#carryOut(request);
      if (isLost) return void request.socket.destroy();
      if (typeof result === "function") return result(response);
      send(response, 200, { result, success: true, errors: [], messages: [], ...(info && { result_info: info }) });
    } catch (error) {
      if (error === HELD) return;
      const { status = 500, code = 10001, headers } = error;
      if (!(error instanceof Refusal)) console.log(error);
      send(response, status, { result: null, success: false, errors: [{ code, message: error.message }], messages: [] }, headers);
    }
  }

  async #carryOut(request) {
    const url = new URL(request.url, "http://localhost");
    const body = await readBody(request);
    const base = /^\/client\/v4\/accounts\/([^/]+)\/storage\/kv\/namespaces\/([^/]+)(\/.*)$/.exec(url.pathname);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) throw new Refusal(401, 10000, "Authentication error");
    if (!base || base[1] !== ACCOUNT) throw new Refusal(400, 7003, `Could not route to ${url.pathname}, perhaps your object identifier is invalid?`);
    if (base[2] !== NAMESPACE) throw new Refusal(404, 10013, "namespace not found");
    const call = { ...operationOf(request.method, base[3]), at: performance.now() };
    if (call.kind === "bulk_put") call.pairs = parseList(body, "pairs");
    if (call.kind === "bulk_delete") call.keys = parseList(body, "keys");
    if (call.kind === "put") call.pairs = [{ key: call.key, ...(await parseValue(request, body)) }];
    call.keys ??= call.pairs?.map(({ key }) => key) ?? (call.key === undefined ? [] : [call.key]);
    this.calls.push(call);
    call.fault = this.faultOf(call);
    await this.before(call);
    try {
      return await this.#faulty(call, call.fault, request, url);
    } finally {
      call.isDone = true;
    }
  }

  // A fault is `hang`, `lost` (done, and nobody hears of it), `reset` (not done either), `html` (a body that is no JSON), or
  // one of { status, code, message, retryAfter } and { refused: keys }, which are left undone while the call succeeds.
  async #faulty(call, fault, request, url) {
    if (fault === "hang") {
      this.#held.add(request.socket);
      throw HELD;
    }
    if (fault === "reset") return { isLost: true };
    if (fault === "html") return { result: (response) => response.writeHead(200, { "content-type": "text/html" }).end("<h1>Just a moment...</h1>") };
    if (fault?.status) {
      const headers = fault.retryAfter === undefined ? {} : { "retry-after": String(fault.retryAfter) };
      throw new Refusal(fault.status, fault.code ?? 10001, fault.message ?? "a fault that the test asked for", headers);
    }
    const done = await this.#perform(call, fault?.refused ?? [], url);
    return fault === "lost" ? { isLost: true } : done;
  }

  async #perform(call, refused, url) {
    switch (call.kind) {
      case "get": {
        checkKey(call.key);
        const value = await this.#links.get(call.key);
        if (value === null) throw new Refusal(404, 10009, "get: 'key not found'");
        return { result: (response) => response.writeHead(200, { "content-type": "application/octet-stream" }).end(value) };
      }
      case "keys":
        return this.#list(url.searchParams);
      case "put":
        checkPair(call.pairs[0]);
        if (this.#isTooSoon(call.key)) throw new Refusal(429, 971, "one write a second for one key");
        await this.#write(call.pairs);
        return { result: {} };
      case "delete":
        checkKey(call.key);
        if (this.#isTooSoon(call.key)) throw new Refusal(429, 971, "one write a second for one key");
        await this.#write([{ key: call.key }]);
        return { result: {} };
      default:
        return this.#bulk(call, refused);
    }
  }

  // One impossible pair refuses the whole call. What is written too soon is left undone and named.
  async #bulk(call, refused) {
    if (call.pairs) call.pairs.forEach(checkPair);
    else call.keys.forEach(checkKey);
    const unsuccessful = call.keys.filter((key) => refused.includes(key) || this.#isTooSoon(key));
    const left = new Set(unsuccessful);
    const pairs = call.pairs ?? call.keys.map((key) => ({ key }));
    await this.#write(pairs.filter(({ key }) => !left.has(key)));
    return { result: { successful_key_count: call.keys.length - unsuccessful.length, unsuccessful_keys: unsuccessful } };
  }

  // From inside workerd, where a write costs a fraction of what it does from here. A pair without a value is a delete.
  async #write(pairs) {
    const response = await this.#worker.ask("/_test/write", { method: "POST", body: JSON.stringify(pairs) });
    if (response.status !== 204) throw new Error(`the namespace answered ${response.status}: ${await response.text()}`);
  }

  #isTooSoon(key) {
    const now = performance.now() + this.skippedMs;
    const isTooSoon = now - (this.#written.get(key) ?? -Infinity) < WRITE_GAP_MS;
    if (isTooSoon) this.tooSoon++;
    else this.#written.set(key, now);
    return isTooSoon;
  }

  async #list(query) {
    const limit = Number(query.get("limit") ?? 1_000);
    if (!(limit >= 10 && limit <= 1_000)) throw new Refusal(400, 10026, "limit: from 10 to 1000");
    const listed = await this.#links.list({ limit, prefix: query.get("prefix") ?? undefined, cursor: query.get("cursor") || undefined });
    const info = { count: listed.keys.length, cursor: listed.list_complete ? "" : listed.cursor };
    return { result: listed.keys.map(({ name, expiration, metadata }) => ({ name, expiration, metadata })), info };
  }
}

const HELD = new Error("the call hangs");

function send(response, status, body, headers = {}) {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** Serves the namespace of a Worker that runs as `test-worker.mjs`. `url` is what stands for `https://api.cloudflare.com/client/v4`. */
export async function startKvApi(worker) {
  const api = new KvApi(worker);
  const server = createServer((request, response) => void api.answer(request, response));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  api.url = `http://127.0.0.1:${server.address().port}/client/v4`;
  api.stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return api;
}
