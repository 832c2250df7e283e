// The same record and the same visit give the same decision in workerd as everywhere else.

import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ABSENT, assert, assertEqual, start, test } from "./harness.mjs";
import { generator, randomPair } from "./random.mjs";

const VECTORS = process.env.WAYPOST_VECTORS;
const WAYPOST = process.env.WAYPOST_BINARY;
const RANDOM_PAIRS = 2_000;

function vectors() {
  const files = readdirSync(VECTORS).filter((name) => name.endsWith(".json"));
  return files.flatMap((file) =>
    JSON.parse(readFileSync(join(VECTORS, file), "utf8")).map((vector) => ({ ...vector, name: `${file}: ${vector.name}` })),
  );
}

/** A visit as the engine takes it. */
function pack(visit) {
  const unlock = visit.unlocked === true ? "granted" : visit.unlocked === "refused" ? "refused" : null;
  const facts = [visit.query, visit.ip, visit.country, visit.user_agent, visit.referrer, visit.accept_language];
  const more = [visit.purpose, visit.visitor_id, unlock, null, visit.region, visit.city];
  const texts = [visit.method ?? "GET", "", "a", visit.path ?? "/a", ...facts, ...more];
  return texts.map((text) => text ?? ABSENT).join("\0");
}

/** Microseconds matter, so the time is read by hand. */
function millis(now) {
  const fraction = /\.(\d+)/.exec(now)?.[1] ?? "";
  const whole = Date.parse(now.replace(/\.\d+/, "").replace(" ", "T"));
  return whole + Number(fraction.padEnd(6, "0").slice(0, 6)) / 1000;
}

async function followAll(worker, pairs) {
  const body = pairs.map(({ record, visit }) => ({ value: JSON.stringify(record), facts: pack(visit), now: millis(visit.now) }));
  const response = await worker.ask("/_test/follow", { method: "POST", body: JSON.stringify(body) });
  return response.json();
}

/** Whether it is the record that a vector is about; some are about visits that nobody can make. */
const isVisit = ({ visit, expect }) => visit?.now && expect.error !== "IP";
const hasNul = (visit) => Object.values(visit).some((fact) => typeof fact === "string" && fact.includes("\0"));

test("vectors through the engine", async () => {
  const worker = await start("test-worker.mjs");
  try {
    const cases = vectors().filter((vector) => isVisit(vector) && !hasNul(vector.visit));
    const answers = await followAll(worker, cases);
    const failures = cases.flatMap(({ name, expect }, index) => {
      const answer = answers[index];
      if (expect.error !== undefined) return answer.status === 502 && answer.fault ? [] : [`${name}: ${JSON.stringify(answer)}`];
      const found = { status: answer.status, location: answer.status < 400 && answer.text ? answer.text : null };
      const wrong = ["status", "location"].filter((field) => field in expect && expect[field] !== found[field]);
      const event = answer.event ?? {};
      const claims = { source: event.source, class: event.class, rule_id: event.rule_id, variant_id: event.ab_variant_id };
      for (const [field, value] of Object.entries(claims)) {
        if (answer.event && expect[field] != null && String(expect[field]) !== value) wrong.push(field);
      }
      return wrong.length ? [`${name}: ${wrong} of ${JSON.stringify(answer)}`] : [];
    });
    assert(failures.length === 0, failures.join("\n"));
    return `${cases.length} vectors`;
  } finally {
    await worker.stop();
  }
});

/** What HTTP cannot say of a visit, or says otherwise. */
function isBeyondHttp({ record, visit, expect }) {
  const texts = [visit.user_agent, visit.referrer, visit.accept_language, visit.purpose, visit.country];
  const isHeader = (text) => text == null || (/^[\x20-\x7e]*$/.test(text) && text === text.trim() && text.length < 8_000);
  const isMethod = ["GET", "HEAD", undefined, null].includes(visit.method);
  const isQuery = visit.query == null || (visit.query !== "" && /^[\x21-\x7e]*$/.test(visit.query) && !/['"<>#]/.test(visit.query));
  // Region and city come from the network, not from headers.
  const hasPlace = visit.region != null || visit.city != null;
  const isPlain = visit.visitor_id == null && visit.unlocked == null && !hasPlace && isMethod && isQuery && texts.every(isHeader);
  // Every client has an address, and this one a name: a split sees them.
  const isSplitByNothing = JSON.stringify(record).includes("ab_test") && (visit.ip == null || visit.user_agent == null);
  const isFromNowhere = JSON.stringify(record).includes('"addresses"') && visit.ip == null;
  return !isPlain || isSplitByNothing || isFromNowhere || (record === null && expect.error !== undefined);
}

test("vectors over HTTP", async () => {
  const worker = await start("test-worker.mjs");
  try {
    const cases = vectors().filter((vector) => isVisit(vector) && !isBeyondHttp(vector));
    for (const { name, record, visit, expect } of cases) {
      await worker.links.put("a", typeof record === "string" ? record : JSON.stringify(record));
      const given = {
        "cf-connecting-ip": visit.ip,
        "cf-ipcountry": visit.country,
        "user-agent": visit.user_agent,
        referer: visit.referrer,
        "accept-language": visit.accept_language,
        "sec-purpose": visit.purpose,
        "x-test-now": String(millis(visit.now)),
      };
      const headers = Object.fromEntries(Object.entries(given).map(([key, value]) => [key, value ?? ""]));
      for (const key of Object.keys(headers)) if (headers[key] === "") delete headers[key];
      const url = `http://go.example/a${visit.query == null ? "" : `?${visit.query}`}`;
      const response = await worker.miniflare.dispatchFetch(url, { method: visit.method ?? "GET", headers, redirect: "manual" });
      await response.arrayBuffer();
      if (expect.error !== undefined) assertEqual(response.status, 502, name);
      if ("status" in expect) assertEqual(response.status, expect.status, name);
      if ("location" in expect) assertEqual(response.headers.get("location"), expect.location, name);
    }
    return `${cases.length} vectors`;
  } finally {
    await worker.stop();
  }
});

test("random records and visits decide as the native program does", async () => {
  const seed = Number(process.env.WAYPOST_SEED ?? Date.now() % 1_000_000_000);
  const random = generator(seed);
  const pairs = Array.from({ length: RANDOM_PAIRS }, () => randomPair(random));
  const input = pairs.map((pair) => JSON.stringify(pair)).join("\n");
  const native = spawnSync(WAYPOST, ["decide"], { input, encoding: "utf8", maxBuffer: 1 << 28 });
  assert(native.status === 0, `waypost decide ended with ${native.status}: ${native.stderr}`);
  const expected = native.stdout.trim().split("\n").map((line) => JSON.parse(line));
  assertEqual(expected.length, pairs.length, "decisions");
  const worker = await start("test-worker.mjs");
  try {
    const answers = await followAll(worker, pairs);
    const kinds = {};
    for (const [index, answer] of answers.entries()) {
      const expect = expected[index];
      const event = answer.event ?? {};
      const isRedirect = answer.text !== "";
      const found = isRedirect
        ? [answer.status, answer.text, answer.detail === 1 ? "short_private" : "no_store", event.source, event.rule_id,
           event.ab_test_id, event.ab_variant_id, event.class]
        : [answer.status];
      const text = (id) => (id == null ? undefined : String(id));
      // A click names a rule without an id by its place; a decision does not.
      const isPlace = ["rule", "evolution_rule", "geo_rule"].includes(expect.source) && /^#[1-9]\d*$/.test(event.rule_id);
      const ruleOf = expect.rule_id == null && isPlace ? event.rule_id : text(expect.rule_id);
      const wanted = expect.error !== undefined
        ? [502]
        : expect.action === "redirect"
          ? [expect.status, expect.location, expect.cache_policy, expect.source, ruleOf,
             text(expect.ab_test_id), text(expect.variant_id), expect.class]
          : [expect.status];
      assertEqual(found, wanted, `seed ${seed}, pair ${index}: ${JSON.stringify(pairs[index])}`);
      const kind = expect.error ? "error" : expect.source ?? expect.action;
      kinds[kind] = (kinds[kind] ?? 0) + 1;
    }
    return `seed ${seed}, ${JSON.stringify(kinds)}`;
  } finally {
    await worker.stop();
  }
});
