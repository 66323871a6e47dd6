/** Random numbers of the program from the seed, during a run of a network that was made with `seedProgram`. */

import crypto from "node:crypto";
import process from "node:process";

import type { Random } from "../random.js";
import { replace } from "./replace.js";

type Done = (error: Error | null, result: unknown) => void;
type Call = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Replaces `Math.random` and the random functions of `node:crypto` and `globalThis.crypto`: they draw from `random`. The
 * originals are called first, to check the arguments. Keys and primes still come from Node.js: OpenSSL draws them.
 *
 * @returns a function that restores the originals.
 */
export function seedProgram(random: Random): () => void {
  const { webcrypto } = crypto;
  const prototype = Object.getPrototypeOf(webcrypto) as typeof webcrypto;
  const own = {
    randomBytes: crypto.randomBytes as Call,
    randomFill: crypto.randomFill as Call,
    randomFillSync: crypto.randomFillSync as Call,
    randomInt: crypto.randomInt as Call,
    randomUUID: crypto.randomUUID as Call,
    // oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
    getRandomValues: prototype.getRandomValues as Call,
  };

  const randomBytes: Call = (size, done) => {
    // Node.js throws the error for an invalid callback.
    if (done !== undefined && typeof done !== "function") return own.randomBytes(size, done);
    return answer(fill(random, own.randomBytes(size) as Uint8Array), done);
  };
  const randomFillSync: Call = (target, offset, size) => {
    own.randomFillSync(...[target, offset, size].slice(0, lengthOf(offset, size)));
    fill(random, part(target as ArrayBufferView | ArrayBuffer, offset, size));
    return target;
  };
  const randomFill: Call = (target, ...rest) => {
    const done = rest.at(-1);
    if (typeof done !== "function") return own.randomFill(target, ...rest);
    const [offset, size] = rest.slice(0, -1);
    return answer(randomFillSync(target, offset, size), done);
  };
  const randomInt: Call = (...args) => {
    const done = typeof args.at(-1) === "function" ? args.pop() : undefined;
    own.randomInt(...args);
    const [min, max] = (args.length < 2 || args[1] === undefined ? [0, args[0]] : args) as [number, number];
    return answer(min + below(random, max - min), done);
  };
  const randomUUID: Call = (...args) => {
    own.randomUUID(...args);
    return uuid(random);
  };
  const getRandomValues: Call = function (target) {
    Reflect.apply(own.getRandomValues, this, [target]);
    fill(random, part(target as ArrayBufferView, undefined, undefined));
    return target;
  };

  const restore = [
    replace(Math, "random", () => random.fraction()),
    replace(crypto, "randomBytes", like(own.randomBytes, randomBytes)),
    replace(crypto, "randomFillSync", like(own.randomFillSync, randomFillSync)),
    replace(crypto, "randomFill", like(own.randomFill, randomFill)),
    replace(crypto, "randomInt", like(own.randomInt, randomInt)),
    replace(crypto, "randomUUID", like(own.randomUUID, randomUUID)),
    replace(prototype, "getRandomValues", like(own.getRandomValues, getRandomValues)),
    // oxlint-disable-next-line typescript/unbound-method -- its name and length alone are taken
    replace(prototype, "randomUUID", like(prototype.randomUUID as Call, randomUUID)),
  ];
  return () => {
    for (const each of restore) each();
  };
}

/** Returns a result, or passes it to a callback in the next tick. */
function answer(result: unknown, done: unknown): unknown {
  if (done === undefined) return result;
  process.nextTick(done as Done, null, result);
  return undefined;
}

function fill(random: Random, bytes: Uint8Array): Uint8Array {
  for (let at = 0; at < bytes.length; at++) bytes[at] = random.uint32() >>> 24;
  return bytes;
}

/** The bytes that `randomFillSync` fills: offset and size are in elements of the array. */
function part(target: ArrayBufferView | ArrayBufferLike, offset: unknown, size: unknown): Uint8Array {
  const view = ArrayBuffer.isView(target) ? target : new Uint8Array(target);
  const each = "BYTES_PER_ELEMENT" in view ? Number(view.BYTES_PER_ELEMENT) : 1;
  const from = ((offset as number | undefined) ?? 0) * each;
  const length = size === undefined ? view.byteLength - from : (size as number) * each;
  return new Uint8Array(view.buffer, view.byteOffset + from, length);
}

/** The number of arguments to pass on: Node.js treats `undefined` as missing, and ignores a size without an offset. */
function lengthOf(offset: unknown, size: unknown): number {
  return size !== undefined ? 3 : offset !== undefined ? 2 : 1;
}

/** A uniformly random whole number below a limit of at most 2^48 - 1. Numbers above the last whole multiple are drawn again. */
function below(random: Random, limit: number): number {
  const range = 2 ** 48;
  const usable = range - (range % limit);
  for (;;) {
    const drawn = (random.uint32() >>> 16) * 2 ** 32 + random.uint32();
    if (drawn < usable) return drawn % limit;
  }
}

/** Version 4 (RFC 9562, section 5.4). */
function uuid(random: Random): string {
  const bytes = fill(random, new Uint8Array(16));
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** A function with the name, the length and the symbols of the original. */
function like(original: Call, made: Call): Call {
  return Object.defineProperties(made, Object.getOwnPropertyDescriptors(original));
}
