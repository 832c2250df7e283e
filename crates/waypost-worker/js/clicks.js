// Clicks on their way to the control plane, always after the visitor has been answered.
//
// With a queue a click is safe once the queue has it. Without one it is sent at once, signed, a bounded number of times: the
// platform ends what a request still does 30 s after its answer, and a click that has not arrived by then is lost and counted.

import { metric } from "./log.js";
import { post, postSigned } from "./signed.js";

/** Where the control plane takes clicks. */
const PATH = "/webhooks/analytics";

/** All attempts together, well within the 30 s that the platform leaves. */
const TOTAL_MS_MAX = 25_000;
/** Refusals that sending again cannot change. */
const FINAL_STATUSES = [400, 413, 422];
/** The longest until a batch comes back from the queue; the time doubles with each attempt. */
const QUEUE_DELAY_S_MAX = 600;

/** Sends one click. Never rejects. */
export async function sendClick(click, env, settings) {
  if (settings.clicks === "queue") {
    try {
      await env.CLICKS.send(click.event, { contentType: "text" });
      return;
    } catch (error) {
      metric("queue_errors", { error: String(error) });
      // Without a signature there is no second way.
      return lost(JSON.parse(click.event).event_id, "queue");
    }
  }
  const [id, timestamp, signature] = click.heading.split("\n");
  const message = { id, timestamp, signature };
  const delivered = await insist(settings, () => post(settings, PATH, click.event, message, settings.clickTimeoutMs));
  if (delivered !== "delivered") lost(id, delivered);
}

function lost(eventId, reason) {
  metric("clicks_lost", { count: 1, event_id: eventId, reason });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends until it is taken, refused for good, or the attempts are spent. Gives `delivered`, or the last status or error. */
async function insist(settings, send) {
  const deadline = Date.now() + TOTAL_MS_MAX;
  for (let attempt = 1; ; attempt++) {
    const outcome = await outcomeOf(send);
    if (outcome === "delivered" || FINAL_STATUSES.includes(outcome)) return outcome;
    // Full jitter, so that many Workers do not come back as one.
    const wait = Math.ceil(Math.random() * settings.clickBackoffMs * 3 ** (attempt - 1));
    if (attempt >= settings.clickAttempts || Date.now() + wait >= deadline) return outcome;
    await pause(wait);
  }
}

async function outcomeOf(send) {
  try {
    const response = await send();
    await response.body?.cancel();
    return response.ok ? "delivered" : response.status;
  } catch (error) {
    return error.name === "TimeoutError" ? "timeout" : "unreachable";
  }
}

/** Takes a batch from the queue: all of it arrives, or what has not comes back later. */
export async function sendBatch(batch, engine, settings, now) {
  if (!settings.controlUrl) {
    metric("queue_errors", { error: "CONTROL_URL is not set, so the clicks stay in the queue" });
    return batch.retryAll({ delaySeconds: QUEUE_DELAY_S_MAX });
  }
  await sendMessages(batch.messages, engine, settings, now);
}

async function sendMessages(messages, engine, settings, now) {
  const body = new TextEncoder().encode(`[${messages.map((message) => message.body).join(",")}]`);
  const send = () => postSigned({ engine, settings, now }, PATH, body, settings.clickTimeoutMs);
  const outcome = await outcomeOf(send);
  if (outcome === "delivered") {
    for (const message of messages) message.ack();
    return;
  }
  // One click that is refused for good must not hold up the others: halves are sent by themselves until it stands alone.
  if (FINAL_STATUSES.includes(outcome) && messages.length > 1) {
    const half = messages.length >> 1;
    await sendMessages(messages.slice(0, half), engine, settings, now);
    return sendMessages(messages.slice(half), engine, settings, now);
  }
  metric("batches_delayed", { count: messages.length, reason: outcome });
  for (const message of messages) {
    const delaySeconds = Math.min(settings.queueDelayS * 2 ** (message.attempts - 1), QUEUE_DELAY_S_MAX);
    message.retry({ delaySeconds });
  }
}
