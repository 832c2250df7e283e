// What Cloudflare starts.

import module from "./waypost.wasm";
import { Worker } from "./handler.js";

const worker = new Worker(module, () => Date.now());

export default {
  fetch: (request, env, ctx) => worker.fetch(request, env, ctx),
  queue: (batch, env) => worker.queue(batch, env),
};
