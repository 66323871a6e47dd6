/** Calls of Node's whose work nobody lists: while a run lasts, they are counted from the call to what ends it. */

import crypto from "node:crypto";
import fs from "node:fs";
import type { Readable } from "node:stream";
import zlib from "node:zlib";

import { replace } from "./replace.js";

type Call = (this: unknown, ...args: unknown[]) => unknown;

/** What is told that a call has begun. */
export interface CallCounter {
  /**
   * @param isAtWork asks whether it is worked on now. @default it is
   * @returns what ends it; more than once does no harm.
   */
  begin(name: string, isAtWork?: () => boolean): () => void;
}

/** What a callback may be given to, and ends by itself: crypto(3), on threads of libuv. */
const cryptoCalls: ReadonlySet<string> = new Set([
  "argon2",
  "checkPrime",
  "decapsulate",
  "diffieHellman",
  "encapsulate",
  "generateKey",
  "generateKeyPair",
  "generatePrime",
  "hkdf",
  "pbkdf2",
  "randomBytes",
  "randomFill",
  "randomInt",
  "scrypt",
  "sign",
  "verify",
]);

/** Not of the types of Node 20. */
const { WebAssembly: webAssembly = {} } = globalThis as { WebAssembly?: object };

/** Who counts now. One for all, since a module may keep in one run what it calls in the next. */
let counter: CallCounter | undefined;

/** Of what was wrapped before: making 200 of them takes about a millisecond. */
const wrappers = new WeakMap<Call, Call>();

/** Streams of zlib, and what ends the call that is under way: one that fails never calls back. */
const zlibCalls = new WeakMap<object, () => void>();

/**
 * Has calls counted until what it gives is called.
 *
 * What a module has kept from before a run (`const { pbkdf2 } = require("node:crypto")`) is not counted, but for zlib,
 * whose streams do the work of all its forms.
 */
export function countCalls(by: CallCounter): () => void {
  counter = by;
  const restore = [
    ...wrapAll(crypto, "crypto", (name) => cryptoCalls.has(name)),
    ...wrapAll(prototypeOf(crypto.webcrypto.subtle), "crypto.subtle", () => true),
    ...wrapAll(webAssembly, "WebAssembly", (name) => /^(compile|instantiate)/.test(name)),
    ...wrapAll(fs, "fs", (name) => name === "exists" || `${name}Sync` in fs),
    ...wrapAll(fs.promises, "fs.promises", () => true),
    ...wrapZlib(),
  ];
  return () => {
    counter = undefined;
    for (const each of restore.reverse()) each();
  };
}

function wrapAll(target: object, of: string, chosen: (name: string) => boolean): (() => void)[] {
  return Object.entries(Object.getOwnPropertyDescriptors(target)).flatMap(
    ([name, { value, configurable }]) => {
      if (typeof value !== "function" || configurable !== true || name === "constructor" || !chosen(name))
        return [];
      let wrapped = wrappers.get(value as Call);
      if (!wrapped) wrappers.set(value as Call, (wrapped = wrap(value as Call, `${of}.${name}`)));
      return [replace(target, name as keyof typeof target, wrapped)];
    },
  );
}

/** All forms of zlib, streams and callbacks, do their work in one method of one class. */
function wrapZlib(): (() => void)[] {
  let base = zlib.Gzip.prototype as object | null;
  while (base && !Object.hasOwn(base, "_processChunk")) base = Object.getPrototypeOf(base) as object | null;
  if (!base) return [];
  const { _destroy: destroy } = base as { _destroy: Call };
  const ended: Call = function (...args) {
    zlibCalls.get(this as object)?.();
    return Reflect.apply(destroy, this, args);
  };
  return [
    ...wrapAll(base, "zlib", (name) => name === "_transform"),
    replace(base as { _destroy: Call }, "_destroy", ended),
  ];
}

/** The same call, counted: until the callback that is its last argument, or what the promise gives. */
function wrap(original: Call, name: string): Call {
  const isZlib = name === "zlib._transform";
  const wrapped: Call = function (...args) {
    const called = args.at(-1);
    if (!counter) return Reflect.apply(original, this, args);
    if (typeof called !== "function") {
      const result = Reflect.apply(original, this, args);
      return result instanceof Promise ? until(result, counter.begin(name)) : result;
    }
    const end = isZlib ? counter.begin("zlib", () => !isPaused(this as Readable)) : counter.begin(name);
    if (isZlib) zlibCalls.set(this as object, end);
    args[args.length - 1] = function (this: unknown, ...results: unknown[]): unknown {
      end();
      return Reflect.apply(called as Call, this, results);
    };
    try {
      return Reflect.apply(original, this, args);
    } catch (error) {
      end();
      throw error;
    }
  };
  // The name, the length, and what `util.promisify` goes by.
  return Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(original));
}

/** A stream whose reader is behind does not go on before it has read: `_read` is another then (`processCallback`, lib/zlib.js). */
function isPaused(stream: Readable): boolean {
  return stream._read !== (prototypeOf(stream) as Readable)._read;
}

/** What it gives stays unhandled where it rejects and nobody looks. */
async function until(promise: Promise<unknown>, end: () => void): Promise<unknown> {
  try {
    return await promise;
  } finally {
    end();
  }
}

function prototypeOf(of: object): object {
  return Object.getPrototypeOf(of) as object;
}
