// What our own stand-in for Cloudflare's interface to KV answers: the tests of the sync lean on it.

import { assert, assertEqual, start, test } from "./harness.mjs";
import { ACCOUNT, NAMESPACE, startKvApi, TOKEN } from "./kv-api.mjs";

async function withApi(run) {
  const worker = await start("test-worker.mjs", { bindings: { DEFAULT_DOMAIN: "go.example" } });
  const api = await startKvApi(worker);
  const base = `${api.url}/accounts/${ACCOUNT}/storage/kv/namespaces/${NAMESPACE}`;
  const call = async (method, path, body, headers = {}) => {
    const sent = typeof body === "string" || body === undefined || body instanceof FormData ? body : JSON.stringify(body);
    const response = await fetch(path.startsWith("http") ? path : base + path, { method, body: sent, headers: { authorization: `Bearer ${TOKEN}`, ...headers } });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: text.startsWith("{") ? JSON.parse(text) : null };
  };
  try {
    await run({ worker, api, call });
  } finally {
    await worker.stop();
    await api.stop();
  }
}

test("what the KV interface writes is what the Worker reads", () =>
  withApi(async ({ worker, api, call }) => {
    const pairs = Array.from({ length: 25 }, (_, index) => ({ key: `k/${index}`, value: `https://example.com/${index}`, metadata: { version: index } }));
    const { json } = await call("PUT", "/bulk", pairs.map((pair) => ({ ...pair, key: pair.key.slice(2) })));
    assertEqual(json, { result: { successful_key_count: 25, unsuccessful_keys: [] }, success: true, errors: [], messages: [] }, "a bulk write");
    assertEqual((await worker.ask("/7")).headers.get("location"), "https://example.com/7", "a visitor");
    assertEqual((await call("PUT", "/values/other.example%2Fa%20b", "https://example.com/x")).status, 200, "one value");
    assertEqual((await call("GET", "/values/other.example%2Fa%20b")).text, "https://example.com/x", "and back");
    const form = new FormData();
    form.set("value", "https://example.com/y");
    form.set("metadata", '{"version":3}');
    assertEqual((await call("PUT", "/values/form", form)).status, 200, "one with metadata");

    const found = [];
    let cursor = "";
    do {
      const page = (await call("GET", `/keys?limit=10&cursor=${encodeURIComponent(cursor)}`)).json;
      assert(page.result.length <= 10, "a page");
      found.push(...page.result);
      cursor = page.result_info.cursor;
    } while (cursor);
    assertEqual(found.length, 27, "keys");
    assertEqual(found.find(({ name }) => name === "form").metadata, { version: 3 }, "metadata");
    assertEqual((await call("GET", "/keys?prefix=other.")).json.result.length, 1, "keys with a prefix");
    api.skippedMs += 1_000;
    assertEqual((await call("POST", "/bulk/delete", ["form", "absent"])).json.result.successful_key_count, 2, "a bulk delete");
    assertEqual((await call("DELETE", "/values/other.example%2Fa%20b")).status, 200, "one delete");
    const gone = await call("GET", "/values/form");
    assertEqual([gone.status, gone.json.errors[0].code], [404, 10009], "what is gone");
  }));

test("the KV interface keeps to the platform's limits", () =>
  withApi(async ({ worker, api, call }) => {
    const code = ({ status, json }) => [status, json.success, json.errors[0].code];
    const pair = (key, more = {}) => ({ key, value: "https://example.com/", ...more });
    assertEqual(code(await call("GET", "/keys", undefined, { authorization: "Bearer x" })), [401, false, 10000], "a wrong token");
    assertEqual(code(await call("GET", `${api.url}/accounts/x/storage/kv/namespaces/${NAMESPACE}/keys`)), [400, false, 7003], "a wrong account");
    assertEqual(code(await call("GET", `${api.url}/accounts/${ACCOUNT}/storage/kv/namespaces/x/keys`)), [404, false, 10013], "a wrong namespace");
    for (const limit of [9, 1_001]) assertEqual((await call("GET", `/keys?limit=${limit}`)).status, 400, `limit ${limit}`);
    assertEqual((await call("PUT", "/bulk", Array.from({ length: 10_001 }, (_, index) => pair(`k${index}`)))).status, 400, "too many pairs");
    assertEqual((await call("PUT", "/bulk", [pair("good"), pair("x".repeat(513))])).status, 400, "a long key");
    for (const key of ["", ".", ".."]) assertEqual((await call("PUT", "/bulk", [pair(key)])).status, 400, `key ${key}`);
    assertEqual((await call("PUT", "/bulk", [pair("good", { metadata: "x".repeat(1_023) })])).status, 400, "long metadata");
    assertEqual((await worker.links.list()).keys, [], "what a refused call has written");
    assertEqual((await call("PUT", "/values/a", "https://example.com/1")).status, 200, "a write");
    assertEqual((await call("PUT", "/values/a", "https://example.com/2")).status, 429, "a second one at once");
    assertEqual((await call("PUT", "/bulk", [pair("a"), pair("b")])).json.result.unsuccessful_keys, ["a"], "in bulk");
    assertEqual(api.tooSoon, 2, "writes too soon");
  }));

test("the KV interface has faults on demand", () =>
  withApi(async ({ worker, api, call }) => {
    const put = (key) => call("PUT", "/bulk", [{ key, value: "https://example.com/" }, { key: `${key}2`, value: "https://example.com/" }]);
    const isThere = async (key) => (await worker.links.get(key)) !== null;
    api.faultOf = () => ({ status: 429, retryAfter: 7 });
    const limited = await put("a");
    assertEqual([limited.status, limited.headers.get("retry-after"), await isThere("a")], [429, "7", false], "429");
    api.faultOf = () => ({ status: 429, code: 10048 });
    assertEqual((await put("a")).json.errors[0].code, 10048, "the day's quota");
    api.faultOf = () => "html";
    assertEqual((await put("a")).json, null, "a body that is no JSON");
    api.faultOf = () => ({ refused: ["a"] });
    assertEqual([(await put("a")).json.result.unsuccessful_keys, await isThere("a"), await isThere("a2")], [["a"], false, true], "partial success");
    for (const [fault, key, expect] of [["reset", "b", false], ["lost", "c", true]]) {
      api.faultOf = () => fault;
      const error = await put(key).catch((error) => error);
      assert(error instanceof TypeError, `${fault}: ${error}`);
      assertEqual(await isThere(key), expect, fault);
    }
    api.faultOf = () => "hang";
    const hanging = put("d").catch(() => "ended");
    assertEqual(await Promise.race([hanging, worker.ask("/a2").then(() => "hangs")]), "hangs", "a call that hangs");
    api.release();
    assertEqual([await hanging, await isThere("d")], ["ended", false], "when released");
  }));

test("a place keeps what it has read, and that there was nothing", () =>
  withApi(async ({ worker }) => {
    const at = async (place, seconds) => {
      const headers = { "x-test-place": place, "x-test-now": String(1_800_000_000_000 + seconds * 1_000) };
      const response = await worker.ask("/a", { headers });
      return [response.status, response.headers.get("location")];
    };
    const first = [302, "https://example.com/1"];
    const second = [302, "https://example.com/2"];
    assertEqual(await at("vie", 0), [404, null], "before it is made");
    await worker.links.put("a", first[1]);
    assertEqual(await at("vie", 299), [404, null], "a cached miss");
    assertEqual(await at("fra", 299), first, "elsewhere");
    assertEqual(await at("vie", 300), first, "when the cache has had its time");
    await worker.links.put("a", second[1]);
    assertEqual(await at("fra", 598), first, "a stale read");
    assertEqual(await at("fra", 599), second, "when its time is over");
    await worker.links.delete("a");
    assertEqual([await at("fra", 700), await at("fra", 899)], [second, [404, null]], "a delete");
  }));
