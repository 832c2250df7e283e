// Clicks on their way home: followed in workerd, sent by webhook to the real program, counted in its reports. Once each, whatever
// becomes of answers and of the program in between; and what does not arrive has been logged as lost.

import { assert, assertEqual, SECRET, start, test, until } from "./harness.mjs";
import { HOST, keyOf, makeLinks, OTHER_HOST, settled, withEdges } from "./edges.mjs";

const FAST = { CLICK_BACKOFF_MS: "20", CLICK_TIMEOUT_MS: "10000", CLICK_ATTEMPTS: "6", QUEUE_DELAY_S: "0" };
const QUEUE = {
  queueProducers: { CLICKS: "clicks" },
  queueConsumers: { clicks: { maxBatchSize: 20, maxBatchTimeout: 1, maxRetries: 100 } },
};
const NEXT_SECRET = `whsec_${Buffer.from("the secret of the next month, 32").toString("base64")}`;
const NATIVE = { host: HOST, "user-agent": "test" };

/** Runs with two links at the KV, one on each domain. */
function withLinks(run, options = {}) {
  const worker = { ...options, bindings: FAST };
  return withEdges(
    async (edges) => {
      const wanted = [HOST, OTHER_HOST].map((domain) => ({ slug: "a", domain, destination_url: "https://example.com/?utm_source=mail" }));
      const links = await makeLinks(edges.control, wanted);
      await settled(edges.control);
      return run(edges, links);
    },
    { worker },
  );
}

async function follow(worker, { domain, slug }, count) {
  const answers = Array.from({ length: count }, () => worker.ask(`http://${domain}/${slug}`));
  for (const response of await Promise.all(answers)) assertEqual(response.status, 302, "the redirect");
}

async function counted(control, query = "") {
  const { clicks } = await control.call("GET", `/api/v1/reports?class=all&from=2d${query}`);
  return clicks;
}

/** Ids of clicks that the Worker has given up, as its log says. */
function lostOf({ logs }) {
  const lines = logs.join("").split("\n").filter((line) => line.includes("waypost_clicks_lost"));
  return lines.map((line) => /"event_id":"([^"]+)"/.exec(line)[1]);
}

/**
 * Waits until every click is stored or has been logged as lost, and makes sure that none is stored or counted twice. A click is given up,
 * too, when nothing but the last answer was lost, so one may be both. Gives how many were not stored.
 */
async function accounted({ worker, control }, answered) {
  let stored;
  let count;
  const isAccounted = async () => {
    const headers = { authorization: `Bearer ${control.key}` };
    const { text } = await control.ask("GET", "/api/v1/clicks?format=ndjson&from=2d", { headers });
    stored = text.split("\n").filter(Boolean).map((line) => JSON.parse(line).event_id);
    count = await counted(control);
    // One that was given up may arrive between the two questions.
    return new Set([...stored, ...lostOf(worker)]).size >= answered && count === stored.length;
  };
  await until("every click", isAccounted, 30_000).catch((error) => {
    throw new Error(`${error.message}: ${stored.length} stored, ${count} counted, ${lostOf(worker).length} logged as lost, ${answered} answered`);
  });
  const distinct = new Set(stored);
  assertEqual(stored.length, distinct.size, "stored clicks, and how many of them are distinct");
  const lost = new Set(lostOf(worker).filter((id) => !distinct.has(id))).size;
  assertEqual(distinct.size + lost, answered, "clicks, stored or lost");
  return lost;
}

test("clicks are counted once though answers are lost, late or refused", () =>
  withLinks(async ({ worker, control, proxy }, [link, other]) => {
    const faults = ["lost", 502, "reset", "lost", 503, undefined, "lost"];
    const attempts = new Map();
    let letGo;
    const late = new Promise((resolve) => (letGo = resolve));
    proxy.fault = (number, { headers }) => {
      const id = headers["webhook-id"];
      attempts.set(id, (attempts.get(id) ?? 0) + 1);
      if (number === 30) letGo();
      if (number === 3) return late;
      return attempts.get(id) <= 3 ? faults[number % faults.length] : undefined;
    };
    await follow(worker, link, 30);
    await follow(worker, other, 20);
    await control.ask("GET", "/a", { headers: NATIVE });
    assertEqual(await accounted({ worker, control }, 51), 0, "lost clicks");
    for (const [query, count] of [[`&link_id=${link.id}`, 31], [`&link_id=${other.id}`, 20], [`&domain=${HOST}`, 31], [`&domain=${OTHER_HOST}`, 20]]) {
      assertEqual(await counted(control, query), count, query);
    }
    assertEqual(await counted(control, `&link_id=${other.id}&utm_source=mail`), 20, "with what is known of them");
    assert(proxy.requests > 60, `${proxy.requests} requests`);
    assert(proxy.answers.every(({ status }) => status < 300), JSON.stringify(proxy.answers.find(({ status }) => status >= 300)));
    return `${proxy.requests} requests for 50 clicks`;
  }));

test("without a queue a click is counted once, or logged as lost", () =>
  withLinks(async (edges, [link]) => {
    const { worker, control, proxy } = edges;
    await follow(worker, link, 20);
    await control.end("SIGKILL");
    await follow(worker, link, 15);
    await until("a click to be given up", () => lostOf(worker).length > 0);
    // The answers to some are lost with the process that gave them.
    await control.start();
    let ending;
    proxy.fault = (number) => (number % 5 === 0 ? "lost" : undefined);
    const following = follow(worker, link, 20).then(() => (ending = control.end("SIGTERM")));
    await following;
    await ending;
    await control.start();
    await follow(worker, link, 5);
    const lost = await accounted(edges, 60);
    // The last five met nothing but a program that was there.
    assert(lost > 0 && lost <= 55, `${lost} lost`);
    return `${lost} lost`;
  }));

test("with a queue no click is lost and none counted twice, though the program comes and goes", () =>
  withLinks(
    async (edges, [link, other]) => {
      const { worker, control, proxy } = edges;
      proxy.fault = (number) => (number % 3 === 1 ? "lost" : undefined);
      await follow(worker, link, 30);
      await until("a batch", () => proxy.requests > 0);
      await control.end("SIGKILL");
      await follow(worker, link, 30);
      const before = proxy.requests;
      await until("an attempt while it is away", () => proxy.requests > before);
      await control.start();
      await follow(worker, other, 30);
      await control.end("SIGTERM");
      await follow(worker, other, 30);
      await control.start();
      assertEqual(await accounted(edges, 120), 0, "lost clicks");
      return `${proxy.requests} batches`;
    },
    QUEUE,
  ));

test("secrets change without losing a click", () =>
  withLinks(async (edges, [link]) => {
    const { worker, control, proxy } = edges;
    const bindings = { DEFAULT_DOMAIN: HOST, CONTROL_URL: proxy.url, WEBHOOK_SECRET: NEXT_SECRET, EDGE_ID: "cf-test", ...FAST };
    const next = await start("test-worker.mjs", { bindings });
    try {
      await next.links.put(keyOf(link), await worker.links.get(keyOf(link)));
      await follow(worker, link, 3);
      await accounted(edges, 3);
      await control.end();
      await control.start({ WAYPOST_WEBHOOKS_SECRETS: `${NEXT_SECRET},${SECRET}` });
      await follow(worker, link, 3);
      await follow(next, link, 3);
      await accounted(edges, 9);
      await control.end();
      await control.start({ WAYPOST_WEBHOOKS_SECRETS: NEXT_SECRET });
      await follow(next, link, 3);
      await accounted(edges, 12);
      assertEqual(lostOf(next).length + lostOf(worker).length, 0, "lost while both were good");
      // Whoever still signs with the old one is refused, and says so.
      await follow(worker, link, 2);
      await until("two lost clicks", () => lostOf(worker).length === 2);
      assert(proxy.answers.some(({ status }) => status === 401), "a refusal");
      assertEqual(await counted(control), 12, "counted");
    } finally {
      await next.stop();
    }
  }));

test("a password opens a link through the real program, on every domain", () =>
  withEdges(async ({ worker, control, proxy }) => {
    const wanted = [HOST, OTHER_HOST].map((domain) => ({ slug: "locked", domain, destination_url: "https://example.com/inside", password: "open sesame" }));
    const links = await makeLinks(control, wanted);
    await settled(control);
    const form = (password) => ({ method: "POST", body: new URLSearchParams({ password }), headers: { "content-type": "application/x-www-form-urlencoded" } });
    for (const { domain } of links) {
      const address = `http://${domain}/locked`;
      assertEqual((await worker.ask(address)).status, 200, `${domain}: the form`);
      assertEqual((await worker.ask(address, form("wrong"))).status, 401, `${domain}: a wrong password`);
      const asked = proxy.requests;
      const opened = await worker.ask(address, form("open sesame"));
      assertEqual(opened.status, 303, `${domain}: the right one`);
      assertEqual(proxy.requests - asked, 1, `${domain}: asked at the program`);
      const headers = { cookie: opened.headers.get("set-cookie").split(";")[0] };
      const inside = await worker.ask(address, { headers });
      assertEqual([inside.status, inside.headers.get("location")], [302, "https://example.com/inside"], `${domain}: with the cookie`);
    }
    await control.end();
    assertEqual((await worker.ask(`http://${HOST}/locked`, form("open sesame"))).status, 503, "while the program is away");
  }));
