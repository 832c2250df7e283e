// Links that anyone may make, for those who run the Worker alone: `POST /api/url`, and the form of the landing page.

import { crossSite, isCrossSite, openToPages, preflight } from "./cross_site.js";
import { Operation } from "./engine.js";
import { addressKey, isAllowed } from "./limit.js";
import { metric } from "./log.js";
import { html, json } from "./pages.js";

/** The largest body that is read. */
const BODY_BYTES_MAX = 64 << 10;
const BODY_BYTES_DRAINED_MAX = 1 << 20;
/** Slugs that are tried before giving up; two in a row being taken is not to be seen in a lifetime. */
const SLUGS_MAX = 5;
const RANDOM_BYTES_PER_SLUG = 32;
/** How long the same URL gives the same link without asking KV, at one place. */
const REMEMBERED_S = 86_400;

/** A problem on its way to its answer. */
class Refusal extends Error {
  constructor(status, document, retryAfter) {
    super(document);
    this.status = status;
    this.document = document;
    this.retryAfter = retryAfter;
  }
}

function refusal(engine, code, detail, retryAfter) {
  const made = engine.run(Operation.problem, code, detail);
  return new Refusal(made.status, made.text, retryAfter);
}

/** Answers `POST /api/url`. */
export async function shortenByApi(worker, request, env, site) {
  return preflight(request) ?? openToPages(await answerByApi(worker, request, env, site));
}

async function answerByApi(worker, request, env, site) {
  if (request.method !== "POST") {
    const made = worker.engine.run(Operation.problem, "method_not_allowed", "this address takes POST");
    const response = json(request, made.status, made.text);
    response.headers.set("allow", "POST");
    return response;
  }
  try {
    const made = await shorten(worker, request, env, site, (body) => body);
    return json(request, 200, JSON.stringify(made));
  } catch (error) {
    return refused(worker, request, error);
  }
}

/** Shows the landing page, or answers its form. */
export async function landing(worker, request, env, site) {
  const show = (status, state) => {
    const form = worker.settings.anonymousLinks;
    return html(request, status, worker.engine.run(Operation.landing, JSON.stringify({ form, ...state })).text);
  };
  if (request.method !== "POST") return show(200, {});
  if (isCrossSite(request)) return crossSite();
  let typed = "";
  try {
    const made = await shorten(worker, request, env, site, (body) => {
      typed = new URLSearchParams(new TextDecoder().decode(body)).get("originalUrl") ?? "";
      return JSON.stringify({ originalUrl: typed });
    });
    return show(200, { originalUrl: made.originalUrl, shortUrl: made.shortUrl });
  } catch (error) {
    const { status, document, retryAfter } = asRefusal(worker, error);
    const response = show(status, { originalUrl: typed, fault: JSON.parse(document).detail });
    if (retryAfter) response.headers.set("retry-after", retryAfter);
    return response;
  }
}

function asRefusal(worker, error) {
  if (error instanceof Refusal) return error;
  metric("anonymous_errors", { error: String(error) });
  return refusal(worker.engine, "unavailable", "the links cannot be reached just now; nothing was changed", "1");
}

function refused(worker, request, error) {
  const { status, document, retryAfter } = asRefusal(worker, error);
  const response = json(request, status, document);
  if (retryAfter) response.headers.set("retry-after", retryAfter);
  return response;
}

async function shorten(worker, request, env, site, toJson) {
  const { engine, settings } = worker;
  if (!settings.anonymousLinks) {
    throw refusal(engine, "anonymous_links_off", "this instance creates links only for requests with an API key");
  }
  const who = `url:${addressKey(request.headers.get("cf-connecting-ip"))}`;
  if (!(await isAllowed(env.ANONYMOUS_RATE, env.LINKS, settings.anonymousPerMinute, who, worker.now()))) {
    throw refusal(engine, "rate_limited", "too many requests; try again in 60 s", "60");
  }
  const body = toJson(await readBody(request, engine));
  const random = crypto.getRandomValues(new Uint8Array(SLUGS_MAX * RANDOM_BYTES_PER_SLUG));
  const ownHosts = new TextEncoder().encode([site.host, settings.defaultDomain, ...settings.domains.keys()].join(" ") + "\0");
  const second = new Uint8Array(ownHosts.length + random.length);
  second.set(ownHosts);
  second.set(random, ownHosts.length);
  const checked = engine.run(Operation.shorten, body, second);
  if (checked.status !== 200) throw new Refusal(checked.status, checked.text);
  const [destination, ...slugs] = checked.text.split("\n");
  const slug = (await remembered(destination, env, site)) ?? (await store(destination, slugs, env, site, worker.now()));
  const originalUrl = JSON.parse(typeof body === "string" ? body : new TextDecoder().decode(body)).originalUrl;
  return { urlKey: slug, shortUrl: `${site.origin}/${slug}`, originalUrl };
}

async function readBody(request, engine) {
  const body = new Uint8Array(BODY_BYTES_MAX);
  let length = 0;
  for await (const chunk of request.body ?? []) {
    if (length + chunk.length <= BODY_BYTES_MAX) body.set(chunk, length);
    length += chunk.length;
    // What is a little too long is read to its end: who is still sending does not listen for an answer.
    if (length > BODY_BYTES_DRAINED_MAX) break;
  }
  if (length > BODY_BYTES_MAX) throw refusal(engine, "body_too_large", `a body here has at most ${BODY_BYTES_MAX} bytes`);
  return body.subarray(0, length);
}

async function store(destination, slugs, env, site, now) {
  for (const slug of slugs) {
    // Listed and not read: a read would make this place remember for a minute that the link does not exist.
    const taken = await env.LINKS.list({ prefix: slug, limit: 1 });
    if (taken.keys.length > 0) continue;
    const record = { slug, destination_url: destination, created_at: new Date(now).toISOString() };
    await env.LINKS.put(slug, JSON.stringify(record));
    await remember(destination, slug, site);
    return slug;
  }
  throw new Error("every slug that was tried is taken");
}

async function memoryKey(destination, site) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(destination));
  const hex = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${site.origin}/_waypost/same-url/${hex}`;
}

/** The slug that this URL has got here before, if its link is still there. The Cache API may forget, or not exist: then not. */
async function remembered(destination, env, site) {
  try {
    const found = await caches.default.match(await memoryKey(destination, site));
    const slug = await found?.text();
    return slug && (await env.LINKS.get(slug)) !== null ? slug : undefined;
  } catch {
    return undefined;
  }
}

async function remember(destination, slug, site) {
  try {
    const headers = { "cache-control": `public, max-age=${REMEMBERED_S}` };
    await caches.default.put(await memoryKey(destination, site), new Response(slug, { headers }));
  } catch (error) {
    metric("cache_errors", { error: String(error) });
  }
}
