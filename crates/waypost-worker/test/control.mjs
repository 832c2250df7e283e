// The real program as a server with a data folder of its own, and what may stand between a Worker and it.

import { execFile, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as send } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./harness.mjs";

const WAYPOST = process.env.WAYPOST_BINARY;
const START_MS_MAX = 30_000;

// Whatever happens to the tests, nothing that they started stays.
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

function environment(more) {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("WAYPOST_"));
  return { ...Object.fromEntries(own), ...more };
}

let clockLibrary;

/** Settings of a program whose wall clock is ahead by so many seconds; it is not waited for. */
export function clockAhead(seconds) {
  if (!clockLibrary) {
    const folder = mkdtempSync(join(tmpdir(), "waypost-clock-"));
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    clockLibrary = join(folder, "clock.so");
    execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", clockLibrary, fileURLToPath(new URL("clock.c", import.meta.url))]);
  }
  return { LD_PRELOAD: clockLibrary, WAYPOST_TEST_CLOCK_AHEAD_S: String(seconds) };
}

class Control {
  /** What it printed since the first start. */
  output = "";
  #folder = mkdtempSync(join(tmpdir(), "waypost-data-"));
  #settings;
  #child;

  constructor(settings) {
    this.#settings = settings;
  }

  /** Starts, with these settings on top where given, and waits until it is ready. */
  async start(more = {}) {
    Object.assign(this.#settings, more);
    const child = spawn(WAYPOST, ["serve", "--data-dir", this.#folder, "--listen", "127.0.0.1:0"], {
      env: environment(this.#settings),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    running.add(child);
    let isEnded = false;
    // Once everything that it printed has been read.
    child.ended = new Promise((resolve) => child.on("close", (code, signal) => resolve(code ?? signal)));
    void child.ended.then(() => (isEnded = true));
    child.on("exit", () => running.delete(child));
    const before = this.output.length;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (this.output += data));
    const address = () => /http:\/\/(127\.0\.0\.1:\d+)/.exec(this.output.slice(before))?.[1];
    const wait = async (what, holds) => {
      const outcome = await until(what, async () => isEnded || (await holds()), START_MS_MAX);
      if (isEnded) throw new Error(`the server ended:\n${this.output.slice(before)}`);
      return outcome;
    };
    this.url = `http://${await wait("the server's address", address)}`;
    await wait("the server to be ready", async () => (await this.ask("GET", "/readyz").catch(() => ({}))).status === 200);
  }

  /** Ends it as an operator does (`SIGTERM`) or as a crash does (`SIGKILL`). Gives its exit code or signal. */
  async end(signal = "SIGTERM") {
    this.#child.kill(signal);
    return this.#child.ended;
  }

  /** Ends it and removes its data. */
  async stop() {
    await this.end("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Writes a file that goes with the data. Gives its path. */
  file(name, text) {
    const path = join(this.#folder, name);
    writeFileSync(path, text);
    return path;
  }

  /** Runs another of the program's commands on the same data. */
  run(...args) {
    return new Promise((resolve) => {
      execFile(WAYPOST, args, { env: environment({ WAYPOST_DATA_DIR: this.#folder }), maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
        resolve({ status: error ? error.code : 0, stdout, stderr }),
      );
    });
  }

  /** Asks with any headers, also `host`, and follows nothing. */
  ask(method, path, { headers = {}, body } = {}) {
    return new Promise((resolve, reject) => {
      const asked = send(new URL(path, this.url), { method, headers }, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() }));
      });
      asked.on("error", reject);
      asked.end(body);
    });
  }

  /** Calls the API; anything but success is an error. */
  async call(method, path, body) {
    const headers = { authorization: `Bearer ${this.key}`, ...(body && { "content-type": "application/json" }) };
    const { status, text } = await this.ask(method, path, { headers, body: body && JSON.stringify(body) });
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }
}

/** Starts the program with these settings, and makes an API key. */
export async function startControl(settings) {
  const control = new Control({ WAYPOST_API_RATE: "off", WAYPOST_THREADS: "1", WAYPOST_LOG: "info", ...settings });
  try {
    await control.start();
    const { status, stdout, stderr } = await control.run("key", "create");
    if (status !== 0) throw new Error(`no key: ${stderr}`);
    control.key = stdout.trim();
    return control;
  } catch (error) {
    await control.stop();
    throw error;
  }
}

/**
 * A proxy before a control plane that may be away, or change its address. `fault(number, request)` says what becomes of a request:
 * `lost` (passed on, and the answer thrown away), `reset` (not passed on), a status (answered here), or a promise of one of those. `control()` is asked for each request.
 */
export async function startProxy(control) {
  const proxy = { requests: 0, answers: [], fault: () => undefined };
  const pass = async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const fault = await proxy.fault(++proxy.requests, { path: request.url, headers: request.headers, body });
    if (fault === "reset") return void request.socket.destroy();
    if (typeof fault === "number") return void response.writeHead(fault).end();
    const headers = { ...request.headers, connection: "close" };
    const answer = await control().ask(request.method, request.url, { headers, body });
    proxy.answers.push(answer);
    if (fault === "lost") return void request.socket.destroy();
    response.writeHead(answer.status, answer.headers).end(answer.text);
  };
  // Whoever asks may hang up, and whoever is asked may be away.
  const server = createServer((request, response) => void pass(request, response).catch(() => response.writeHead(502).end()));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return proxy;
}
