// Both Workers in a loop over the same requests, with KV and the queue taken out: what is left is the CPU time of a redirect.

import module from "./waypost.wasm";
import { Engine, Operation } from "../js/engine.js";
import { Worker } from "../js/handler.js";
import { handle } from "./plain.js";
import { links, requests } from "./bench-load.mjs";

const worker = new Worker(module, () => Date.now());
const encoder = new TextEncoder();
const texts = new Map(links.map(([slug, text]) => [slug, text]));
const buffers = new Map(links.map(([slug, text]) => [slug, encoder.encode(text).buffer]));

const CLICKS = { send: () => Promise.resolve() };
const kv = (values) => ({ get: (key) => Promise.resolve(values.get(key) ?? null) });

const variants = {};
for (const clicks of [false, true]) {
  const more = clicks ? { CLICKS } : {};
  const suffix = clicks ? "-clicks" : "";
  const plain = { LINKS: kv(texts), ...more };
  const wasm = { LINKS: kv(buffers), ...more };
  const uncached = { LINKS: kv(buffers), RECORDS_KEPT: "0", ...more };
  variants[`plain${suffix}`] = (request, ctx) => handle(request, plain, ctx);
  variants[`wasm${suffix}`] = (request, ctx) => worker.fetch(request, wasm, ctx);
  variants[`wasm-uncached${suffix}`] = (request, ctx) => worker.fetch(request, uncached, ctx);
}

/** Bytes of a module that the runtime has not seen: a section of its own that means nothing, with a name that is new. */
function unseen(bytes) {
  const name = encoder.encode(crypto.randomUUID());
  const section = new Uint8Array([0, name.length + 1, name.length, ...name]);
  const all = new Uint8Array(bytes.length + section.length);
  all.set(bytes);
  all.set(section, bytes.length);
  return all;
}

const COLD_FACTS = ["GET", "", "a", "/a", ...Array(10).fill("\x01")].join("\0");
const COLD_VALUE = encoder.encode('{"destination_url":"https://example.com/"}').buffer;

/** Starts cold `count` times: as far as having the bytes, compiling the module, or answering the first redirect. */
async function startCold(request, env, url) {
  const bytes = new Uint8Array(await request.arrayBuffer());
  const upTo = url.searchParams.get("up_to");
  let redirects = 0;
  for (let left = Number(url.searchParams.get("count")); left > 0; left--) {
    const copy = unseen(bytes);
    if (upTo === "bytes") continue;
    const compiled = env.UNSAFE_EVAL.newWasmModule(copy);
    if (upTo === "module") continue;
    const engine = new Engine(compiled);
    engine.run(Operation.configure, "{}");
    if (engine.follow(COLD_VALUE, COLD_FACTS, Date.now()).text === "https://example.com/") redirects++;
  }
  return Response.json({ redirects });
}

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname === "/_cold") return startCold(request, env, url);
    const run = variants[url.searchParams.get("variant")];
    // One redirect over HTTP, to measure with all that the runtime adds.
    if (url.pathname !== "/_bench") return variants[request.headers.get("x-variant")](request, ctx);
    const count = Number(url.searchParams.get("count"));
    const made = requests.map(({ path, headers }) => new Request(`https://go.example${path}`, { headers, redirect: "manual" }));
    const loopCtx = { waitUntil: () => {} };
    let redirects = 0;
    for (let index = 0; index < count; index++) {
      const response = await run(made[index % made.length], loopCtx);
      if (response.status === 302 || response.status === 301) redirects++;
    }
    return Response.json({ count, redirects });
  },
};
