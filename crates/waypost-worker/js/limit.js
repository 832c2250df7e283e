// How often one address may do a costly thing. Where the platform offers a rate limiter that is asked; else, where it is
// switched on, counters in KV; else nobody is held up. What cannot be asked lets through: a limit must not be an outage.

import { metric } from "./log.js";

const WINDOW_S = 60;
/** KV refuses a shorter life. */
const COUNTER_TTL_S = 2 * WINDOW_S;

/** An address as limits know it: of IPv6 the network of a household, since a visitor has all of it. */
export function addressKey(address) {
  if (!address?.includes(":")) return address ?? "unknown";
  const [head, tail] = address.split("::");
  const groups = head.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail ? tail.split(":").length : 0);
  return [...groups, ...Array(Math.max(missing, 0)).fill("0"), ...(tail ? tail.split(":") : [])].slice(0, 4).join(":");
}

/** Whether `what` may be done once more. */
export async function isAllowed(limiter, kv, perMinute, what, now) {
  try {
    if (limiter) return (await limiter.limit({ key: what })).success;
    if (perMinute > 0) return await isAllowedByKv(kv, perMinute, what, now);
  } catch (error) {
    metric("limit_errors", { error: String(error) });
  }
  return true;
}

// Costs one read and one write each time, and counts loosely: KV tells other places late, and takes one write a second of a key.
async function isAllowedByKv(kv, perMinute, what, now) {
  const key = `_waypost/limit/${what}/${Math.floor(now / 1000 / WINDOW_S)}`;
  const count = Number(await kv.get(key)) || 0;
  if (count >= perMinute) return false;
  await kv.put(key, String(count + 1), { expirationTtl: COUNTER_TTL_S });
  return true;
}
