// Messages to the control plane, signed as the Standard Webhooks specification says.

import { Operation } from "./engine.js";

/** Posts a body, text or bytes, under an id of its own, and gives the answer. Rejects where there is none in time. */
export function postSigned({ engine, settings, now }, path, body, timeoutMs) {
  // A new id for every delivery: what repeats must be told by what is in the body.
  const id = `msg_${crypto.randomUUID()}`;
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const [, timestamp, signature] = engine.run(Operation.sign, id, bytes, now()).text.split("\n");
  return post(settings, path, bytes, { id, timestamp, signature }, timeoutMs);
}

/** Posts a body that is signed already. */
export function post(settings, path, body, { id, timestamp, signature }, timeoutMs) {
  return fetch(settings.controlUrl + path, {
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": signature,
    },
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
  });
}
