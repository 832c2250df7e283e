// Both edges beside each other: the real program, which keeps the links and answers them itself, and the Worker in workerd, which
// answers what was pushed to its KV. Whatever happened in between, the two must end up saying the same.

import { assert, assertEqual, start, SECRET, until } from "./harness.mjs";
import { startControl, startProxy } from "./control.mjs";
import { ACCOUNT, NAMESPACE, startKvApi, TOKEN } from "./kv-api.mjs";
import { generator, randomPair } from "./random.mjs";

export const HOST = "go.example";
export const OTHER_HOST = "b.example";
/** What a target may take to be told of everything when nothing is wrong with it. */
const SETTLE_MS_MAX = 20_000;
const ASKED_AT_ONCE = 8;

const SETTINGS = {
  WAYPOST_PUBLIC_URL: `http://${HOST}`,
  WAYPOST_TRUSTED_PROXIES: "127.0.0.1/32",
  WAYPOST_COUNTRY_HEADER: "cf-ipcountry",
  WAYPOST_WEBHOOKS_SECRETS: SECRET,
};

/** The settings that have links pushed to this interface. */
export const kvSettings = (api) => ({
  WAYPOST_CLOUDFLARE_ACCOUNT_ID: ACCOUNT,
  WAYPOST_CLOUDFLARE_KV_NAMESPACE_ID: NAMESPACE,
  WAYPOST_CLOUDFLARE_API_TOKEN: TOKEN,
  WAYPOST_CLOUDFLARE_API_URL: api.url,
});

/**
 * Runs with a Worker, its KV behind the REST interface, the real program, and a proxy from the one to the other. Where `isKvLater`, the
 * program does not know of the KV until it is told.
 */
export async function withEdges(run, { isKvLater = false, worker: options = {} } = {}) {
  const open = [];
  const keep = (part) => (open.push(part), part);
  try {
    let control;
    const proxy = keep(await startProxy(() => control));
    const bindings = { DEFAULT_DOMAIN: HOST, CONTROL_URL: proxy.url, WEBHOOK_SECRET: SECRET, EDGE_ID: "cf-test", ...options.bindings };
    const worker = keep(await start("test-worker.mjs", { ...options, bindings }));
    const api = keep(await startKvApi(worker));
    control = keep(await startControl({ ...SETTINGS, ...(isKvLater ? {} : kvSettings(api)) }));
    const { status, stderr } = await control.run("domain", "create", OTHER_HOST);
    assert(status === 0, stderr);
    try {
      return await run({ worker, api, control, proxy });
    } catch (error) {
      error.stack += `\n--- the program's last words\n${control.output.slice(-4_000)}`;
      throw error;
    }
  } finally {
    for (const part of open.reverse()) await part.stop();
  }
}

/** The state of a link at the KV. */
export async function stateOf(control, id) {
  const { targets } = await control.call("GET", `/api/v1/links/${id}/sync`);
  return targets.find(({ target }) => target === "cloudflare_kv");
}

/** How the KV as a whole stands. */
export async function overviewOf(control) {
  const { targets } = await control.call("GET", "/api/v1/sync?synced=true");
  return targets.find(({ target }) => target === "cloudflare_kv");
}

/** Waits until a link's newest version is at the KV. */
export async function synced(control, link) {
  let state;
  const isSynced = async () => {
    state = await stateOf(control, link.id);
    return state.status === "synced" && state.synced_version === link.version;
  };
  await until(`${link.slug} to be synced`, isSynced, SETTLE_MS_MAX).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(state)}`);
  });
}

/** Waits until the KV is behind with nothing. */
export async function settled(control, withinMs = SETTLE_MS_MAX) {
  let view;
  const isSettled = async () => {
    view = await overviewOf(control);
    const { pending, syncing, failed } = view.counts;
    return !view.behind && pending + syncing + failed === 0;
  };
  await until("everything to be synced", isSettled, withinMs).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(view)}`);
  });
  return view;
}

const COUNTRIES = ["DE", "AT", "GB", "US"];
const LANGUAGES = ["de", "en", "fr", "zh-Hant"];
const SITES = ["t.co", "twitter.com", "bücher.example"];
const DESTINATIONS = [
  "https://example.com/",
  "https://example.com/a/b?x=1&utm_source=own#part",
  "https://bücher.example/größe?a=b&",
  "http://192.0.2.7:8080/x;y=1",
  "https://a.example/#?utm_term=x",
];

/** Random links as the API takes them, on both hosts, for the visits of `randomPair`. */
export function randomLinks(random, count, name = "r") {
  const pick = (list) => list[Math.floor(random() * list.length)];
  const some = (list) => [pick(list), ...list.filter(() => random() < 0.3)].filter((one, index, all) => all.indexOf(one) === index);
  const maybe = (share, make) => (random() < share ? make() : undefined);
  const many = (share, most, make) => maybe(share, () => Array.from({ length: 1 + Math.floor(random() * most) }, (_, index) => make(index)));
  const url = () => pick(DESTINATIONS).replace("example", `example${Math.floor(random() * 100)}`);
  const split = () => ({ id: pick([7, "beta"]), status: pick(["active", "active", "paused"]), variants: [1, 2, 3].map((id) => ({ id, destination_url: url(), weight: pick([1, 50]) })) });
  const when = () => ({
    countries: maybe(0.3, () => some(COUNTRIES)),
    devices: maybe(0.3, () => some(["desktop", "mobile", "tablet"])),
    os: maybe(0.2, () => some(["ios", "android", "windows", "macos", "linux"])),
    languages: maybe(0.3, () => some(LANGUAGES)),
    referrers: maybe(0.2, () => some(SITES)),
    query: maybe(0.2, () => ({ ref: "mail" })),
    until: maybe(0.1, () => "2020-01-01T00:00:00Z"),
  });
  return Array.from({ length: count }, (_, index) => ({
    slug: `${name}-${index}`,
    domain: index % 3 === 2 ? OTHER_HOST : HOST,
    destination_url: url(),
    redirect_status: maybe(0.3, () => pick([301, 302, 307, 308])),
    forward_query: maybe(0.5, () => true),
    enabled: maybe(0.1, () => false),
    expires_at: maybe(0.05, () => "2020-01-01T00:00:00Z"),
    expired_url: maybe(0.2, url),
    rules: many(0.5, 3, (id) => ({ id: `rule-${id}`, when: when(), to: random() < 0.7 ? { url: url() } : { ab_test: split() } })),
    evolution_rules: many(0.2, 2, (id) => ({ id, priority: pick([0, 10]), starts_at: maybe(0.5, () => "2020-01-01T00:00:00Z"), destination_url: url() })),
    geo_rules: maybe(0.3, () => some(COUNTRIES).map((country_code) => ({ country_code, destination_url: url() }))),
    ab_test: maybe(0.3, split),
    link_utms: maybe(0.3, () => ({ utm_campaign: "späti", utm_source: "news letter" })),
    utm_templates: many(0.3, 2, () => ({ platform_domains: some(SITES), utm_source: "twitter", utm_medium: "social" })),
  }));
}

/** Makes links, at most a thousand. Gives them with their ids and versions. */
export async function makeLinks(control, links) {
  const { refused, results } = await control.call("POST", "/api/v1/links/bulk", { links });
  assertEqual(refused, 0, JSON.stringify(results.find(({ status }) => status !== 201)));
  return results.map(({ id, version }, index) => ({ ...links[index], id, version }));
}

/** Names of headers that a Worker and a native edge behind a proxy get the same facts by. */
function headersOf({ ip, country, user_agent: agent, referrer, accept_language: language, purpose }) {
  const isHeader = (text) => typeof text === "string" && text !== "" && /^[\x20-\x7e]*$/.test(text) && text === text.trim();
  const address = ip ?? "192.0.2.1";
  const given = { "user-agent": agent, referer: referrer, "accept-language": language, "sec-purpose": purpose, "cf-ipcountry": country };
  const headers = Object.fromEntries(Object.entries(given).filter(([, text]) => isHeader(text)));
  // Every client has a name, and whoever sends none would be given one on the way.
  return { "user-agent": "test", ...headers, "cf-connecting-ip": address, "x-forwarded-for": address };
}

/** How each edge answers a visit: status and `Location`. */
async function bothAnswers({ worker, control }, { domain, slug }, visit) {
  const path = `/${slug}${visit.query && /^[\x21-\x7e]+$/.test(visit.query) && !/['"<>#]/.test(visit.query) ? `?${visit.query}` : ""}`;
  const headers = headersOf(visit);
  const [native, remote] = await Promise.all([
    control.ask("GET", path, { headers: { ...headers, host: domain } }),
    worker.miniflare.dispatchFetch(`http://${domain}${path}`, { headers, redirect: "manual" }),
  ]);
  await remote.arrayBuffer();
  return { path, headers, native: [native.status, native.headers.location ?? null], remote: [remote.status, remote.headers.get("location")] };
}

/** Whether both edges say the same of these links (with `slug` and `domain`), whether they exist or not. Gives how many answers were redirects. */
export async function assertSame(edges, links, random = generator(1), visits = 2) {
  let next = 0;
  let redirects = 0;
  const asked = links.flatMap((link) => Array.from({ length: visits }, () => [link, randomPair(random).visit]));
  const lane = async () => {
    while (next < asked.length) {
      const [link, visit] = asked[next++];
      const { native, remote, path, headers } = await bothAnswers(edges, link, visit);
      if (native[0] < 400 && native[1]) redirects++;
      if (JSON.stringify(native) !== JSON.stringify(remote)) {
        const value = await edges.worker.links.get(keyOf(link));
        throw new Error(`${link.domain}${path} ${JSON.stringify(headers)}: native ${native}, Worker ${remote}; in KV ${value}`);
      }
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, lane));
  return redirects;
}

export const keyOf = ({ domain, slug }) => (domain === HOST ? slug : `${domain}/${slug}`);

/** The keys in KV. */
export async function keysIn({ links }) {
  const names = [];
  let cursor;
  do {
    const page = await links.list({ cursor });
    names.push(...page.keys.map(({ name }) => name));
    cursor = page.list_complete ? undefined : page.cursor;
  } while (cursor);
  return names.sort();
}
