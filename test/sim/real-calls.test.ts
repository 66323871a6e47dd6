/** Calls that Node runs outside of JavaScript hold the clock of a run, so that one seed has one run with them too. */

import { Buffer } from "node:buffer";
import crypto, { generateKeyPair, pbkdf2, randomBytes, scrypt, webcrypto } from "node:crypto";
import fs, { readFile } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import zlib, { createGzip, gzip } from "node:zlib";

import { Network } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { failure, pause } from "./tools.js";

const some = Buffer.alloc(300_000, "datagram ");
const wasm = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
const { WebAssembly } = globalThis as unknown as { WebAssembly: { compile(b: Buffer): Promise<object> } };

type Done = (error: Error | null, result?: unknown) => void;
const called = (call: (done: Done) => unknown) => (): Promise<unknown> =>
  new Promise((resolve, reject) => {
    call((error, result) => (error ? reject(error) : resolve(result)));
  });

/** One call each. All but the key pairs take some real time, and no time of the run. */
const calls: Record<string, () => Promise<unknown>> = {
  "zlib.gzip": called((done) => gzip(some, done)),
  "zlib.brotliCompress": called((done) => zlib.brotliCompress(some.subarray(0, 20_000), done)),
  "zlib.inflate, which fails": async () => failure(called((done) => zlib.inflate(some, done))()),
  "util.promisify(zlib.gzip)": () => promisify(gzip)(some),
  "a stream of zlib": () => text(Readable.from([some]).pipe(createGzip()).pipe(zlib.createGunzip())),
  "a stream of zlib that fails": () => failure(text(Readable.from([some]).pipe(zlib.createGunzip()))),
  "crypto.randomBytes": called((done) => randomBytes(100_000, done)),
  "crypto.randomFill": called((done) => crypto.randomFill(Buffer.alloc(100_000), done)),
  "crypto.randomInt": called((done) => crypto.randomInt(10, done)),
  "crypto.pbkdf2": called((done) => pbkdf2("secret", "salt", 2000, 20, "sha1", done)),
  "crypto.scrypt": called((done) => scrypt("secret", "salt", 32, { N: 1024 }, done)),
  "crypto.hkdf": called((done) => crypto.hkdf("sha256", "key", "salt", "info", 64, done)),
  "crypto.generateKeyPair": called((done) => generateKeyPair("ed25519", {}, done)),
  "util.promisify(crypto.generateKeyPair)": async () => {
    const { publicKey } = await promisify(generateKeyPair)("x25519", {});
    expect(publicKey.type).toBe("public");
  },
  "crypto.generateKey": called((done) => crypto.generateKey("hmac", { length: 64 }, done)),
  "crypto.generatePrime": called((done) => crypto.generatePrime(64, done)),
  "crypto.sign": called((done) =>
    crypto.sign(null, some, crypto.generateKeyPairSync("ed25519").privateKey, done),
  ),
  "crypto.subtle.digest": () => webcrypto.subtle.digest("SHA-256", some),
  "WebAssembly.compile": () => WebAssembly.compile(wasm),
  "fs.readFile": called((done) => readFile("package.json", done)),
  "fs.promises.stat": () => stat("package.json"),
};

/** Sends a datagram each millisecond from one host, and from another one after each of these calls. */
async function run(): Promise<string> {
  const network = new Network({ seed: 3 });
  const [one, other] = ["one", "other"].map((name, index) =>
    network.host(name, { address: `10.0.0.${index + 1}` }),
  ) as [ReturnType<Network["host"]>, ReturnType<Network["host"]>];
  network.link(one, other, { lossRatio: 0.3, jitterMs: 5 });
  await network.run(async () => {
    const [s, steady] = [one.socket(), other.socket()];
    await s.bind(["", 9000]);
    const timer = setInterval(() => void steady.sendto("tick", ["one", 9000]), 1);
    for (const [name, call] of Object.entries(calls)) {
      const before = network.clock.now();
      await call();
      expect([name, network.clock.now()]).toEqual([name, before]);
      await s.sendto(name, ["other", 9000]);
      await pause(2);
    }
    clearInterval(timer);
  });
  return network.trace.hash;
}

test("a program that makes all of these calls has the same run three times for one seed", async () => {
  expect([await run(), await run(), await run()]).toEqual(Array(3).fill(await run()));
});

describe("after a run", () => {
  const { subtle } = webcrypto;
  const targets: object[] = [
    crypto,
    Object.getPrototypeOf(subtle) as object,
    WebAssembly,
    fs,
    fs.promises,
    Object.getPrototypeOf(Object.getPrototypeOf(zlib.Gzip.prototype)) as object,
  ];
  const all = (): unknown[] => [
    ...targets.map((target) => Object.getOwnPropertyDescriptors(target)),
    ...[pbkdf2, randomBytes, readFile, stat].map((value) => ({ value })),
  ];
  test.each([
    ["succeeded", () => undefined],
    ["failed", () => Promise.reject(new Error("boo"))],
    ["can never end", () => new Promise(() => undefined)],
  ])("after a run that %s, everything is restored exactly", async (_, program) => {
    const before = all();
    let during: unknown[] = [];
    const network = new Network();
    await network
      .run(() => {
        during = all();
        return program();
      })
      .catch(() => undefined);
    expect(all()).toEqual(before);
    const kept = (now: unknown[]): boolean[] =>
      now
        .slice(-4)
        .map(
          (each, index) =>
            (each as { value: unknown }).value === (before.slice(-4)[index] as { value: unknown }).value,
        );
    expect([kept(all()), kept(during)]).toEqual([Array(4).fill(true), Array(4).fill(false)]);
  });
});

test("a call that fails at once holds nothing, and the caller gets its error", async () => {
  const network = new Network();
  await network.run(async () => {
    expect(() => randomBytes(-1, () => undefined)).toThrow(RangeError);
    const bad = webcrypto.subtle.digest("no such", some);
    expect(await failure(bad)).toMatchObject({ name: "NotSupportedError" });
    await pause(5);
  });
  expect(network.clock.now()).toBe(5);
});

test("the error names a call that takes too long", async () => {
  const network = new Network();
  const stuck = network.run(() => promisify(pbkdf2)("secret", "salt", 3_000_000, 20, "sha1"), {
    realLimitMs: 1,
  });
  expect(await failure(stuck)).toMatchObject({
    code: "ERR_SIM_REAL_WORK",
    message: expect.stringContaining("(crypto.pbkdf2)") as string,
  });
});

test("a stream of zlib with a slow reader does not hold the clock", async () => {
  const network = new Network();
  let [read, chunks] = [0, 0];
  await network.run(async () => {
    const slow = Readable.from([zlib.gzipSync(some)]).pipe(zlib.createGunzip({ chunkSize: 1024 }));
    for await (const chunk of slow) {
      read += (chunk as Buffer).length;
      chunks++;
      await pause(1);
    }
  });
  expect(read).toBe(some.length);
  // The number of chunks depends on the release of Node.
  expect(chunks).toBeGreaterThan(1);
  expect(network.clock.now()).toBeGreaterThanOrEqual(chunks);
});

test("a stream of zlib that is destroyed while it works no longer holds the clock", async () => {
  const network = new Network();
  await network.run(async () => {
    const stream = createGzip();
    stream.write(some);
    stream.destroy();
    await pause(5);
  });
  expect(network.clock.now()).toBe(5);
});
