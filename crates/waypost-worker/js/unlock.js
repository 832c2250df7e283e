// Password links: the form's other end. The control plane checks the password wherever there is one, because a check takes
// more CPU time than the free plan gives; a Worker that runs alone checks it itself.

import { Operation, Page } from "./engine.js";
import { addressKey, isAllowed } from "./limit.js";
import { metric } from "./log.js";
import { page } from "./pages.js";

const BODY_BYTES_MAX = 1 << 10;
const CONTROL_TIMEOUT_MS = 5_000;

/** Answers a POST to a link. `facts` is packed for the grant. */
export async function unlock(worker, request, env, asked, value, facts) {
  const { engine } = worker;
  // The link first: a POST to one that takes no password is refused before its body is read.
  const asks = engine.run(Operation.checkPassword, new Uint8Array(value), "", worker.now());
  if (asks.detail !== Page.unlockRefused) return page(engine, request, asks.detail);
  const body = new Uint8Array(await request.arrayBuffer());
  const form = body.length <= BODY_BYTES_MAX ? new URLSearchParams(new TextDecoder().decode(body)) : new URLSearchParams();
  const password = form.get("password") ?? "";
  const verdict = await check(worker, request, env, asked, value, password);
  if (verdict !== "right") return verdict;
  const granted = engine.run(Operation.grant, new Uint8Array(value), facts, worker.now());
  if (granted.status !== 200) return misconfigured(engine, request, granted.text);
  const headers = {
    // A path that begins with two slashes would name another host.
    location: asked.path.startsWith("//") ? "/" : asked.path + (asked.query ? `?${asked.query}` : ""),
    "set-cookie": granted.text,
    "cache-control": "private, no-store",
    "referrer-policy": "no-referrer",
  };
  return new Response(null, { status: 303, headers });
}

function misconfigured(engine, request, reason) {
  metric("unlock_errors", { error: reason });
  return page(engine, request, Page.unavailable);
}

async function check(worker, request, env, asked, value, password) {
  const { engine, settings } = worker;
  // Only the default domain: the control plane tells domains apart by the host, which a Worker cannot set.
  if (settings.controlUrl && asked.domain === "") return checkAtControl(worker, request, asked, password);
  const address = addressKey(request.headers.get("cf-connecting-ip"));
  const who = `unlock:${asked.key}:${address}`;
  if (!(await isAllowed(env.UNLOCK_RATE, env.LINKS, settings.anonymousPerMinute, who, worker.now()))) {
    return page(engine, request, Page.unlockThrottled);
  }
  const checked = engine.run(Operation.checkPassword, new Uint8Array(value), password, worker.now());
  if (checked.status === 200) return "right";
  return checked.status === 501 ? misconfigured(engine, request, checked.text) : page(engine, request, checked.detail);
}

async function checkAtControl(worker, request, asked, password) {
  const { engine, settings } = worker;
  let response;
  try {
    response = await fetch(settings.controlUrl + asked.path, {
      method: "POST",
      body: new URLSearchParams({ password }),
      headers: { "x-forwarded-for": request.headers.get("cf-connecting-ip") ?? "", accept: "text/html" },
      redirect: "manual",
      signal: AbortSignal.timeout(CONTROL_TIMEOUT_MS),
    });
  } catch (error) {
    return misconfigured(engine, request, String(error));
  }
  if (response.status === 303) return "right";
  if (response.status === 401) return page(engine, request, Page.unlockRefused);
  if (response.status === 429) {
    const throttled = page(engine, request, Page.unlockThrottled);
    throttled.headers.set("retry-after", response.headers.get("retry-after") ?? "60");
    return throttled;
  }
  // The control plane may know already of an edit that KV does not: gone, deleted, or without a password now.
  if (response.status === 404) return page(engine, request, Page.notFound);
  if (response.status === 410) return page(engine, request, Page.gone);
  return misconfigured(engine, request, `the control plane answered ${response.status}`);
}

