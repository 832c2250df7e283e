// Links on their way to the Worker: made, changed and deleted through the API of the real program, pushed over the interface of
// KV, followed through workerd. Whatever the interface does in between, both edges must end up saying the same.

import { assert, assertEqual, longTest, test, until } from "./harness.mjs";
import { clockAhead } from "./control.mjs";
import { assertSame, HOST, keyOf, keysIn, kvSettings, makeLinks, OTHER_HOST, overviewOf, randomLinks, settled, stateOf, synced, withEdges } from "./edges.mjs";
import { generator } from "./random.mjs";

const url = (name) => `https://example.com/${name}`;

async function visited(worker, domain, slug, headers = {}) {
  const response = await worker.ask(`http://${domain}/${slug}`, { headers });
  await response.arrayBuffer();
  return [response.status, response.headers.get("location")];
}

async function assertKeys(worker, links) {
  assertEqual(await keysIn(worker), links.map(keyOf).sort(), "keys in KV");
}

test("an edit reaches the Worker's visitors, on every domain", () =>
  withEdges(async ({ worker, api, control }) => {
    const editOn = async (domain) => {
      let link = await control.call("POST", "/api/v1/links", { slug: "a", domain, destination_url: url(1) });
      await synced(control, link);
      assertEqual(await visited(worker, domain, "a"), [302, url(1)], `${domain}: a new link`);
      link = await control.call("PATCH", `/api/v1/links/${link.id}`, { destination_url: url(2) });
      await synced(control, link);
      assertEqual(await visited(worker, domain, "a"), [302, url(2)], `${domain}: a changed one`);
      link = await control.call("PATCH", `/api/v1/links/${link.id}`, { enabled: false });
      await synced(control, link);
      assertEqual(await visited(worker, domain, "a"), [404, null], `${domain}: one that is off`);
      await control.call("DELETE", `/api/v1/links/${link.id}`);
      await settled(control);
      assertEqual(await visited(worker, domain, "a"), [404, null], `${domain}: a deleted one`);
    };
    await Promise.all([HOST, OTHER_HOST].map(editOn));
    await assertKeys(worker, []);
    assertEqual(api.tooSoon, 0, "writes too soon");
  }));

test("edits in quick succession are few writes, and the last one counts", () =>
  withEdges(async (edges) => {
    const { worker, api, control } = edges;
    const [link] = await makeLinks(control, [{ slug: "a", domain: HOST, destination_url: url(0) }]);
    await settled(control);
    const before = api.writes().length;
    for (let edit = 1; edit <= 40; edit++) {
      link.version = (await control.call("PATCH", `/api/v1/links/${link.id}`, { destination_url: url(edit) })).version;
    }
    await synced(control, link);
    assertEqual(await visited(worker, HOST, "a"), [302, url(40)], "the last edit");
    assertEqual(api.tooSoon, 0, "writes too soon");
    const writes = api.writes().length - before;
    assert(writes < 10, `${writes} writes`);
    return `${writes} writes for 40 edits`;
  }));

test("what a place has read stays for its time, and no longer", () =>
  withEdges(async ({ worker, control }) => {
    const at = (seconds) => visited(worker, HOST, "a", { "x-test-place": "vie", "x-test-now": String(Date.now() + seconds * 1_000) });
    assertEqual(await at(0), [404, null], "asked before it is made");
    let link = await control.call("POST", "/api/v1/links", { slug: "a", destination_url: url(1) });
    await synced(control, link);
    assertEqual([await at(60), await visited(worker, HOST, "a")], [[404, null], [302, url(1)]], "a cached miss here, the link elsewhere");
    assertEqual(await at(310), [302, url(1)], "later");
    link = await control.call("PATCH", `/api/v1/links/${link.id}`, { destination_url: url(2) });
    await synced(control, link);
    assertEqual([await at(370), await at(620)], [[302, url(1)], [302, url(2)]], "a stale read, and later");
  }));

/** Each gives the fault of a call, by its number since the fault began. */
const FAULTS = {
  "500": (number) => (number <= 2 ? { status: 500 } : undefined),
  "429 with a time": (number) => (number <= 1 ? { status: 429, code: 971, retryAfter: 1 } : undefined),
  reset: (number) => (number <= 2 ? "reset" : undefined),
  "lost answers": (number) => (number <= 2 ? "lost" : undefined),
  "a body that is no JSON": (number) => (number <= 1 ? "html" : undefined),
  "partial success": (number, call) => (number <= 2 ? { refused: call.keys.filter((_, index) => index % 2 === 0) } : undefined),
  "413": (number, call) => (call.keys.length > 3 ? { status: 413 } : undefined),
};

test("every fault of the interface ends in the truth", () =>
  withEdges(async (edges) => {
    const { worker, api, control } = edges;
    const random = generator(Number(process.env.WAYPOST_SEED ?? 7));
    let links = await makeLinks(control, randomLinks(random, 300));
    await settled(control);
    const gone = [];
    const took = [];
    for (const [name, fault] of Object.entries(FAULTS)) {
      const startedAt = performance.now();
      let number = 0;
      api.faultOf = (call) => fault(++number, call);
      const [patch] = randomLinks(random, 1);
      for (const link of links.slice(0, 8)) {
        const destination_url = url(`${encodeURIComponent(name)}/${link.slug}`);
        await control.call("PATCH", `/api/v1/links/${link.id}`, { destination_url, geo_rules: patch.geo_rules ?? null });
      }
      for (const link of links.slice(8, 11)) await control.call("DELETE", `/api/v1/links/${link.id}`);
      gone.push(...links.slice(8, 11));
      const made = await makeLinks(control, randomLinks(random, 4, `n${took.length}`));
      // What was deleted and is made anew has a newer version than either.
      const [again] = await makeLinks(control, [{ slug: links[8].slug, domain: links[8].domain, destination_url: url("again") }]);
      links = [...links.slice(11), ...links.slice(0, 8), ...made, again];
      await settled(control);
      api.faultOf = () => undefined;
      assert(number > 0, `${name}: no call`);
      await assertKeys(worker, links);
      took.push(`${name} ${Math.round(performance.now() - startedAt)} ms`);
    }
    const redirects = await assertSame(edges, [...links, ...gone], random);
    assert(redirects > links.length, `${redirects} redirects`);
    assertEqual(api.tooSoon, 0, "writes too soon");
    return `${took.join(", ")}; ${redirects} redirects compared`;
  }));

test("one link that KV refuses holds up no other, and says why", () =>
  withEdges(async (edges) => {
    const { worker, api, control } = edges;
    const poison = "r-5";
    api.faultOf = (call) => (call.keys.includes(poison) ? { status: 400, code: 10026, message: "no such value, please" } : undefined);
    const links = await makeLinks(control, Array.from({ length: 100 }, (_, index) => ({ slug: `r-${index}`, domain: HOST, destination_url: url(index) })));
    const bad = links.find(({ slug }) => slug === poison);
    await until("the refusal", async () => (await stateOf(control, bad.id)).status === "failed", 20_000);
    await until("the others", async () => (await overviewOf(control)).counts.synced === links.length - 1, 20_000);
    const state = await stateOf(control, bad.id);
    assert(state.error.includes("no such value, please") && state.next_attempt_at === null, JSON.stringify(state));
    await assertKeys(worker, links.filter((link) => link !== bad));
    const calls = api.writes().length;
    assert(calls < 30, `${calls} calls`);
    api.faultOf = () => undefined;
    await control.call("POST", `/api/v1/links/${bad.id}/sync`);
    await settled(control);
    await assertSame(edges, links);
    return `found in ${calls} calls`;
  }));

const RESTS = {
  rate_limited: [{ status: 429, code: 971 }, 300],
  configuration: [{ status: 401, code: 10000 }, 60],
  quota: [{ status: 429, code: 10048 }, undefined],
};

for (const [reason, [fault, seconds]] of Object.entries(RESTS)) {
  test(`the KV rests: ${reason}`, () =>
    withEdges(async ({ worker, api, control }) => {
      const [link] = await makeLinks(control, [{ slug: "a", domain: HOST, destination_url: url(1) }]);
      await settled(control);
      api.faultOf = () => fault;
      const calls = api.calls.length;
      await control.call("PATCH", `/api/v1/links/${link.id}`, { destination_url: url(2) });
      let view;
      await until("the rest", async () => (view = await overviewOf(control)).health.reason === reason);
      const rest = (Date.parse(view.health.until) - Date.now()) / 1_000;
      assert(seconds === undefined ? rest > 0 : Math.abs(rest - seconds) < 5, `a rest of ${rest} s`);
      assertEqual([view.health.resting, view.counts.pending, view.counts.failed], [true, 1, 0], JSON.stringify(view));
      const state = await stateOf(control, link.id);
      assertEqual(state.status, "pending", JSON.stringify(state));
      assertEqual(api.calls.length - calls, 1, "calls");
      assertEqual(await visited(worker, HOST, "a"), [302, url(1)], "the Worker meanwhile");
      assertEqual((await control.ask("GET", "/a", { headers: { host: HOST } })).headers.location, url(2), "the native edge");
    }));
}

/** Starts the program again as if over a minute had passed, for KV as well. */
async function startAMinuteLater({ api, control }) {
  await control.end();
  api.skippedMs += 61_000;
  await control.start(clockAhead(61));
}

/** Makes edits while a call is held up, ends the program in the middle of it, and starts it again. */
async function endInTheMiddle(edges, signal) {
  const { worker, api, control } = edges;
  const random = generator(11);
  const links = await makeLinks(control, randomLinks(random, 60));
  await settled(control);
  let letGo;
  const held = new Promise((resolve) => (letGo = resolve));
  let heldCall;
  api.before = async (call) => {
    if (call.kind === "keys" || heldCall) return;
    heldCall = call;
    await held;
  };
  const edit = async (some, name) => {
    for (const link of some) await control.call("PATCH", `/api/v1/links/${link.id}`, { destination_url: url(name), rules: null });
  };
  await edit(links.slice(0, 20), "first");
  await until("a call in the middle", () => heldCall);
  await edit(links.slice(10, 30), "second");
  await control.call("DELETE", `/api/v1/links/${links[0].id}`);
  const ending = control.end(signal);
  assertEqual((await visited(worker, links[59].domain, links[59].slug))[0] < 500, true, "the Worker goes on");
  // Whoever is told to end waits for the answer for a while.
  if (signal === "SIGTERM") letGo();
  const ended = await ending;
  await control.start();
  await edit(links.slice(25, 40), "third");
  await synced(control, { ...links[39], version: links[39].version + 1 });
  // What a killed one sent takes effect after all, later than what its successor has sent.
  letGo();
  if (signal === "SIGKILL") {
    // What was being pushed is another's only when the lease of a minute has ended.
    await until("the late call", () => heldCall.isDone);
    await startAMinuteLater(edges);
  }
  await settled(control, 20_000);
  await assertKeys(worker, links.slice(1));
  await assertSame(edges, links, random);
  return ended;
}

test("the program is told to end in the middle of a push, and loses nothing", () =>
  withEdges(async (edges) => assertEqual(await endInTheMiddle(edges, "SIGTERM"), 0, "its exit code")));

test("the program is killed in the middle of a push, and loses nothing", () =>
  withEdges(async (edges) => void (await endInTheMiddle(edges, "SIGKILL"))));

longTest("an interface that hangs holds up nobody for good", () =>
  withEdges(async (edges) => {
    const { api, control, worker } = edges;
    const links = await makeLinks(control, randomLinks(generator(5), 40));
    await settled(control);
    let number = 0;
    api.faultOf = () => (++number === 1 ? "hang" : undefined);
    for (const link of links.slice(0, 10)) await control.call("PATCH", `/api/v1/links/${link.id}`, { destination_url: url("late") });
    assertEqual((await control.ask("GET", "/readyz")).status, 200, "readiness meanwhile");
    await settled(control, 60_000);
    await assertKeys(worker, links);
    await assertSame(edges, links);
  }));

test("two thousand imported links fill an empty KV in bulk, once it is configured", () =>
  withEdges(
    async (edges) => {
      const { api, control, worker } = edges;
      const links = randomLinks(generator(3), 2_000);
      const lines = links.map((link) => JSON.stringify(link));
      const imported = await control.run("import", control.file("links.ndjson", lines.join("\n")));
      assertEqual(imported.status, 0, imported.stderr);
      await control.end();
      const startedAt = performance.now();
      await control.start(kvSettings(api));
      await settled(control, 40_000);
      const took = Math.round(performance.now() - startedAt);
      await assertKeys(worker, links);
      const calls = api.writes().length;
      assert(calls <= 5, `${calls} calls`);
      await assertSame(edges, links.filter((_, index) => index % 10 === 0), generator(4), 1);
      return `${links.length} links, ${calls} calls, ${took} ms from the start on`;
    },
    { isKvLater: true },
  ));

// Lists of KV may be a minute behind, so what was pushed within the last minute is left out of a comparison.
test("a comparison finds what changed behind its back, and mends it", () =>
  withEdges(async (edges) => {
    const { control, worker } = edges;
    const links = await makeLinks(control, randomLinks(generator(9), 60));
    await settled(control);
    const verify = async (expect, ...options) => {
      const { status, stdout, stderr } = await control.run("sync", "verify", ...options);
      assertEqual(status, expect, stdout + stderr);
      return stdout + stderr;
    };
    await verify(0);
    const [lost, changed, other] = [links[3], links[4], links.find(({ domain }) => domain === OTHER_HOST)];
    const stranger = `${OTHER_HOST}/stranger`;
    await worker.links.delete(keyOf(lost));
    await worker.links.delete(keyOf(other));
    await worker.links.put(keyOf(changed), JSON.stringify({ destination_url: url("someone-else") }));
    await worker.links.put(stranger, url("stranger"));
    await startAMinuteLater(edges);
    const found = await verify(3);
    const differences = [["missing", lost], ["missing", other], ["different", changed], ["foreign", { domain: HOST, slug: stranger }]];
    for (const [name, link] of differences) {
      const isShown = (line) => line.startsWith(name) && line.includes(link.slug);
      assert(found.split("\n").some(isShown), `${name} ${link.slug} in ${found}`);
    }
    assertEqual(found.match(/^(missing|different|deleted|foreign) /gm).length, differences.length, found);
    assert((await verify(0, "--repair")).includes("foreign"), "a foreign key stays");
    await settled(control);
    await assertKeys(worker, [...links, { domain: HOST, slug: stranger }]);
    await verify(0, "--delete-foreign", "--yes");
    await assertKeys(worker, links);
    await assertSame(edges, links);
  }));
