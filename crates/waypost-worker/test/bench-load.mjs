// The links and visits that the two Workers are measured with: mostly simple links, some with rules of each kind.

const base = (slug) => ({
  link_id: `link_0192f3a4b5c6d7e8f9${slug}`,
  account_id: "acc_0192f3a4b5c6d7e8f90a1b2c3d4e5f60",
  version: 7,
  slug,
  domain: "go.example",
  destination_url: `https://www.example.com/articles/2026/${slug}?ref=short`,
  created_at: "2026-01-15T10:30:00Z",
  updated_at: "2026-02-20T08:00:00Z",
});

const geo = (code) => ({ country_code: code, destination_url: `https://www.example.com/${code.toLowerCase()}/landing` });
const kinds = [
  () => ({}),
  () => ({}),
  () => ({ link_utms: { utm_campaign: "spring", utm_source: "newsletter" } }),
  () => ({ geo_rules: ["GB", "FR", "AT", "US"].map(geo) }),
  () => ({
    rules: [
      { id: "r1", when: { countries: ["DE", "AT"], devices: ["mobile", "tablet"], os: ["ios"] }, to: { url: "https://apps.example.com/ios" } },
      { id: "r2", when: { os: ["android"] }, to: { url: "https://apps.example.com/android" } },
      { id: "r3", when: { languages: ["de"] }, to: { url: "https://www.example.de/" } },
    ],
  }),
  () => ({
    ab_test: {
      id: 42,
      status: "active",
      variants: [
        { id: "v1", name: "Control", destination_url: "https://www.example.com/a", weight: 50 },
        { id: "v2", name: "Variant", destination_url: "https://www.example.com/b", weight: 50 },
      ],
    },
  }),
  () => ({ forward_query: true, utm_templates: [{ platform_domains: ["twitter.com", "t.co"], utm_source: "twitter", utm_medium: "social" }] }),
  () => ({ evolution_rules: [{ id: "ev1", priority: 10, starts_at: "2026-02-01T00:00:00Z", ends_at: "2036-02-08T00:00:00Z", destination_url: "https://www.example.com/launch" }] }),
];

const AGENTS = [
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
  "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
];

export const links = Array.from({ length: 64 }, (_, index) => {
  const slug = `link${String(index).padStart(4, "0")}`;
  return [slug, JSON.stringify({ ...base(slug), ...kinds[index % kinds.length]() })];
});

export const requests = Array.from({ length: 320 }, (_, index) => ({
  path: `/${links[index % links.length][0]}${index % 4 === 0 ? "?gclid=abc123&x=1" : ""}`,
  headers: {
    "cf-connecting-ip": `192.0.2.${index % 256}`,
    "cf-ipcountry": ["AT", "DE", "US", "BR"][index % 4],
    "user-agent": AGENTS[index % AGENTS.length],
    "accept-language": ["de-AT,de;q=0.9,en;q=0.8", "en-US,en;q=0.9"][index % 2],
    ...(index % 3 === 0 ? { referer: "https://t.co/AbCdEf" } : {}),
  },
}));
