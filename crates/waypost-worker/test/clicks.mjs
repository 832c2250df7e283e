// Clicks: every one arrives once, whatever the control plane does, as far as that is promised.

import { assert, assertEqual, SECRET, start, startReceiver, test, until } from "./harness.mjs";

const FAST = { CLICK_BACKOFF_MS: "20", CLICK_TIMEOUT_MS: "300", QUEUE_DELAY_S: "0" };

async function withBoth(options, run) {
  const receiver = await startReceiver();
  const bindings = { CONTROL_URL: receiver.url, WEBHOOK_SECRET: SECRET, EDGE_ID: "cf-test", ...FAST, ...options.bindings };
  const worker = await start("test-worker.mjs", { ...options, bindings });
  await worker.links.put("a", JSON.stringify({ destination_url: "https://example.com/?utm_source=mail", link_id: "link_1", account_id: "acc_1" }));
  try {
    return await run(worker, receiver);
  } finally {
    await worker.stop();
    await receiver.stop();
  }
}

async function follow(worker, count, headers = {}) {
  for (let done = 0; done < count; done++) {
    const response = await worker.ask("/a", { headers });
    assertEqual(response.status, 302, "the redirect");
  }
}

test("a click arrives signed and says what is known", () =>
  withBoth({}, async (worker, receiver) => {
    await follow(worker, 1, { "cf-ipcountry": "AT", referer: "https://t.co/x?secret=1", "accept-language": "de-AT", "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" });
    await until("the click", () => receiver.taken.size === 1);
    const [event] = receiver.taken.values();
    const { event_id: id, clicked_at: at, visitor, ...rest } = event;
    assertEqual(receiver.requests[0].id, id, "the message's id");
    assert(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id), id);
    assert(Math.abs(Date.parse(at) - Date.now()) < 60_000 && /^[0-9a-f]{16}$/.test(visitor), `${at} ${visitor}`);
    assertEqual(rest, {
      edge_id: "cf-test", link_id: "link_1", account_id: "acc_1", domain: "", slug: "a", ip_address: "192.0.2.0",
      user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", referrer: "https://t.co/x", country_code: "AT",
      device_type: "desktop", os: "linux", class: "human", class_reason: "none", language: "de", source: "default", utm_source: "mail", status: 302,
    }, "the event");
    assertEqual(receiver.unsigned, 0, "unsigned messages");
  }));

test("clicks outlive faults of the control plane, each with one id", () =>
  withBoth({}, async (worker, receiver) => {
    const faults = [500, "drop", 503, "hang", 429, 200];
    const attempts = new Map();
    receiver.answer = (_, [event]) => {
      const attempt = (attempts.get(event.event_id) ?? 0) + 1;
      attempts.set(event.event_id, attempt);
      return attempt <= 2 ? faults[(attempts.size + attempt) % faults.length] : 200;
    };
    await follow(worker, 40);
    await until("all clicks", () => receiver.taken.size === 40);
    assertEqual(attempts.size, 40, "event ids");
    return `${receiver.requests.length} attempts`;
  }));

test("a click that nobody takes is given up and counted", () =>
  withBoth({}, async (worker, receiver) => {
    receiver.answer = () => 500;
    await follow(worker, 3);
    const lost = () => worker.logs.join("").split("\n").filter((line) => line.includes("waypost_clicks_lost")).length;
    await until("three lost clicks", () => lost() === 3);
    assertEqual(receiver.requests.length, 12, "attempts");
    receiver.answer = () => 422;
    await follow(worker, 1);
    await until("a fourth", () => lost() === 4);
    assertEqual(receiver.requests.length, 13, "a refusal is final");
  }));

test("a trap of the engine loses nobody's click without a line", () =>
  withBoth({}, async (worker, receiver) => {
    const lines = (name) => worker.logs.join("").split("\n").filter((line) => line.includes(name)).length;
    // Under another request while this one waits for KV: the engine that answers is a new one.
    await follow(worker, 2, { "x-test-kv": "trap" });
    await until("the clicks of the others", () => receiver.taken.size === 2);
    await until("their lines", () => lines("waypost_panics") === 2);
    // Under this request: it is tried once more.
    await follow(worker, 2, { "x-test-kv": "trap-once" });
    await until("the clicks of those", () => receiver.taken.size === 4);
    // For good: the visitor is not sent on, and there is a line.
    assertEqual((await worker.ask("/a", { headers: { "x-test-kv": "trap-always" } })).status, 503, "a request that always traps");
    await until("its line", () => lines("waypost_request_errors") === 1);
    await follow(worker, 3);
    await until("the clicks after it", () => receiver.taken.size === 7);
    assertEqual(receiver.requests.length, 7, "no id came twice");
  }));

test("a control plane that is away slows no redirect", () =>
  withBoth({ bindings: { CONTROL_URL: "http://127.0.0.1:1", CLICK_ATTEMPTS: "1" } }, async (worker) => {
    const startedAt = performance.now();
    await follow(worker, 20);
    assert(performance.now() - startedAt < 5_000, "twenty redirects");
  }));

const QUEUE = {
  queueProducers: { CLICKS: "clicks" },
  queueConsumers: { clicks: { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 100 } },
};

test("with a queue nothing is lost while the control plane is away", () =>
  withBoth(QUEUE, async (worker, receiver) => {
    let isAway = true;
    receiver.answer = () => (isAway ? 503 : 200);
    await follow(worker, 150);
    await until("an attempt", () => receiver.requests.length >= 2);
    assertEqual(receiver.taken.size, 0, "taken while away");
    isAway = false;
    await until("all clicks", () => receiver.taken.size === 150, 20_000);
    const largest = Math.max(...receiver.requests.map(({ events }) => events.length));
    assert(largest > 1 && largest <= 100, `a batch of ${largest}`);
    assertEqual(receiver.unsigned, 0, "unsigned messages");
    return `${receiver.requests.length} messages`;
  }));

test("one click that is refused for good does not hold up the others", () =>
  withBoth({ ...QUEUE, queueConsumers: { clicks: { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 1, deadLetterQueue: "dead" } } }, async (worker, receiver) => {
    const isPoison = (event) => event.referrer === "https://poison.example/";
    receiver.answer = (_, events) => (events.some(isPoison) ? 422 : 200);
    await follow(worker, 10);
    await follow(worker, 1, { referer: "https://poison.example/" });
    await follow(worker, 10);
    await until("the others", () => receiver.taken.size === 20, 20_000);
  }));

test("no address leaves where none is to", () =>
  withBoth({ bindings: { ADDRESS_POLICY: "none" } }, async (worker, receiver) => {
    await follow(worker, 1);
    await until("the click", () => receiver.taken.size === 1);
    const [event] = receiver.taken.values();
    assert(!JSON.stringify(event).includes("192.0.2"), JSON.stringify(event));
  }));
