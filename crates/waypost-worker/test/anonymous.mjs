// Links that anyone may make where the Worker runs alone.

import { assert, assertEqual, start, test } from "./harness.mjs";

async function withWorker(options, run) {
  const worker = await start("test-worker.mjs", options);
  const post = async (body, headers = {}) => {
    const response = await worker.ask("/api/url", { method: "POST", body, headers });
    return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) };
  };
  try {
    return await run(worker, post);
  } finally {
    await worker.stop();
  }
}

test("a URL becomes a link, and the same URL the same link", () =>
  withWorker({ bindings: { DEFAULT_DOMAIN: "go.example" } }, async (worker, post) => {
    const first = await post('{"originalUrl":"https://Example.com/a b"}');
    assertEqual(first.status, 200, "made");
    const { urlKey, shortUrl, originalUrl } = first.body;
    assert(/^[0-9A-Za-z]{8}$/.test(urlKey), urlKey);
    assertEqual([shortUrl, originalUrl], [`https://go.example/${urlKey}`, "https://Example.com/a b"], "the answer");
    assertEqual(JSON.parse(await worker.links.get(urlKey)).destination_url, "https://example.com/a%20b", "stored");
    assertEqual((await worker.ask(`/${urlKey}`)).headers.get("location"), "https://example.com/a%20b", "followed");
    assertEqual((await post('{"originalUrl":"https://example.com/a%20b"}')).body.urlKey, urlKey, "again");
    await worker.links.delete(urlKey);
    assert((await post('{"originalUrl":"https://example.com/a%20b"}')).body.urlKey !== urlKey, "after it was deleted");
    assert((await post('{"originalUrl":"https://example.com/other"}')).body.urlKey !== urlKey, "another URL");
  }));

test("bad bodies and URLs are 400 and leave nothing", () =>
  withWorker({ bindings: { DEFAULT_DOMAIN: "go.example", DOMAINS: '{"b.example":{}}' } }, async (worker, post) => {
    const bodies = {
      "": "bad_json", "{": "bad_json", "[]": "bad_json", null: "bad_json", "{}": "url_invalid", '{"originalUrl":7}': "url_invalid", '{"originalUrl":"x"}': "url_invalid",
      '{"originalUrl":"javascript:alert(1)"}': "url_invalid", '{"originalUrl":"https://go.example/x"}': "url_invalid", '{"originalUrl":"https://b.example/"}': "url_invalid",
      '{"originalUrl":"https://a:b@example.com/"}': "url_invalid", '{"originalUrl":"https://example.com/\\r\\nx"}': "url_invalid", "\ud800\u0000": "bad_json",
    };
    for (const [body, code] of Object.entries(bodies)) {
      const answer = await post(body);
      assertEqual([answer.status, answer.body.code, answer.headers.get("content-type")], [400, code, "application/problem+json"], body);
      assertEqual([answer.body.type, answer.body.status], [`/docs/problems#${code}`, 400], body);
    }
    const long = JSON.stringify({ originalUrl: `https://example.com/${"x".repeat(8_192)}` });
    assertEqual((await post(long)).body.errors[0].code, "destination_length", "a long URL");
    assertEqual((await post(JSON.stringify({ originalUrl: "x".repeat(70_000) }))).status, 413, "a large body");
    const got = await worker.ask("/api/url");
    assertEqual([got.status, got.headers.get("allow")], [405, "POST"], "GET");
    assertEqual((await worker.links.list()).keys.length, 0, "stored links");
    assertEqual(got.headers.get("access-control-allow-origin"), "*", "who may read that");
    const asking = { origin: "https://any.example", "access-control-request-method": "POST" };
    const may = await worker.ask("/api/url", { method: "OPTIONS", headers: asking });
    assertEqual([may.status, may.headers.get("access-control-allow-origin")], [204, "*"], "a preflight");
    const foreign = { method: "POST", body: "originalUrl=https%3A%2F%2Fexample.com%2F", headers: { "sec-fetch-site": "cross-site" } };
    assertEqual((await worker.ask("/", foreign)).status, 403, "the form of the landing page on another site");
  }));

test("it can be switched off, and is where a control plane makes the links", async () => {
  for (const bindings of [{ ANONYMOUS_LINKS: "off" }, { CONTROL_URL: "http://127.0.0.1:1", WEBHOOK_SECRET: `whsec_${"A".repeat(32)}` }]) {
    await withWorker({ bindings }, async (worker, post) => {
      const answer = await post('{"originalUrl":"https://example.com/"}');
      assertEqual([answer.status, answer.body.code], [403, "anonymous_links_off"], "the API");
      const page = await (await worker.ask("/")).text();
      assert(!page.includes("<form"), page);
    });
  }
});

test("the landing page works without a script", () =>
  withWorker({}, async (worker) => {
    const send = async (originalUrl) => {
      const response = await worker.ask("/", { method: "POST", body: new URLSearchParams({ originalUrl }) });
      return { status: response.status, text: await response.text() };
    };
    const page = await (await worker.ask("/")).text();
    assert(page.includes('<form method="post" action="/">') && !page.includes("<script"), page);
    const made = await send("https://example.com/landing");
    const slug = /href="http:\/\/go\.example\/([0-9A-Za-z]{8})"/.exec(made.text)?.[1];
    assertEqual((await worker.ask(`/${slug}`)).headers.get("location"), "https://example.com/landing", "followed");
    const bad = await send('"><script>alert(1)</script>');
    assert(bad.status === 400 && !bad.text.includes("<script") && bad.text.includes("role=\"alert\""), bad.text);
  }));

test("an address is held up by the platform's limiter, or by counters in KV", async () => {
  const limiters = [
    { ratelimits: { ANONYMOUS_RATE: { simple: { limit: 3, period: 60 } } } },
    { bindings: { ANONYMOUS_PER_MINUTE_BY_KV: "3" } },
  ];
  for (const options of limiters) {
    await withWorker(options, async (_, post) => {
      const now = String(Date.now());
      const statuses = [];
      for (let index = 0; index < 5; index++) {
        statuses.push((await post(JSON.stringify({ originalUrl: `https://example.com/${index}` }), { "x-test-now": now })).status);
      }
      assertEqual(statuses, [200, 200, 200, 429, 429], JSON.stringify(options));
      const other = await post('{"originalUrl":"https://example.com/x"}', { "cf-connecting-ip": "2001:db8::1", "x-test-now": now });
      assertEqual(other.status, 200, "another address");
    });
  }
});

test("a limit that cannot be asked lets through, a KV that cannot be written does not pretend", () =>
  withWorker({ bindings: { ANONYMOUS_PER_MINUTE_BY_KV: "3" } }, async (_, post) => {
    const answer = await post('{"originalUrl":"https://example.com/"}', { "x-test-kv": "throw" });
    assertEqual([answer.status, answer.body.code, answer.headers.get("retry-after")], [503, "unavailable", "1"], "KV throws");
  }));
