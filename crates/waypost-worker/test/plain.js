// The same Worker as a careful person would write it in plain JavaScript: what the budget of CPU time is measured against.
// It reads the record with JSON.parse, walks the same rules, completes the URL, classifies the visitor, and makes the same
// click. It checks less of what it reads.

const PREVIEW = /facebookexternalhit|facebot|twitterbot|slackbot|linkedinbot|discordbot|telegrambot|skypeuripreview|bingpreview|pinterestbot|redditbot|vkshare|embedly|iframely|mastodon\//i;
const BOT = /bot\b|crawl|spider|slurp|curl\/|wget\/|python|okhttp|axios|libwww|headless|lighthouse|monitor|scrapy|httrack|java\/|go-http-client/i;
const UTM_NAMES = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];
const RESERVED = new Set(["admin", "api", "app", "assets", "docs", "healthz", "login", "logout", "metrics", "readyz", "static", "webhooks"]);

function osOf(agent) {
  if (/Windows Phone|KAIOS|Tizen|Web0S/.test(agent)) return "other";
  if (/iPhone|iPad|iPod/.test(agent)) return "ios";
  if (/Android/.test(agent)) return "android";
  if (/Windows/.test(agent)) return "windows";
  if (/CrOS/.test(agent)) return "chromeos";
  if (/Macintosh|Mac OS X/.test(agent)) return "macos";
  return /Linux|Ubuntu/.test(agent) ? "linux" : "other";
}

function deviceOf(agent, os) {
  if (os === "ios") return agent.includes("iPad") ? "tablet" : "mobile";
  if (os === "android") return agent.includes("Mobile") ? "mobile" : "tablet";
  if (os === "other") return /Mobi/.test(agent) ? "mobile" : "other";
  return "desktop";
}

function classOf(method, purpose, agent) {
  if (method === "HEAD") return ["head", "method"];
  if (purpose && /prefetch|prerender|preview/i.test(purpose)) return ["prefetch", "purpose_header"];
  if (agent.trim() === "") return ["bot", "no_user_agent"];
  if (PREVIEW.test(agent)) return ["preview", "agent"];
  if (BOT.test(agent)) return ["bot", "agent"];
  return ["human", "none"];
}

function isWithin(host, site) {
  return host === site || host.endsWith(`.${site}`);
}

function hash(text) {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  return value >>> 0;
}

function chooseVariant(test, visit) {
  const total = test.variants.reduce((sum, variant) => sum + variant.weight, 0);
  if (test.status !== "active" || total === 0) return null;
  let left = hash(`${test.id}|${visit.ip}|${visit.agent}`) % total;
  for (const variant of test.variants) {
    if (left < variant.weight) return variant;
    left -= variant.weight;
  }
  return null;
}

function holds(when, visit) {
  if (when.countries && !when.countries.some((code) => code.toUpperCase() === visit.country)) return false;
  if (when.devices && !when.devices.includes(visit.device)) return false;
  if (when.os && !when.os.includes(visit.os)) return false;
  if (when.languages) {
    const accepted = visit.languages.split(",").map((part) => part.trim().split(";")[0].toLowerCase());
    if (!when.languages.some((range) => accepted.some((tag) => tag === range.toLowerCase() || tag.startsWith(`${range.toLowerCase()}-`)))) return false;
  }
  if (when.referrers && !when.referrers.some((site) => isWithin(visit.referrerHost, site))) return false;
  if (when.query && !Object.entries(when.query).every(([name, value]) => visit.query.getAll(name).includes(value))) return false;
  if (when.from && visit.now < Date.parse(when.from)) return false;
  if (when.until && visit.now >= Date.parse(when.until)) return false;
  return true;
}

function choose(record, visit) {
  for (const rule of record.rules ?? []) {
    if (!holds(rule.when ?? {}, visit)) continue;
    if (rule.to.url) return { url: rule.to.url, source: "rule", rule_id: rule.id };
    const variant = chooseVariant(rule.to.ab_test, visit);
    if (variant) return { url: variant.destination_url, source: "rule", rule_id: rule.id, ab_test_id: rule.to.ab_test.id, ab_variant_id: variant.id };
  }
  const active = (record.evolution_rules ?? [])
    .filter((rule) => (!rule.starts_at || visit.now >= Date.parse(rule.starts_at)) && (!rule.ends_at || visit.now < Date.parse(rule.ends_at)))
    .sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0));
  if (active.length > 0) return { url: active[0].destination_url, source: "evolution_rule", rule_id: active[0].id };
  const geo = (record.geo_rules ?? []).find((rule) => rule.country_code.toUpperCase() === visit.country);
  if (geo) return { url: geo.destination_url, source: "geo_rule", rule_id: geo.id };
  const variant = record.ab_test ? chooseVariant(record.ab_test, visit) : null;
  if (variant) return { url: variant.destination_url, source: "ab_test", ab_test_id: record.ab_test.id, ab_variant_id: variant.id };
  return { url: record.destination_url, source: "default" };
}

function complete(record, chosen, visit) {
  const template = (record.utm_templates ?? []).find(({ platform_domains: sites }) => sites.some((site) => isWithin(visit.referrerHost, site)));
  const url = new URL(chosen.url);
  if (url.protocol !== "https:" && url.protocol !== "http:") throw new Error("scheme");
  if (template || record.link_utms || record.forward_query) {
    const forwarded = record.forward_query ? visit.query : new URLSearchParams();
    for (const name of UTM_NAMES) {
      const value = template?.[name] ?? record.link_utms?.[name];
      if (value && !url.searchParams.has(name) && !forwarded.has(name)) url.searchParams.append(name, value);
    }
    for (const [name, value] of forwarded) if (!url.searchParams.has(name)) url.searchParams.append(name, value);
  }
  return url;
}

export async function handle(request, env, ctx) {
  const url = new URL(request.url);
  if (request.method !== "GET" && request.method !== "HEAD") return new Response("Method Not Allowed", { status: 405 });
  const slug = decodeURIComponent(url.pathname.slice(1));
  if (RESERVED.has(slug.split("/")[0])) return new Response("Not Found", { status: 404 });
  const text = await env.LINKS.get(slug, { cacheTtl: 300 });
  if (text === null) return new Response("Not Found", { status: 404 });
  const record = text.startsWith("{") ? JSON.parse(text) : { destination_url: text };
  const now = Date.now();
  if (record.enabled === false || (record.starts_at && now < Date.parse(record.starts_at))) return new Response("Not Found", { status: 404 });
  if (record.expires_at && now >= Date.parse(record.expires_at)) return new Response("Gone", { status: 410 });

  const { headers } = request;
  const agent = headers.get("user-agent") ?? "";
  const referrer = headers.get("referer") ?? "";
  const os = osOf(agent);
  const visit = {
    now,
    ip: headers.get("cf-connecting-ip") ?? "",
    country: (headers.get("cf-ipcountry") ?? "").toUpperCase(),
    agent,
    os,
    device: deviceOf(agent, os),
    languages: headers.get("accept-language") ?? "",
    referrerHost: referrer ? new URL(referrer).hostname : "",
    query: url.searchParams,
  };
  const chosen = choose(record, visit);
  const location = complete(record, chosen, visit);
  if (env.CLICKS) {
    const [visitClass, reason] = classOf(request.method, headers.get("sec-purpose") ?? headers.get("purpose") ?? headers.get("x-moz"), agent);
    const event = {
      event_id: crypto.randomUUID(),
      edge_id: "cf-bench",
      link_id: record.link_id,
      account_id: record.account_id,
      domain: "",
      slug,
      clicked_at: new Date(now).toISOString(),
      ip_address: visit.ip.replace(/\.\d+$/, ".0"),
      user_agent: agent.slice(0, 512),
      referrer: referrer.split(/[?#]/)[0],
      country_code: visit.country,
      device_type: visit.device,
      os,
      class: visitClass,
      class_reason: reason,
      language: visit.languages.split(/[,;-]/)[0].toLowerCase(),
      source: chosen.source,
      rule_id: chosen.rule_id,
      ab_test_id: chosen.ab_test_id,
      ab_variant_id: chosen.ab_variant_id,
      status: record.redirect_status ?? 302,
    };
    for (const name of UTM_NAMES) if (location.searchParams.has(name)) event[name] = location.searchParams.get(name);
    ctx.waitUntil(env.CLICKS.send(JSON.stringify(event), { contentType: "text" }));
  }
  return new Response(null, { status: record.redirect_status ?? 302, headers: { location: location.href, "cache-control": "private, no-store" } });
}
