// Password links: the form's other end. The control plane checks the password wherever there is one, because a check takes
// more CPU time than the free plan gives, and counts the attempts of a visitor at all places together; it believes the visitor's
// address because the body that holds it is signed. A Worker that runs alone checks passwords itself.

import { crossSite, isCrossSite } from "./cross_site.js";
import { Operation, Page } from "./engine.js";
import { addressKey, isAllowed } from "./limit.js";
import { metric } from "./log.js";
import { page } from "./pages.js";
import { postSigned } from "./signed.js";

const BODY_BYTES_MAX = 1 << 10;
// More than the control plane lets a password wait for its turn (`webhooks/unlock.rs`): then it says when to try again.
const CONTROL_TIMEOUT_MS = 5_000;

/**
 * What is shown for each answer of the control plane but the right password. It may know already of an edit that KV does not:
 * gone, deleted, or without a password now.
 */
const OUTCOME_PAGES = {
  refused: Page.unlockRefused,
  throttled: Page.unlockThrottled,
  not_found: Page.notFound,
  gone: Page.gone,
  not_locked: Page.methodNotAllowed,
};

/** Answers a POST to a link. `facts` is packed for the grant. */
export async function unlock(worker, request, env, asked, value, facts) {
  const { engine } = worker;
  // The link first: a POST to one that takes no password is refused before its body is read.
  const asks = engine.run(Operation.checkPassword, new Uint8Array(value), `${asked.domain}\0${asked.slug}\0`, worker.now());
  if (asks.detail !== Page.unlockRefused) return page(engine, request, asks.detail);
  if (isCrossSite(request)) return crossSite();
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
  if (settings.controlUrl) return checkAtControl(worker, request, asked, password);
  const address = addressKey(request.headers.get("cf-connecting-ip"));
  const who = `unlock:${asked.key}:${address}`;
  if (!(await isAllowed(env.UNLOCK_RATE, env.LINKS, settings.anonymousPerMinute, who, worker.now()))) {
    return page(engine, request, Page.unlockThrottled);
  }
  const link = `${asked.domain}\0${asked.slug}\0`;
  const checked = engine.run(Operation.checkPassword, new Uint8Array(value), link + password, worker.now());
  if (checked.status === 200) return "right";
  return checked.status === 501 ? misconfigured(engine, request, checked.text) : page(engine, request, checked.detail);
}

async function checkAtControl(worker, request, asked, password) {
  const { engine, settings } = worker;
  const address = request.headers.get("cf-connecting-ip");
  const attempt = JSON.stringify({ domain: asked.domain, path: asked.path, password, address });
  let verdict;
  try {
    const response = await postSigned(worker, "/webhooks/unlock", attempt, CONTROL_TIMEOUT_MS);
    if (response.status !== 200) {
      await response.body?.cancel();
      return misconfigured(engine, request, `the control plane answered ${response.status}`);
    }
    verdict = await response.json();
  } catch (error) {
    return misconfigured(engine, request, String(error));
  }
  if (verdict?.outcome === "granted") return "right";
  const shown = OUTCOME_PAGES[verdict?.outcome];
  if (shown === undefined) return misconfigured(engine, request, "the control plane gave an answer that is none");
  const answer = page(engine, request, shown);
  if (shown === Page.unlockThrottled) answer.headers.set("retry-after", String(verdict.retry_after_s ?? 60));
  return answer;
}

