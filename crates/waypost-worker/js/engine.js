// The passage to the engine, which is Rust: two inputs are written into its memory one behind the other, one call is made,
// and the numbers it leaves say where its answer lies. The other side is described in src/exports.rs.

import { metric } from "./log.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** How a fact says that it is not known. */
export const ABSENT = "\x01";

/** Values over this many bytes are never link records, and are not even copied. */
const VALUE_BYTES_MAX = 1 << 20;

/** Operations of the engine, by the numbers that src/engine.rs gives them. */
export const Operation = Object.freeze({
  configure: 0,
  readSlug: 1,
  showPage: 2,
  preview: 3,
  landing: 4,
  shorten: 5,
  checkPassword: 6,
  grant: 7,
  sign: 8,
  reserved: 9,
  problem: 10,
});

/** Pages that the shell asks for itself, by their numbers in `Page::ALL`. */
export const Page = Object.freeze({
  notFound: 0,
  gone: 1,
  methodNotAllowed: 2,
  badRequest: 3,
  targetTooLong: 4,
  badRecord: 5,
  unavailable: 6,
  unlock: 7,
  unlockRefused: 8,
  unlockThrottled: 9,
});

const NO_BYTES = new Uint8Array(0);

export class Engine {
  #module;
  #wasm;
  #bytes;
  #words;
  #inputAt;
  #inputBytes;
  #makeSettings;
  #isReady = true;

  constructor(module) {
    this.#module = module;
    this.#start();
  }

  /** Configures the engine. `makeSettings` is asked again after a trap: a new engine must not number clicks as the old one has. */
  configure(makeSettings) {
    this.#makeSettings = undefined;
    const answer = this.run(Operation.configure, makeSettings());
    this.#makeSettings = makeSettings;
    this.#isReady = answer.status === 200;
    return answer;
  }

  #start() {
    this.#wasm = new WebAssembly.Instance(this.#module, {}).exports;
    this.#inputBytes = 0;
    this.#view();
  }

  // Growing the memory detaches every view of it.
  #view() {
    this.#bytes = new Uint8Array(this.#wasm.memory.buffer);
    this.#words = new Uint32Array(this.#wasm.memory.buffer);
  }

  // A panic in the engine is a trap and leaves it in no state to go on: a new one takes over, set as the old one was. Other requests
  // of the isolate meet it next, and one without settings would send them on without their clicks.
  #guard(error) {
    metric("panics", { error: String(error?.stack ?? error) });
    this.#start();
    const makeSettings = this.#makeSettings;
    if (makeSettings) {
      this.#isReady = false;
      try {
        this.configure(makeSettings);
      } catch {
        this.#makeSettings = makeSettings;
      }
    }
    throw error;
  }

  #room(bytes) {
    if (bytes <= this.#inputBytes) return;
    this.#inputAt = this.#wasm.wp_input(bytes);
    this.#inputBytes = bytes;
    if (this.#bytes.byteLength === 0) this.#view();
  }

  // Nearly every text is ASCII and short, which a loop copies faster than a call of the encoder does.
  #write(text, at) {
    const bytes = this.#bytes;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 127) return encoder.encodeInto(text, bytes.subarray(at, at + 3 * text.length)).written;
      bytes[at + index] = code;
    }
    return text.length;
  }

  #put(input, at) {
    if (typeof input === "string") return this.#write(input, at);
    this.#bytes.set(input, at);
    return input.length;
  }

  #text(at, bytes) {
    return bytes === 0 ? "" : decoder.decode(this.#bytes.subarray(at, at + bytes));
  }

  /**
   * Follows a link. `value` is an ArrayBuffer as KV gave it, `facts` the packed facts of the request.
   * Gives status, detail, location, and where there is a click its heading and its event; or a page. `fault` is what is to be logged.
   */
  follow(value, facts, now) {
    const valueBytes = value.byteLength;
    if (valueBytes > VALUE_BYTES_MAX) {
      return { status: 502, detail: Page.badRecord, text: "", heading: "", event: "", fault: "the value is too large" };
    }
    if (!this.#isReady) throw new Error("the engine has not taken its settings");
    try {
      this.#room(valueBytes + 3 * facts.length);
      this.#bytes.set(new Uint8Array(value), this.#inputAt);
      const factsBytes = this.#write(facts, this.#inputAt + valueBytes);
      return this.#answer(this.#wasm.wp_follow(valueBytes, factsBytes, now));
    } catch (error) {
      this.#guard(error);
    }
  }

  /** Runs one of the rarer operations on two inputs, each a string or bytes. */
  run(operation, first = NO_BYTES, second = NO_BYTES, now = 0) {
    try {
      this.#room(3 * (first.length + second.length));
      const firstBytes = this.#put(first, this.#inputAt);
      const secondBytes = this.#put(second, this.#inputAt + firstBytes);
      return this.#answer(this.#wasm.wp_run(operation, firstBytes, secondBytes, now));
    } catch (error) {
      this.#guard(error);
    }
  }

  #answer(place) {
    if (this.#bytes.byteLength === 0) this.#view();
    const words = this.#words;
    const word = place >>> 2;
    const headingAt = words[word + 2] + words[word + 3];
    const eventAt = headingAt + words[word + 4];
    const faultAt = eventAt + words[word + 5];
    return {
      status: words[word],
      detail: words[word + 1],
      text: this.#text(words[word + 2], words[word + 3]),
      heading: this.#text(headingAt, words[word + 4]),
      event: this.#text(eventAt, words[word + 5]),
      fault: this.#text(faultAt, words[word + 6]),
    };
  }
}
