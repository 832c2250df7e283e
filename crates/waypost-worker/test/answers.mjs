// What visitors get: redirects, pages, previews, passwords; and what they get when KV or a value is broken.

import { HOST, OTHER_HOST, synced, withEdges } from "./edges.mjs";
import { assert, assertEqual, start, startReceiver, SECRET, test } from "./harness.mjs";

const LINK = { destination_url: "https://example.com/", link_id: "link_1", version: 3 };
// argon2id of `secret` with 19 MiB and two passes.
const HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$14ukWqiThj4Xz77NYv01V28GbBZHY9AaZwsFswQFO0U";

async function withWorker(options, run) {
  const worker = await start("test-worker.mjs", options);
  try {
    return await run(worker);
  } finally {
    await worker.stop();
  }
}

async function answered(worker, path, init) {
  const response = await worker.ask(path, init);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

test("redirects carry a location and a cache policy and nothing else", () =>
  withWorker({ bindings: { DEFAULT_DOMAIN: "go.example", DOMAINS: '{"b.example":{"case_insensitive":true,"root_url":"https://b.example/home"}}' } }, async (worker) => {
    await worker.links.put("a", JSON.stringify(LINK));
    await worker.links.put("größe/x", "https://example.com/bare");
    await worker.links.put("b.example/abc", "https://b.example/target");
    await worker.links.put("p", JSON.stringify({ ...LINK, redirect_status: 301 }));
    for (const method of ["GET", "HEAD"]) {
      const { status, headers, text } = await answered(worker, "/a", { method });
      assertEqual([status, headers.get("location"), headers.get("cache-control"), text], [302, "https://example.com/", "private, no-store", ""], method);
      assertEqual(headers.get("content-type"), null, "content type");
    }
    const location = async (path) => (await answered(worker, path)).headers.get("location");
    assertEqual(await location("/gr%C3%B6%C3%9Fe/x"), "https://example.com/bare", "an encoded path");
    assertEqual(await location("/a/"), "https://example.com/", "one closing slash");
    assertEqual(await location("http://b.example/ABC"), "https://b.example/target", "another domain, whatever the case");
    assertEqual(await location("http://b.example/"), "https://b.example/home", "the root of a domain");
    assertEqual((await answered(worker, "http://c.example/a")).status, 404, "a link of another domain");
    assertEqual((await answered(worker, "/p")).headers.get("cache-control"), "private, max-age=60", "a permanent redirect");
  }));

test("what is no link is a page of its own kind", () =>
  withWorker({}, async (worker) => {
    await worker.links.put("a", JSON.stringify(LINK));
    await worker.links.put("old", JSON.stringify({ ...LINK, expires_at: "2020-01-01T00:00:00Z" }));
    await worker.links.put("api", "https://example.com/");
    const cases = [
      ["/none", {}, 404], ["/old", {}, 410], ["/a", { method: "PUT" }, 405], ["/a", { method: "POST", body: "x" }, 405],
      ["/none", { method: "POST", body: "x" }, 405], ["/api", {}, 404], ["/metrics", {}, 404], ["/a%2Fb", {}, 404], ["/%ff", {}, 404],
      ["/" + "a".repeat(200), {}, 404], ["/" + "a".repeat(9_000), {}, 414], ["/none+", {}, 404], ["/old+", {}, 410], ["//evil.example", {}, 404],
    ];
    for (const [path, init, expect] of cases) {
      const { status, headers, text } = await answered(worker, path, init);
      const what = `${init.method ?? "GET"} ${path.slice(0, 40)}`;
      assertEqual(status, expect, what);
      assertEqual([headers.get("location"), headers.get("x-content-type-options"), headers.get("cache-control")], [null, "nosniff", "private, no-store"], what);
      assert(headers.get("content-security-policy").includes("default-src 'none'") && text.startsWith("<!doctype html>"), what);
      if (expect === 405) assertEqual(headers.get("allow"), "GET, HEAD", what);
    }
    const problem = await answered(worker, "/none", { headers: { accept: "application/json" } });
    assertEqual([problem.headers.get("content-type"), JSON.parse(problem.text).status], ["application/problem+json", 404], "for programs");
  }));

test("a broken KV is 503 or a copy read before, never 404", () =>
  withWorker({}, async (worker) => {
    await worker.links.put("a", JSON.stringify(LINK));
    const unread = await answered(worker, "/a", { headers: { "x-test-kv": "throw" } });
    assertEqual([unread.status, unread.headers.get("retry-after"), unread.headers.get("cache-control")], [503, "1", "private, no-store"], "never read");
    assertEqual((await answered(worker, "/a+", { headers: { "x-test-kv": "throw" } })).status, 503, "its preview");
    assertEqual((await answered(worker, "/a")).status, 302, "while it works");
    assertEqual((await answered(worker, "/a", { headers: { "x-test-kv": "throw" } })).headers.get("location"), "https://example.com/", "read before");
    const later = String(Date.now() + 3_600_000);
    assertEqual((await answered(worker, "/a", { headers: { "x-test-kv": "throw", "x-test-now": later } })).status, 503, "read long before");
    assertEqual((await answered(worker, "/unknown", { headers: { "x-test-kv": "throw" } })).status, 503, "unknown");
    assertEqual((await answered(worker, "/zz", { headers: { "x-test-kv": "hang" } })).status, 503, "a hanging KV");
  }));

test("malformed values are 502 and a line in the log", () =>
  withWorker({}, async (worker) => {
    const values = {
      cut: '{"destination_url":"https://exam', type: '{"destination_url":["https://example.com/"]}', number: "7", nothing: "", list: "[]",
      script: "javascript:alert(1)", script2: '{"destination_url":"JaVaScRiPt:alert(1)"}', data: "data:text/html,<script>alert(1)</script>",
      crlf: '{"destination_url":"https://example.com/\\r\\nset-cookie: a=b"}', crlf2: "https://example.com/\r\nset-cookie: a=b", relative: "//evil.example/",
      user: "https://user:pw@example.com/", off: '{"destination_url":"https://a.example/","enabled":"no"}',
      lock: '{"destination_url":"https://a.example/","password_hash":{}}', ends: '{"destination_url":"https://a.example/","expires_at":"2020-01-01"}', status: '{"destination_url":"https://a.example/","redirect_status":200}',
      large: "x".repeat(25 * 1024 * 1024), largeJson: JSON.stringify({ ...LINK, note: "y".repeat(2 << 20) }), binary: new Uint8Array([0xff, 0xfe, 0, 1]),
    };
    for (const [key, value] of Object.entries(values)) {
      await worker.links.put(key, value);
      const { status, headers } = await answered(worker, `/${key}`);
      assertEqual([status, headers.get("location"), headers.get("set-cookie")], [502, null, null], key);
    }
    await worker.links.put("good", "https://example.com/");
    assertEqual((await answered(worker, "/good")).status, 302, "a good link afterwards");
    const lines = worker.logs.join("").split("\n").filter((line) => line.includes("waypost_record_errors"));
    assertEqual(lines.length, Object.keys(values).length, "lines in the log");
    assert(!worker.logs.join("").includes("waypost_panics"), worker.logs.join("").slice(0, 2_000));
  }));

test("one bad rule is passed over with a line, and the link leads to its default", () =>
  withWorker({}, async (worker) => {
    const values = {
      rule: { rules: [{ to: { url: "javascript:1" } }] }, list: { rules: 7, geo_rules: "none" }, split: { ab_test: { id: 1, variants: 7 } },
      utm: { link_utms: 7, utm_templates: [null] },
    };
    const plain = { time: { created_at: "15.01.2026", updated_at: 7 }, id: { link_id: 42 }, empty: { ab_test: {}, rules: {} } };
    for (const [key, more] of Object.entries({ ...values, ...plain })) {
      await worker.links.put(key, JSON.stringify({ ...LINK, ...more }));
    }
    const deep = `{"destination_url":"https://example.com/","rules":${"[".repeat(5_000)}${"]".repeat(5_000)}}`;
    await worker.links.put("deep", deep);
    await worker.links.put("mark", "\ufeffhttps://example.com/");
    for (const key of [...Object.keys(values), ...Object.keys(plain), "deep", "mark"]) {
      assertEqual((await answered(worker, `/${key}`)).headers.get("location"), "https://example.com/", key);
      await answered(worker, `/${key}`);
    }
    const lines = worker.logs.join("").split("\n").filter((line) => line.includes("waypost_record_parts_skipped"));
    const counts = Object.fromEntries(lines.map((line) => JSON.parse(line)).map(({ key, count }) => [key, count]));
    assertEqual(counts, { rule: 1, list: 2, split: 1, utm: 2, deep: 1 }, "parts that were passed over");
    // The large value is compiled at each visit, so there is a line at each.
    assertEqual(lines.length, 6, "lines");
  }));

test("a record is followed only on its own domain and under its own slug", () =>
  withWorker({ bindings: { DEFAULT_DOMAIN: "go.example", WEBHOOK_SECRET: SECRET } }, async (worker) => {
    const hello = { ...LINK, domain: "b.example", slug: "hello" };
    await worker.links.put("b.example/hello", JSON.stringify(hello));
    await worker.links.put("b.example/locked", JSON.stringify({ ...hello, slug: "locked", password_hash: HASH }));
    await worker.links.put("copy", JSON.stringify({ ...LINK, domain: "go.example", slug: "own" }));
    await worker.links.put("own", JSON.stringify({ ...LINK, domain: "go.example", slug: "own" }));
    assertEqual((await answered(worker, "http://b.example/hello")).status, 302, "on its own");
    assertEqual((await answered(worker, "/b.example/hello")).status, 404, "on another");
    assertEqual((await answered(worker, "/b.example/hello+")).status, 404, "the preview on another");
    assertEqual((await answered(worker, "/b.example/locked")).status, 404, "the form on another");
    assertEqual((await answered(worker, "/b.example/locked", form("secret"))).status, 404, "the password on another");
    assertEqual((await answered(worker, "http://b.example/locked", form("secret"))).status, 303, "the password on its own");
    assertEqual(worker.logs.join("").includes("waypost_record_errors"), false, "no line that visitors can make");
    assertEqual((await answered(worker, "/own")).status, 302, "under its own slug");
    assertEqual((await answered(worker, "/copy")).status, 404, "under another");
    assert(worker.logs.join("").includes("waypost_record_errors"), "a line for a key that is not the record's");
  }));

test("keys that KV may hold and slugs may not are followed", () =>
  withWorker({}, async (worker) => {
    const keys = ["a!b", "a@b", "~b", "a:b", "a=b", "a,b", "it's", "a&b", "$a", "50%", "*", "(a)", "a b", "😀", "a😀 b/c", "a+b", "a;b", '"a"'];
    for (const key of keys) {
      await worker.links.put(key, "https://example.com/");
      assertEqual((await answered(worker, `/${key.split("/").map(encodeURIComponent).join("/")}`)).status, 302, key);
    }
    for (const path of ["/a!b", "/~b", "/it's", "/*", "/(a)", "/a@b", "/a:b", "/a=b", "/a,b", "/a&b", "/$a"]) {
      assertEqual((await answered(worker, path)).status, 302, `${path} as it is`);
    }
    assertEqual((await answered(worker, "/a%20b+")).status, 200, "the preview of one");
    for (const path of ["/a%2Fb", "/%00", "/a%0ab", "/other%20key"]) assertEqual((await answered(worker, path)).status, 404, path);
  }));

test("a mark at the end is left out where nothing is found with it", () =>
  withWorker({}, async (worker) => {
    await worker.links.put("abc", "https://example.com/abc");
    await worker.links.put("dot.", "https://example.com/dot");
    const location = async (path) => (await answered(worker, path)).headers.get("location");
    for (const path of ["/abc.", "/abc,", "/abc)", "/abc%20", "/abc%E2%80%8B", "/abc%E3%80%82", "/abc;?a=1", "/abc-"]) {
      assertEqual(await location(path), "https://example.com/abc", path);
    }
    assertEqual(await location("/dot."), "https://example.com/dot", "never instead of a link that exists");
    for (const path of ["/dot", "/abc..", "/nothing.", "/%FF."]) assertEqual((await answered(worker, path)).status, 404, path);
  }));

test("what is no web page is pressed and not sent", () =>
  withWorker({ bindings: { LINK_SCHEMES: "tel" } }, async (worker) => {
    await worker.links.put("call", JSON.stringify({ ...LINK, destination_url: "tel:+4312345", link_utms: { utm_source: "x" } }));
    const { status, headers, text } = await answered(worker, "/call");
    assertEqual([status, headers.get("location"), headers.get("cache-control")], [200, null, "private, no-store"], "no redirect");
    assert(text.includes('<a href="tel:+4312345" rel="nofollow noreferrer">'), text);
    assertEqual((await answered(worker, "/call", { method: "HEAD" })).text, "", "HEAD");
  }));

test("the preview marks hosts that look like others", () =>
  withWorker({}, async (worker) => {
    await worker.links.put("fake", "https://p\u0430ypal.com/");
    await worker.links.put("mixed", "https://ex\u0430mple.com/");
    assert((await answered(worker, "/fake+")).text.includes("is written xn--"), "an address with letters of several scripts");
    assert((await answered(worker, "/mixed+")).text.includes("is written xn--"), "mixed scripts");
  }));

test("the preview says where a link goes and escapes it", () =>
  withWorker({}, async (worker) => {
    await worker.links.put("a", JSON.stringify({ ...LINK, destination_url: "https://example.com/?a=1&b=<script>" }));
    await worker.links.put("locked", JSON.stringify({ ...LINK, password_hash: HASH }));
    const { status, text } = await answered(worker, "/a+");
    assert(status === 200 && text.includes("https://example.com/?a=1&amp;b=%3Cscript%3E") && !text.includes("<script"), text);
    const locked = await answered(worker, "/locked+");
    assert(locked.text.includes("protected by a password") && !locked.text.includes("example.com"), locked.text);
  }));

function form(password) {
  return { method: "POST", body: new URLSearchParams({ password }), headers: { "content-type": "application/x-www-form-urlencoded" } };
}

test("a password opens a link, checked here where there is no control plane", () =>
  withWorker({ bindings: { WEBHOOK_SECRET: SECRET } }, async (worker) => {
    await worker.links.put("locked", JSON.stringify({ ...LINK, password_hash: HASH }));
    const shown = await answered(worker, "/locked");
    assert(shown.status === 200 && shown.text.includes('<form method="post">'), shown.text);
    assertEqual((await answered(worker, "/locked", form("wrong"))).status, 401, "a wrong password");
    assertEqual((await answered(worker, "/locked", form("x".repeat(2_000)))).status, 401, "a long body");
    const opened = await answered(worker, "/locked?a=1", form("secret"));
    assertEqual([opened.status, opened.headers.get("location")], [303, "/locked?a=1"], "the right one");
    const cookie = opened.headers.get("set-cookie");
    assert(/^wp_unlock_[0-9a-f]{16}=\d+\.[0-9a-f]{64}; Path=\/locked; Max-Age=86400; HttpOnly; SameSite=Lax; Secure$/.test(cookie), cookie);
    const headers = { cookie: `x=y; ${cookie.split(";")[0]}` };
    assertEqual((await answered(worker, "/locked", { headers })).status, 302, "with the cookie");
    await worker.links.put("locked", JSON.stringify({ ...LINK, version: 4, password_hash: HASH }));
    assertEqual((await answered(worker, "/locked", { headers })).status, 200, "with the cookie of an older version");
    const forged = { cookie: headers.cookie.replace(/[0-9a-f]$/, (digit) => (digit === "0" ? "1" : "0")) };
    assertEqual((await answered(worker, "/locked", { headers: forged })).status, 200, "with a forged cookie");
    assertEqual((await answered(worker, "/locked", { method: "PUT" })).status, 405, "another method");
    const from = async (more) => (await answered(worker, "/locked", { ...form("secret"), headers: { ...form("").headers, ...more } })).status;
    assertEqual(await from({ "sec-fetch-site": "cross-site" }), 403, "a form of another site");
    assertEqual(await from({ origin: "https://evil.example" }), 403, "a form of another origin");
    assertEqual(await from({ origin: "null", "sec-fetch-site": "same-origin" }), 303, "the own form");
  }));

test("a password is checked by the control plane where there is one, on every domain", async () => {
  const control = await startReceiver();
  const seen = [];
  control.unlock = (attempt) => {
    seen.push(attempt);
    const answers = {
      secret: { outcome: "granted" }, often: { outcome: "throttled", retry_after_s: 7 }, gone: { outcome: "gone" }, deleted: { outcome: "not_found" },
      opened: { outcome: "not_locked" }, broken: 500, unsigned: 401, strange: { outcome: "perhaps" }, nothing: null,
    };
    return attempt.password in answers ? answers[attempt.password] : { outcome: "refused" };
  };
  const expected = { secret: 303, wrong: 401, often: 429, gone: 410, deleted: 404, opened: 405, broken: 503, unsigned: 503, strange: 503, nothing: 503, "": 401, "ö&\"\u0000": 401 };
  try {
    const bindings = { WEBHOOK_SECRET: SECRET, CONTROL_URL: control.url, DEFAULT_DOMAIN: "go.example" };
    await withWorker({ bindings }, async (worker) => {
      // A hash that cannot be checked here shows that it is not.
      const locked = JSON.stringify({ ...LINK, password_hash: "$argon2id$unreadable" });
      await worker.links.put("locked", locked);
      await worker.links.put("b.example/größe", locked);
      for (const [password, expect] of Object.entries(expected)) {
        const { status, headers } = await answered(worker, "/locked", form(password));
        assertEqual(status, expect, password);
        if (expect === 429) assertEqual(headers.get("retry-after"), "7", "when to come back");
      }
      assertEqual(seen[0], { domain: "", path: "/locked", password: "secret", address: "192.0.2.77" }, "what the control plane sees");
      assertEqual(seen.at(-1).password, "ö&\"\u0000", "any text");
      assertEqual((await answered(worker, "http://b.example/gr%C3%B6%C3%9Fe", form("secret"))).status, 303, "on another domain");
      assertEqual(seen.at(-1), { domain: "b.example", path: "/gr%C3%B6%C3%9Fe", password: "secret", address: "192.0.2.77" }, "on another domain");
      assertEqual(control.unsigned, 0, "unsigned messages");
      assert(!worker.logs.join("").includes("secret"), "no password in the log");
    });
  } finally {
    await control.stop();
  }
});

test("the real program knows the password, and who has tried too often", () =>
  withEdges(async ({ worker, control }) => {
    for (const [domain, password] of [[HOST, "one"], [OTHER_HOST, "other"]]) {
      const link = await control.call("POST", "/api/v1/links", { slug: "locked", domain, destination_url: "https://example.com/", password });
      await synced(control, link);
    }
    const tried = async (domain, password, address) => {
      const init = form(password);
      const response = await worker.ask(`http://${domain}/locked`, { ...init, headers: { ...init.headers, "cf-connecting-ip": address } });
      await response.arrayBuffer();
      return response;
    };
    for (const [domain, right, wrong] of [[HOST, "one", "other"], [OTHER_HOST, "other", "one"]]) {
      const opened = await tried(domain, right, "192.0.2.1");
      assertEqual(opened.status, 303, `${domain}: the right one`);
      const headers = { cookie: opened.headers.get("set-cookie").split(";")[0] };
      assertEqual((await worker.ask(`http://${domain}/locked`, { headers })).status, 302, `${domain}: with the cookie`);
      for (let attempt = 1; attempt <= 5; attempt++) assertEqual((await tried(domain, wrong, "192.0.2.1")).status, 401, `${domain}: a wrong one`);
      const throttled = await tried(domain, right, "192.0.2.1");
      assert(throttled.status === 429 && Number(throttled.headers.get("retry-after")) > 0, `${domain}: ${throttled.status}`);
      assertEqual((await tried(domain, right, "192.0.2.2")).status, 303, `${domain}: another visitor`);
    }
    await control.end();
    assertEqual((await tried(HOST, "one", "192.0.2.3")).status, 503, "while it is away");
    assert(!control.output.includes("other") && !worker.logs.join("").includes("password"), "nothing of it in a log");
  }));

test("wrong settings are 503 and named in the log", () =>
  withWorker({ bindings: { ADDRESS_POLICY: "some", CACHE_TTL_S: "5", WEBHOOK_SECRET: "hunter2", DOMAINS: "[]" } }, async (worker) => {
    await worker.links.put("a", JSON.stringify(LINK));
    assertEqual((await answered(worker, "/a")).status, 503, "every request");
    const log = worker.logs.join("");
    for (const name of ["ADDRESS_POLICY", "CACHE_TTL_S", "WEBHOOK_SECRET", "DOMAINS"]) assert(log.includes(name), `${name} in ${log}`);
    assert(!log.includes("hunter2"), "no secret in the log");
  }));
