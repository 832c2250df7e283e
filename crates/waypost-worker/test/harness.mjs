// What the tests share: a tiny runner, the Worker in workerd, and a receiver of webhooks with an implementation of the
// signature of its own.

import { createHmac, timingSafeEqual } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare } from "miniflare";

/** Where the build lies: waypost.wasm and the bundles. */
export const BUILD = process.env.WAYPOST_WORKER_BUILD;
export const ABSENT = "\x01";
export const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/** Room that the tests may take, in bytes: the program alone sets some of it aside for clicks. */
const SCRATCH_BYTES = 4 * 2 ** 30;

/** Whether there is a place in memory for files, with room enough. */
function hasMemoryPlace() {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    return bavail * bsize >= SCRATCH_BYTES;
  } catch {
    return false;
  }
}

// The runtime's KV waits for the disk at every write, as does what else the tests start. Memory will do for them. Whatever is left
// there goes at the end.
const scratch = mkdtempSync(join(hasMemoryPlace() ? "/dev/shm" : tmpdir(), "waypost-worker-"));
process.env.TMPDIR = scratch;
process.on("exit", () => rmSync(scratch, { recursive: true, force: true, maxRetries: 3 }));

/** Tests that run at once: most of them wait for something, and each has a runtime of its own. */
const LANES = 2;

const tests = [];

export function test(name, run) {
  tests.push({ name, run });
}

/** A test that waits for a long time and does little: it runs beside the others, from the start on. */
export function longTest(name, run) {
  tests.push({ name, run, isLong: true });
}

/** Runs a test and says how it went. Gives whether it passed. */
async function runTest({ name, run }) {
  const startedAt = performance.now();
  try {
    const note = await run();
    console.log(`test ${name} ... ok (${Math.round(performance.now() - startedAt)} ms${note ? `, ${note}` : ""})`);
    return true;
  } catch (error) {
    console.log(`test ${name} ... FAILED\n${error.stack}`);
    return false;
  }
}

export async function runTests() {
  const filter = process.argv[2] ?? "";
  const chosen = tests.filter((test) => test.name.includes(filter));
  const waiting = chosen.filter(({ isLong }) => !isLong);
  const passed = [];
  const lane = async () => {
    while (waiting.length > 0) passed.push(await runTest(waiting.shift()));
  };
  const long = chosen.filter(({ isLong }) => isLong).map(async (test) => passed.push(await runTest(test)));
  await Promise.all([...long, ...Array.from({ length: LANES }, lane)]);
  const count = chosen.length;
  const failed = passed.filter((isPassed) => !isPassed).length;
  console.log(`test result: ${failed ? "FAILED" : "ok"}. ${count - failed} passed; ${failed} failed; 0 ignored`);
  return failed;
}

/** Starts a bundle in workerd. `options` are Miniflare's. */
export async function start(bundle, options = {}) {
  const logs = [];
  const contents = (name) => readFileSync(join(BUILD, name));
  const miniflare = new Miniflare({
    modules: [
      { type: "ESModule", path: bundle, contents: contents(bundle).toString() },
      { type: "CompiledWasm", path: "waypost.wasm", contents: contents("waypost.wasm") },
    ],
    compatibilityDate: "2026-04-01",
    kvNamespaces: ["LINKS"],
    handleRuntimeStdio: (out, err) => {
      for (const stream of [out, err]) stream.on("data", (data) => logs.push(data.toString()));
    },
    ...options,
  });
  await miniflare.ready;
  const links = await miniflare.getKVNamespace("LINKS");
  return {
    miniflare,
    links,
    logs,
    stop: () => miniflare.dispose(),
    /** Asks like a visitor whose client follows no redirect. */
    ask: (path, init = {}) => {
      const url = path.startsWith("http") ? path : `http://go.example${path}`;
      const headers = { "cf-connecting-ip": "192.0.2.77", "user-agent": "test", ...init.headers };
      return miniflare.dispatchFetch(url, { redirect: "manual", ...init, headers });
    },
  };
}

/** Waits until a condition holds. */
export async function until(what, holds, withinMs = 15_000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Whether a message is signed as the Standard Webhooks specification says. */
function isSigned(headers, body) {
  const key = Buffer.from(SECRET.slice("whsec_".length), "base64");
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  if (!id || !signatures || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  return signatures.split(" ").some((signature) => {
    const [version, text] = signature.split(",");
    const given = Buffer.from(text ?? "", "base64");
    return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

/**
 * A control plane that takes clicks and passwords. `answer(attempt, events)` gives a status, `hang` or `drop`; `unlock(attempt)`
 * gives what is answered, or a status.
 */
export async function startReceiver() {
  const receiver = { requests: [], taken: new Map(), unsigned: 0, answer: () => 200, unlock: () => ({ outcome: "refused" }) };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (!isSigned(request.headers, body)) {
      receiver.unsigned++;
      response.writeHead(401).end();
      return;
    }
    const parsed = JSON.parse(body.toString());
    if (request.url === "/webhooks/unlock") {
      const answer = receiver.unlock(parsed);
      const status = typeof answer === "number" ? answer : 200;
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
      return;
    }
    const events = Array.isArray(parsed) ? parsed : [parsed];
    receiver.requests.push({ id: request.headers["webhook-id"], events });
    const status = receiver.answer(receiver.requests.length, events);
    if (status === "hang") return;
    if (status === "drop") return void request.socket.destroy();
    if (status < 300) for (const event of events) receiver.taken.set(event.event_id, event);
    response.writeHead(status, { "content-type": "application/json" }).end("{}");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  receiver.url = `http://127.0.0.1:${server.address().port}`;
  receiver.stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return receiver;
}

export function assert(holds, message) {
  if (!holds) throw new Error(message);
}

export function assertEqual(found, expected, what) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${what}: ${left}, expected ${right}`);
}
