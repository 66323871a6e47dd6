/** Calls of Node.js whose work `process.getActiveResourcesInfo()` does not list. During a run, they are counted until they end. */

import crypto from "node:crypto";
import fs from "node:fs";
import type { Readable } from "node:stream";
import zlib from "node:zlib";

import { replace } from "./replace.js";

type Call = (this: unknown, ...args: unknown[]) => unknown;

/** Counts calls that are in progress. */
export interface CallCounter {
  /**
   * A call begins.
   *
   * @param isAtWork returns whether the call is worked on now. @default always
   * @returns a function that ends the call; calling it again does nothing.
   */
  begin(name: string, isAtWork?: () => boolean): () => void;
}

/** Functions of `node:crypto` that take a callback and work on threads of libuv. */
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

/** The types of Node 20 lack it. */
const { WebAssembly: webAssembly = {} } = globalThis as { WebAssembly?: object };

/** The counter of the current run. It is a variable of the module, because a module may keep a function for the next run. */
let counter: CallCounter | undefined;

/** Wrappers that were made before: making 200 of them takes about a millisecond. */
const wrappers = new WeakMap<Call, Call>();

/** For each zlib stream, the function that ends its call in progress: a call that fails has no callback. */
const zlibCalls = new WeakMap<object, () => void>();

/**
 * Counts calls from now on.
 *
 * Functions that a module took before the run (`const { pbkdf2 } = require("node:crypto")`) are not counted, except those of
 * zlib, because its streams do the work for all of them.
 *
 * @returns a function that ends the counting.
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

/** All functions of zlib, with streams and with callbacks, work in one method of one class. */
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

/** The same function, counted until its callback (the last argument) is called or its promise settles. */
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
  // This copies the name, the length and the symbol of `util.promisify`.
  return Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(original));
}

/** Whether a stream waits for its reader: its `_read` is a different function then (`processCallback`, lib/zlib.js). */
function isPaused(stream: Readable): boolean {
  return stream._read !== (prototypeOf(stream) as Readable)._read;
}

/** A rejection that the program does not handle stays unhandled. */
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
