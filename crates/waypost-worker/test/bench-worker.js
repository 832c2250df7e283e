// Both Workers in a loop over the same requests, with KV and the queue taken out: what is left is the CPU time of a redirect.

import module from "./waypost.wasm";
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

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
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
