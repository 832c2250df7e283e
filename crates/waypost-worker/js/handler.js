// The Worker itself: which request is for what. A redirect reads one value of KV, crosses to the engine once, and is answered;
// its click follows when the visitor has gone.

import { landing, shortenByApi } from "./anonymous.js";
import { sendBatch, sendClick } from "./clicks.js";
import { ABSENT, Engine, Operation, Page } from "./engine.js";
import { metric } from "./log.js";
import { html, page } from "./pages.js";
import { readSettings } from "./settings.js";
import { Stale } from "./stale.js";
import { unlock } from "./unlock.js";

/** A request target over this many characters is refused, as on the native edge. */
const TARGET_CHARS_MAX = 8_192;
/** How long KV is waited for, in milliseconds. */
const READ_MS_MAX = 5_000;
/** Paths that need no decoding: nearly all. */
const PLAIN_PATH = /^\/[0-9A-Za-z_-]{1,100}$/;
const CACHE_CONTROL = ["private, no-store", "private, max-age=60"];

export class Worker {
  #env;

  /** `now` gives the time in milliseconds since 1970. */
  constructor(module, now) {
    this.engine = new Engine(module);
    this.now = now;
    this.stale = new Stale(now);
  }

  #configure(env, request) {
    this.#env = env;
    this.settings = readSettings(env, this.engine, request);
    this.settings.faults.forEach((fault) => metric("setting_errors", { error: fault }));
  }

  /** Answers a request. Whatever goes wrong in here is a page, never an exception. */
  fetch(request, env, ctx) {
    if (this.#env !== env) this.#configure(env, request);
    if (this.settings.faults.length > 0) return page(this.engine, request, Page.unavailable);
    return this.#route(request, env, ctx).catch((error) => {
      // A visitor who is not sent on makes no click; this line is all that is known of the visit.
      metric("request_errors", { path: new URL(request.url).pathname.slice(0, 200), error: String(error?.stack ?? error) });
      this.#env = undefined;
      return page(this.engine, request, Page.unavailable);
    });
  }

  /** Takes a batch of clicks from the queue. */
  async queue(batch, env) {
    if (this.#env !== env) this.#configure(env);
    if (this.settings.faults.length > 0) return batch.retryAll({ delaySeconds: 600 });
    await sendBatch(batch, this.engine, this.settings, this.now);
  }

  async #route(request, env, ctx) {
    const { url, method } = request;
    const hostAt = url.indexOf("//") + 2;
    const pathAt = url.indexOf("/", hostAt);
    const queryAt = url.indexOf("?", pathAt);
    const path = queryAt < 0 ? url.slice(pathAt) : url.slice(pathAt, queryAt);
    const isRead = method === "GET" || method === "HEAD";
    if (url.length - pathAt > TARGET_CHARS_MAX) return page(this.engine, request, Page.targetTooLong);

    const host = hostOf(url.slice(hostAt, pathAt));
    const { defaultDomain, domains, reserved } = this.settings;
    const domain = defaultDomain === "" || host === defaultDomain ? "" : host;
    const known = domains.get(host);
    if (path === "/" || path === "/api/url") {
      return this.#ownAddress(request, env, { host, path, rootUrl: known?.rootUrl, origin: this.#origin(url, pathAt) });
    }
    if (path.endsWith("+")) return this.#preview(request, env, { host, domain, path, known });

    const caseInsensitive = known?.caseInsensitive === true;
    let slug;
    if (PLAIN_PATH.test(path)) {
      slug = caseInsensitive ? path.slice(1).toLowerCase() : path.slice(1);
      if (reserved.has(slug.toLowerCase())) return page(this.engine, request, Page.notFound);
    } else {
      slug = this.#readSlug(path, caseInsensitive);
    }
    if (!isRead && method !== "POST") return page(this.engine, request, Page.methodNotAllowed);

    let found = slug === undefined ? undefined : await this.#find(env, domain, slug);
    if (!found) {
      // Only what leads nowhere is read again, once, without what a sentence or a mail client left at its end.
      slug = this.#readSlug(path, caseInsensitive, true);
      found = slug === undefined ? undefined : await this.#find(env, domain, slug);
    }
    if (!found) return page(this.engine, request, isRead ? Page.notFound : Page.methodNotAllowed);
    const { key, value } = found;
    if (value === undefined) return page(this.engine, request, Page.unavailable);
    const query = queryAt < 0 ? ABSENT : url.slice(queryAt + 1);
    const asked = { key, domain, slug, path, query: queryAt < 0 ? "" : query };
    this.stale.keep(key, value);
    const facts = packFacts(request, asked, query, ABSENT, this.settings.clicks);
    if (!isRead) return unlock(this, request, env, asked, value, facts);
    return this.#follow(request, env, ctx, asked, query, value, facts);
  }

  /** The value of a slug, with its key; nothing where there is none, and no value where KV is silent and none was kept. */
  async #find(env, domain, slug) {
    const key = domain === "" ? slug : `${domain}/${slug}`;
    try {
      const value = await this.#read(env, key);
      return value === null ? undefined : { key, value };
    } catch (error) {
      metric("kv_errors", { error: String(error) });
      return { key, value: this.stale.get(key) };
    }
  }

  #follow(request, env, ctx, asked, query, value, facts) {
    const now = this.now();
    let place = "";
    let answer = this.#decide(value, facts, now);
    if (answer.status === 0) {
      // Only links with rules about them have the runtime read what it knows of the visitor's place.
      place = packPlace(request.cf);
      answer = this.#decide(value, facts + place, now);
    }
    if (answer.detail === Page.unlock && answer.status === 200) {
      const cookies = request.headers.get("cookie");
      if (cookies?.includes("wp_unlock_")) {
        answer = this.#decide(value, packFacts(request, asked, query, cookies, this.settings.clicks) + place, now);
      }
    }
    if (answer.fault) logFault(asked.key, answer);
    if (answer.text === "") return page(this.engine, request, answer.detail);
    if (answer.event !== "") ctx.waitUntil(sendClick(answer, env, this.settings));
    // A link that leaves the web is pressed by a person.
    if (answer.status === 200) return html(request, 200, answer.text);
    const headers = { location: answer.text, "cache-control": CACHE_CONTROL[answer.detail] };
    return new Response(null, { status: answer.status, headers });
  }

  // Once more where the engine has trapped: what others have left it in is no reason to turn this visitor away.
  #decide(value, facts, now) {
    try {
      return this.engine.follow(value, facts, now);
    } catch {
      return this.engine.follow(value, facts, now);
    }
  }

  async #ownAddress(request, env, site) {
    if (site.path === "/api/url") return shortenByApi(this, request, env, site);
    if (request.method === "POST") return landing(this, request, env, site);
    if (request.method !== "GET" && request.method !== "HEAD") return page(this.engine, request, Page.methodNotAllowed);
    if (!site.rootUrl) return landing(this, request, env, site);
    return new Response(null, { status: 302, headers: { location: site.rootUrl, "cache-control": CACHE_CONTROL[0] } });
  }

  async #preview(request, env, { host, domain, path, known }) {
    if (request.method !== "GET" && request.method !== "HEAD") return page(this.engine, request, Page.methodNotAllowed);
    const slug = this.#readSlug(path.slice(0, -1), known?.caseInsensitive === true);
    if (slug === undefined) return page(this.engine, request, Page.notFound);
    let value;
    try {
      value = await this.#read(env, domain === "" ? slug : `${domain}/${slug}`);
    } catch (error) {
      metric("kv_errors", { error: String(error) });
      return page(this.engine, request, Page.unavailable);
    }
    if (value === null) return page(this.engine, request, Page.notFound);
    const made = this.engine.run(Operation.preview, new Uint8Array(value), `${domain}\0${slug}\0${host}/${slug}`, this.now());
    return made.text === "" ? page(this.engine, request, made.detail) : html(request, 200, made.text);
  }

  // Every read has an end, also where the binding gives it none.
  #read(env, key) {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`KV did not answer within ${READ_MS_MAX} ms`));
      const timer = setTimeout(late, READ_MS_MAX);
      const settle = (value) => {
        clearTimeout(timer);
        if (value === undefined) reject(new Error("KV answered with nothing"));
        else resolve(value);
      };
      env.LINKS.get(key, this.settings.readOptions).then(settle, (error) => {
        clearTimeout(timer);
        reject(error);
      });
    });
  }

  #readSlug(path, caseInsensitive, withoutMark = false) {
    const read = this.engine.run(Operation.readSlug, path, (caseInsensitive ? "i" : "") + (withoutMark ? "m" : ""));
    return read.status === 200 ? read.text : undefined;
  }

  // New links are made on the default domain, whichever host the form was on.
  #origin(url, pathAt) {
    return this.settings.defaultDomain ? `https://${this.settings.defaultDomain}` : url.slice(0, pathAt);
  }
}

/** Says what is wrong with a value: all of it, the key that it lies under, or parts that its link does without. */
function logFault(key, { status, fault }) {
  if (status === 502 || fault.startsWith("the record is that of")) return metric("record_errors", { key, error: fault });
  const parts = fault.split("\n");
  metric("record_parts_skipped", { key, count: parts.length, error: parts.slice(0, 10).join("; ") });
}

/** A host without its port. The runtime has brought it to lower case and ASCII. */
function hostOf(authority) {
  const portAt = authority.lastIndexOf(":");
  return portAt < 0 || authority.endsWith("]") ? authority : authority.slice(0, portAt);
}

/** The facts of a request in the order that src/facts.rs reads them. */
function packFacts({ method, headers }, asked, query, cookies, clicks) {
  // The purpose says what a click is counted as, and nothing of where it goes.
  const purpose = clicks === "none" ? null : headers.get("sec-purpose") ?? headers.get("purpose") ?? headers.get("x-moz");
  return (
    `${method}\0${asked.domain}\0${asked.slug}\0${asked.path}\0${query}\0` +
    `${headers.get("cf-connecting-ip") ?? ABSENT}\0${headers.get("cf-ipcountry") ?? ABSENT}\0` +
    // A real request without the header is told from a visit of which it is not known.
    `${headers.get("user-agent") ?? ""}\0${headers.get("referer") ?? ABSENT}\0` +
    `${headers.get("accept-language") ?? ABSENT}\0${purpose ?? ABSENT}\0${ABSENT}\0${ABSENT}\0${cookies}`
  );
}

/** The visitor's region (ISO 3166-2) and city, which follow the other facts. */
function packPlace(cf) {
  const region = cf?.country && cf.regionCode ? `${cf.country}-${cf.regionCode}` : ABSENT;
  return `\0${region}\0${cf?.city || ABSENT}`;
}
