// The Worker as the tests run it: the shipped handler and engine, with the clock, the faults of KV, and the engine alone
// under the control of the test; and caches of KV at places, which the runtime's own KV does not have. Nothing of this is part
// of the product.

import module from "./waypost.wasm";
import { Engine, Operation } from "../js/engine.js";
import { Worker } from "../js/handler.js";

let clock = null;
const now = () => clock ?? Date.now();
const worker = new Worker(module, now);

const direct = new Engine(module);
direct.configure(() => JSON.stringify({ clicks: "queue", nonce: "test", edge_id: "cf-test" }));

const never = new Promise(() => {});

/** Bindings with a broken KV, made once for each way of being broken, since the Worker is configured anew for new bindings. */
const broken = new Map();
const KV_FAULTS = {
  throw: () => Promise.reject(new Error("KV GET failed: 500 Internal Server Error")),
  hang: () => never,
  undefined: () => Promise.resolve(undefined),
};

/** Makes the engine trap, as a bug of it would: it is asked for more room than there can be. */
function trap(engine) {
  try {
    engine.run(Operation.problem, { length: 700_000_000 });
  } catch {
    return;
  }
  throw new Error("the engine did not trap");
}

/** The engine traps under another request while KV is read for this one; or under this one itself, once or for good. */
function trapping(env, fault) {
  const get = async (key, options) => {
    const { engine } = worker;
    if (fault === "trap") trap(engine);
    let traps = fault === "trap-once" ? 1 : fault === "trap-always" ? 1_000 : 0;
    engine.follow = (...facts) => {
      if (traps-- > 0) {
        trap(engine);
        throw new WebAssembly.RuntimeError("unreachable");
      }
      delete engine.follow;
      return engine.follow(...facts);
    };
    return env.LINKS.get(key, options);
  };
  return { ...env, LINKS: { get } };
}

function bindings(env, fault) {
  delete worker.engine.follow;
  if (!fault) return env;
  if (fault.startsWith("trap")) {
    if (!broken.has(fault)) broken.set(fault, trapping(env, fault));
    return broken.get(fault);
  }
  if (!broken.has(fault)) {
    broken.set(fault, { ...env, LINKS: { get: KV_FAULTS[fault], put: KV_FAULTS[fault], list: KV_FAULTS[fault] } });
  }
  return broken.get(fault);
}

/** A namespace as one place sees it: what it has read, and that there was nothing, it keeps for `cacheTtl`. */
class CachedAtPlace {
  #links;
  #kept = new Map();

  constructor(links) {
    this.#links = links;
  }

  async get(key, options) {
    const kept = this.#kept.get(key);
    if (kept && now() < kept.until) return kept.value;
    const value = await this.#links.get(key, options);
    this.#kept.set(key, { value, until: now() + options.cacheTtl * 1_000 });
    return value;
  }

  put(key, ...rest) {
    return this.#links.put(key, ...rest);
  }

  list(options) {
    return this.#links.list(options);
  }
}

/** Bindings as places see them, each with a cache of its own. */
const places = new Map();

function bindingsAt(place, env) {
  if (!places.has(place)) places.set(place, { ...env, LINKS: new CachedAtPlace(env.LINKS) });
  return places.get(place);
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

/** Writes many values at once: from outside each would be a request of its own. A pair without a value is deleted. */
async function writeAll(request, env) {
  const pairs = await request.json();
  const write = ({ key, value, ...options }) => (value === undefined ? env.LINKS.delete(key) : env.LINKS.put(key, value, options));
  await Promise.all(pairs.map(write));
  return new Response(null, { status: 204 });
}

export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (pathname === "/_test/follow") return followAll(request);
    if (pathname === "/_test/write") return writeAll(request, env);
    const told = request.headers.get("x-test-now");
    clock = told === null ? null : Number(told);
    const place = request.headers.get("x-test-place");
    return worker.fetch(request, place ? bindingsAt(place, env) : bindings(env, request.headers.get("x-test-kv")), ctx);
  },
  queue: (batch, env) => worker.queue(batch, env),
};
