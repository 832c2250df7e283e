// Random records and visits from a seed: mostly sensible, sometimes at the edge of sense, so that every step of a decision
// is reached and missed.

/** A generator of numbers below 1 (mulberry32). */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const URLS = [
  "https://example.com/",
  "https://example.com",
  "https://example.com/a/b?x=1&utm_source=own#part",
  "HTTPS://Example.COM:443/%7euser/../p?q=ä",
  "https://bücher.example/größe?a=b&",
  "http://192.0.2.7:8080/x;y=1",
  "http://[2001:db8::1]/",
  "https://example.com/a b?c=d e#f g",
  "https://xn--bcher-kva.example/?it's",
  "https://a.example/?",
  "https://a.example/#?utm_term=x",
];
const BAD_URLS = ["javascript:alert(1)", "https://u:p@example.com/", "//example.com", "", "https://exa mple.com/", "data:,x", "https://a.example/\r\nx"];
const AGENTS = [
  null,
  "",
  "curl/8.5.0",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
  "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/140.0.0.0",
  "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
  "TelegramBot (like TwitterBot)",
  "ünïcode ✓",
];
const COUNTRIES = ["DE", "at", "GB", "US", "XX", "T1", "deu", ""];
const LANGUAGES = ["de", "de-AT", "en", "fr", "zh-Hant", "*"];
const HEADERS = [null, "", "de-AT,de;q=0.9,en;q=0.8", "en;q=0, fr", "*", "zh-Hant-TW,zh", "EN-us"];
const REFERRERS = [null, "", "https://t.co/x?secret", "https://m.twitter.com/", "https://nottwitter.com/", "https://BÜCHER.example/", "android-app://com.twitter.android/"];
const SITES = ["t.co", "twitter.com", "bücher.example", "com.twitter.android", " T.CO. "];
const QUERIES = [null, "", "a=1", "ref=mail&x=2", "utm_source=visitor&utm_term=t", "a=ä&b='<>\"", "ref=m%61il", "x=1&x=2&flag&=v", "a b=c\td", "q=" + "y".repeat(2_100), Array(60).fill("a=1").join("&")];
const REGIONS = ["DE-BY", "at-9", "GB-ENG", ""];
const CITIES = ["Munich", "VIENNA", "S\u00e3o Paulo", ""];
const NETWORKS = ["192.0.2.0/24", "198.51.100.128/25", "2001:db8::/32", "::/0", "192.0.2.7", "192.0.2.0/33", "x"];
const HOURS = ["mon-fri 09:00-17:00", "sun", "13:00-13:01", "sat 22:00-14:00", "never"];
const ZONES = [
  {},
  { time_zone: "UTC" },
  { time_zone: "Europe/Berlin", time_zone_rule: "CET-1CEST,M3.5.0,M10.5.0/3" },
  { time_zone: "Europe/Dublin", time_zone_rule: "IST-1GMT0,M10.5.0,M3.5.0/1" },
  { time_zone: "Australia/Lord_Howe", time_zone_rule: "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0" },
  { time_zone: "Nowhere/Land" },
  { time_zone: "Europe/Berlin", time_zone_rule: "CET-1CEST" },
];
const TIMES = ["2026-03-01T12:00:00Z", "2026-03-01T11:59:59.999999Z", "2026-02-01T00:00:00+02:00", "2027-01-01T00:00:00Z", "2026-03-01T12:00:00.000001Z"];

export function randomPair(random) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  const chance = (share) => random() < share;
  const some = (list) => list.filter(() => chance(0.4));
  const url = () => (chance(0.01) ? pick(BAD_URLS) : pick(URLS));
  const id = () => (chance(0.5) ? Math.floor(random() * 100) : `id-${Math.floor(random() * 100)}`);
  const maybe = (share, make) => (chance(share) ? make() : undefined);
  const utms = () => ({
    utm_source: maybe(0.5, () => pick(["mail", "news letter", "", "ä&b=c"])),
    utm_medium: maybe(0.3, () => "social"),
    utm_campaign: maybe(0.3, () => "späti"),
    utm_term: maybe(0.2, () => "+%"),
    utm_content: maybe(0.2, () => null),
  });
  const split = () => ({
    id: id(),
    status: pick(["active", "active", "active", "paused"]),
    variants: Array.from({ length: Math.floor(random() * 4) }, () => ({ id: id(), destination_url: url(), weight: pick([0, 1, 50, 4_000_000_000]) })),
  });
  const members = () => ({
    countries: maybe(0.3, () => some(COUNTRIES)),
    devices: maybe(0.3, () => some(["desktop", "mobile", "Tablet", "other", "toaster"])),
    os: maybe(0.2, () => some(["ios", "android", "windows", "macos", "linux", "chromeos", "other"])),
    languages: maybe(0.2, () => some(LANGUAGES)),
    referrers: maybe(0.2, () => some(SITES)),
    query: maybe(0.2, () => ({ ref: pick(["mail", "web"]) })),
    browsers: maybe(0.1, () => some(["chrome", "safari", "firefox", "edge", "Other", "netscape"])),
    regions: maybe(0.1, () => some(REGIONS)),
    cities: maybe(0.1, () => some(CITIES)),
    addresses: maybe(0.1, () => some(NETWORKS)),
    query_present: maybe(0.1, () => some(["ref", "x", "a b"])),
    schedule: maybe(0.1, () => ({ hours: some(HOURS), ...pick(ZONES) })),
  });
  const when = () => ({
    ...members(),
    from: maybe(0.2, () => pick(TIMES)),
    until: maybe(0.2, () => pick(TIMES)),
    preferred_languages: maybe(0.1, () => some(LANGUAGES)),
    not: maybe(0.2, members),
  });
  const list = (share, length, make) => maybe(share, () => Array.from({ length: 1 + Math.floor(random() * length) }, make));
  const record = chance(0.05)
    ? url()
    : {
        destination_url: url(),
        version: maybe(0.5, () => Math.floor(random() * 1e9)),
        redirect_status: maybe(0.4, () => pick([301, 302, 303, 307, 308, 308, null, 200])),
        forward_query: maybe(0.5, () => pick([true, false, null])),
        enabled: maybe(0.3, () => pick([true, true, true, false, null])),
        starts_at: maybe(0.1, () => pick(TIMES)),
        expires_at: maybe(0.1, () => pick(TIMES)),
        expired_url: maybe(0.2, url),
        password_hash: maybe(0.05, () => "$argon2id$x"),
        created_at: maybe(0.5, () => pick(TIMES)),
        rules: list(0.5, 3, () => ({ id: maybe(0.8, id), when: when(), to: chance(0.7) ? { url: url() } : { ab_test: split() } })),
        evolution_rules: list(0.3, 4, () => ({ id: maybe(0.8, id), priority: pick([0, 1, 10, -5]), starts_at: maybe(0.6, () => pick(TIMES)), ends_at: maybe(0.4, () => pick(TIMES)), destination_url: url() })),
        geo_rules: list(0.4, 3, () => ({ country_code: pick(COUNTRIES), destination_url: url() })),
        ab_test: maybe(0.4, split),
        link_utms: maybe(0.3, utms),
        utm_templates: list(0.3, 2, () => ({ platform_domains: some(SITES), ...utms() })),
        unknown_field: maybe(0.2, () => ({ nested: [1, "two", null] })),
      };
  const visit = {
    now: pick(TIMES),
    method: pick(["GET", "GET", "GET", "GET", "HEAD", "POST", "PUT"]),
    query: pick(QUERIES),
    ip: pick([null, "192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7", `198.51.100.${Math.floor(random() * 256)}`]),
    country: pick([null, ...COUNTRIES]),
    region: pick([null, ...REGIONS]),
    city: pick([null, ...CITIES]),
    user_agent: pick(AGENTS),
    referrer: pick(REFERRERS),
    accept_language: pick(HEADERS),
    visitor_id: pick([null, null, `visitor-${Math.floor(random() * 1_000)}`]),
    purpose: pick([null, null, null, "prefetch", "prefetch;prerender", "navigate"]),
    unlocked: pick([null, null, true, false, "refused"]),
  };
  return { record, visit };
}
