// Measures CPU time of a redirect in workerd: this Worker against the same one in plain JavaScript, and the cold start. CPU time is
// that of the whole workerd process, so garbage collection and compilation count; rounds alternate.

import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { join } from "node:path";
import { BUILD, start } from "./harness.mjs";
import { requests } from "./bench-load.mjs";

const COUNT = Number(process.env.WAYPOST_BENCH_COUNT ?? 25_000);
const ROUNDS = Number(process.env.WAYPOST_BENCH_ROUNDS ?? 5);
const TICKS_PER_SECOND = 100;

/** The runtime's processes among this one's descendants. */
function runtimes() {
  const stats = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const text = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [, comm, rest] = /^\d+ \((.*)\) (.*)$/s.exec(text);
      const fields = rest.split(" ");
      return [{ pid, comm, parent: fields[1], ticks: Number(fields[11]) + Number(fields[12]) }];
    } catch {
      return [];
    }
  });
  return stats.filter(({ comm, parent }) => comm.startsWith("workerd") && parent === String(process.pid));
}

const cpuMicros = () => runtimes().reduce((sum, { ticks }) => sum + ticks, 0) * (1e6 / TICKS_PER_SECOND);

async function loop(worker, variant, count) {
  const before = cpuMicros();
  const response = await worker.ask(`/_bench?variant=${variant}&count=${count}`);
  const { redirects } = await response.json();
  if (redirects !== count) throw new Error(`${variant}: ${redirects} of ${count} were redirects`);
  return (cpuMicros() - before) / count;
}

async function overHttp(worker, variant, count) {
  const url = await worker.miniflare.ready;
  const before = cpuMicros();
  let next = 0;
  const client = async () => {
    while (next < count) {
      const { path, headers } = requests[next++ % requests.length];
      const response = await fetch(new URL(path, url), { redirect: "manual", headers: { ...headers, "x-variant": variant } });
      if (response.status !== 302) throw new Error(`${variant}: ${response.status}`);
      await response.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: 8 }, client));
  return (cpuMicros() - before) / count;
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

async function compare(worker, measure, variants, count, rounds) {
  const found = Object.fromEntries(variants.map((variant) => [variant, []]));
  for (const variant of variants) await measure(worker, variant, Math.min(count, 5_000));
  for (let round = 0; round < rounds; round++) {
    for (const variant of variants) found[variant].push(await measure(worker, variant, count));
  }
  const anchor = median(found[variants[0]]);
  for (const variant of variants) {
    const micros = median(found[variant]);
    console.log(`  ${variant.padEnd(22)} ${micros.toFixed(2).padStart(7)} us  ${(micros / anchor).toFixed(2)} x  (${found[variant].map((one) => one.toFixed(1)).join(" ")})`);
  }
}

/**
 * The cold start inside workerd, module compiled and first redirect answered. A running isolate gets the module's bytes, each time with
 * a name in them that V8 has not compiled yet; the time is that of the whole request, less the same request without the work. What
 * it leaves out is what the platform does before it runs a Worker: fetching the code, starting an isolate, 17 KB of JavaScript.
 */
async function coldStart(worker) {
  const body = readFileSync(join(BUILD, "waypost.wasm"));
  const times = { bytes: [], module: [], redirect: [] };
  for (let round = 0; round < ROUNDS + 4; round++) {
    for (const upTo of Object.keys(times)) {
      const startedAt = performance.now();
      const response = await worker.ask(`/_cold?up_to=${upTo}&count=1`, { method: "POST", body });
      const { redirects } = await response.json();
      times[upTo].push(performance.now() - startedAt);
      if (upTo === "redirect" && redirects !== 1) throw new Error("the first request of a new module was no redirect");
    }
  }
  const [without, compile, whole] = Object.values(times).map(median);
  const ms = (time) => `${(time - without).toFixed(1)} ms`;
  console.log(`cold start in workerd, module compiled and first redirect: ${ms(whole)}, of it compiling ${ms(compile)} (V8 compiles functions when first called)`);
}

/** A Worker's first request over its second, with a start of the runtime before it: scripts, KV and connections are cold as well. */
async function firstRequest() {
  const times = [];
  for (let round = 0; round < 5; round++) {
    const worker = await start("worker.mjs");
    await worker.links.put("a", "https://example.com/");
    const startedAt = performance.now();
    await worker.ask("/a");
    const first = performance.now() - startedAt;
    const againAt = performance.now();
    await worker.ask("/a");
    times.push(first - (performance.now() - againAt));
    await worker.stop();
  }
  console.log(`first request in workerd over the second, with KV and connections of the simulator: ${median(times).toFixed(1)} ms`);
}

const bytes = ["waypost.wasm", "worker.mjs"].map((name) => gzipSync(readFileSync(join(BUILD, name)), { level: 9 }).length);
console.log(`compressed: ${(bytes.reduce((sum, one) => sum + one) / 1e3).toFixed(1)} KB (gzip)`);
await firstRequest();
const worker = await start("bench-worker.mjs", { unsafeEvalBinding: "UNSAFE_EVAL" });
await coldStart(worker);
console.log(`CPU a redirect inside the isolate, ${ROUNDS} rounds of ${COUNT}:`);
await compare(worker, loop, ["plain", "wasm", "wasm-uncached"], COUNT, ROUNDS);
console.log("the same with the click made:");
await compare(worker, loop, ["plain-clicks", "wasm-clicks", "wasm-uncached-clicks"], COUNT, ROUNDS);
if (process.env.WAYPOST_BENCH_HTTP !== "0") {
  const count = Math.ceil(COUNT / 5);
  console.log(`CPU a redirect over HTTP with the click made, ${ROUNDS} rounds of ${count}:`);
  await compare(worker, overHttp, ["plain-clicks", "wasm-clicks", "wasm-uncached-clicks"], count, ROUNDS);
}
await worker.stop();
