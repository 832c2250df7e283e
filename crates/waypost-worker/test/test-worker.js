// The Worker as the tests run it: the shipped handler and engine, with the clock, the faults of KV, and the engine alone
// under the control of the test. Nothing of this is part of the product.

import module from "./waypost.wasm";
import { Engine, Operation } from "../js/engine.js";
import { Worker } from "../js/handler.js";

let clock = null;
const worker = new Worker(module, () => clock ?? Date.now());

const direct = new Engine(module);
direct.run(Operation.configure, JSON.stringify({ clicks: "queue", nonce: "test", edge_id: "cf-test" }));

const never = new Promise(() => {});

/** Bindings with a broken KV, made once for each way of being broken, since the Worker is configured anew for new bindings. */
const broken = new Map();
const KV_FAULTS = {
  throw: () => Promise.reject(new Error("KV GET failed: 500 Internal Server Error")),
  hang: () => never,
  undefined: () => Promise.resolve(undefined),
};

function bindings(env, fault) {
  if (!fault) return env;
  if (!broken.has(fault)) {
    broken.set(fault, { ...env, LINKS: { get: KV_FAULTS[fault], put: KV_FAULTS[fault], list: KV_FAULTS[fault] } });
  }
  return broken.get(fault);
}

async function followAll(request) {
  const answers = [];
  for (const { value, base64, facts, now } of await request.json()) {
    const bytes = base64 ? Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)) : new TextEncoder().encode(value);
    const answer = direct.follow(bytes.buffer, facts, now);
    answers.push({ ...answer, event: answer.event && JSON.parse(answer.event) });
  }
  return Response.json(answers);
}

export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname === "/_test/follow") return followAll(request);
    const now = request.headers.get("x-test-now");
    clock = now === null ? null : Number(now);
    return worker.fetch(request, bindings(env, request.headers.get("x-test-kv")), ctx);
  },
  queue: (batch, env) => worker.queue(batch, env),
};
