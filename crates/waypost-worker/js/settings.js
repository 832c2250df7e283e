// The Worker's variables and bindings, read once in an isolate. What is wrong with any of them is said all at once, and until
// it is put right every request is answered 503: a mistyped variable must not send people to the wrong place.

import { Operation } from "./engine.js";

/** KV refuses to keep a value at the edge for a shorter time. */
const CACHE_TTL_S_MIN = 30;

/** What the control plane writes about one domain. */
const DOMAIN_KEYS = ["root_url", "case_insensitive"];

function wholeNumber(env, name, fallback, min, max, faults) {
  const text = env[name];
  if (text === undefined || text === "") return fallback;
  const number = Number(text);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  faults.push(`${name}: a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`);
  return fallback;
}

function onOrOff(env, name, fallback, faults) {
  const text = env[name];
  if (text === undefined || text === "") return fallback;
  if (text === "on" || text === "off") return text === "on";
  faults.push(`${name}: on or off, not ${JSON.stringify(text)}`);
  return fallback;
}

function webUrl(text, name, faults) {
  if (text === undefined || text === null || text === "") return "";
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url && (url.protocol === "https:" || url.protocol === "http:") && !url.username && !url.password) return url.href;
  faults.push(`${name}: an http or https address, not ${JSON.stringify(text)}`);
  return "";
}

function readDomains(env, faults) {
  const domains = new Map();
  if (!env.DOMAINS) return domains;
  let given;
  try {
    given = typeof env.DOMAINS === "string" ? JSON.parse(env.DOMAINS) : env.DOMAINS;
  } catch {
    given = null;
  }
  if (given === null || typeof given !== "object" || Array.isArray(given)) {
    faults.push('DOMAINS: JSON such as {"go.example": {"root_url": "https://example.com/"}}');
    return domains;
  }
  for (const [host, domain] of Object.entries(given)) {
    const unknown = Object.keys(domain ?? {}).filter((key) => !DOMAIN_KEYS.includes(key));
    if (unknown.length) faults.push(`DOMAINS: ${host} has the unknown ${unknown.join(", ")}`);
    domains.set(host.toLowerCase(), {
      rootUrl: webUrl(domain?.root_url, `DOMAINS: root_url of ${host}`, faults),
      caseInsensitive: domain?.case_insensitive === true,
    });
  }
  return domains;
}

/** Reads everything that is set, configures the engine, and gives the settings; `faults` says what is wrong with them. */
export function readSettings(env, engine, request) {
  const faults = [];
  if (typeof env.LINKS?.get !== "function") faults.push("LINKS: a binding of a KV namespace is needed");
  const controlUrl = webUrl(env.CONTROL_URL, "CONTROL_URL", faults).replace(/\/+$/, "");
  const clicks = env.CLICKS ? "queue" : controlUrl ? "webhook" : "none";
  const settings = {
    faults,
    controlUrl,
    clicks,
    defaultDomain: (env.DEFAULT_DOMAIN ?? "").toLowerCase(),
    domains: readDomains(env, faults),
    anonymousLinks: onOrOff(env, "ANONYMOUS_LINKS", controlUrl === "", faults),
    anonymousPerMinute: wholeNumber(env, "ANONYMOUS_PER_MINUTE_BY_KV", 0, 0, 1_000, faults),
    readOptions: {
      type: "arrayBuffer",
      cacheTtl: wholeNumber(env, "CACHE_TTL_S", 300, CACHE_TTL_S_MIN, 86_400, faults),
    },
    clickAttempts: wholeNumber(env, "CLICK_ATTEMPTS", 4, 1, 10, faults),
    clickBackoffMs: wholeNumber(env, "CLICK_BACKOFF_MS", 1_000, 1, 10_000, faults),
    queueDelayS: wholeNumber(env, "QUEUE_DELAY_S", 10, 0, 600, faults),
    clickTimeoutMs: wholeNumber(env, "CLICK_TIMEOUT_MS", 5_000, 10, 20_000, faults),
  };
  const inner = {
    default_domain: settings.defaultDomain,
    edge_id: env.EDGE_ID || `cf-${request?.cf?.colo ?? "local"}`,
    address_policy: env.ADDRESS_POLICY ?? "",
    schemes: (env.LINK_SCHEMES ?? "").split(/[\s,]+/).filter(Boolean),
    secrets: env.WEBHOOK_SECRET ?? "",
    clicks,
  };
  if (env.RECORDS_KEPT) inner.records_kept = wholeNumber(env, "RECORDS_KEPT", 256, 0, 4_096, faults);
  const answer = engine.configure(() => JSON.stringify({ ...inner, nonce: crypto.randomUUID() }));
  if (answer.status !== 200) faults.push(...answer.text.split("\n"));
  settings.reserved = new Set(engine.run(Operation.reserved).text.split(" "));
  return settings;
}
