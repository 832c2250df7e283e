// Values that were read lately in this isolate, for the minutes in which KV cannot be read. Never used while it can.

const KEYS_MAX = 1_000;
const VALUE_BYTES_MAX = 4_096;
/** A change that KV could not tell us of may be this old at the most. */
const AGE_MS_MAX = 10 * 60_000;

export class Stale {
  #kept = new Map();
  #now;

  constructor(now) {
    this.#now = now;
  }

  keep(key, value) {
    if (value.byteLength > VALUE_BYTES_MAX) return;
    if (this.#kept.size >= KEYS_MAX && !this.#kept.has(key)) this.#kept.delete(this.#kept.keys().next().value);
    this.#kept.set(key, { value, readAt: this.#now() });
  }

  get(key) {
    const kept = this.#kept.get(key);
    return kept && this.#now() - kept.readAt <= AGE_MS_MAX ? kept.value : undefined;
  }
}
