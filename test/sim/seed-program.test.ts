/** With `seedProgram`, the random values of the program come from the seed. */

import { Buffer } from "node:buffer";
import crypto, {
  randomBytes,
  randomFill,
  randomFillSync,
  randomInt,
  randomUUID,
  webcrypto,
} from "node:crypto";
import { promisify } from "node:util";

import { Network } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { failure } from "./tools.js";

const draws: Record<string, () => unknown> = {
  "Math.random": () => Math.random(),
  randomBytes: () => randomBytes(16).toString("hex"),
  "randomBytes with a callback": async () => (await promisify(randomBytes)(16)).toString("hex"),
  randomFillSync: () => randomFillSync(Buffer.alloc(16)).toString("hex"),
  "randomFill with a callback": async () =>
    promisify((to: Buffer, done: (error: Error | null, filled: Buffer) => void) => randomFill(to, done))(
      Buffer.alloc(16),
    ).then((filled) => filled.toString("hex")),
  randomInt: () => randomInt(2 ** 47),
  "randomInt from a number on": () => randomInt(1000, 1000 + 2 ** 40),
  "randomInt with a callback": () =>
    new Promise((resolve) => {
      randomInt(2 ** 40, (_, drawn) => resolve(drawn));
    }),
  randomUUID: () => randomUUID(),
  "globalThis.crypto.randomUUID": () => globalThis.crypto.randomUUID(),
  "globalThis.crypto.getRandomValues": () =>
    [...globalThis.crypto.getRandomValues(new Uint8Array(16))].join(),
  "crypto.getRandomValues": () => [...crypto.getRandomValues(new Uint32Array(4))].join(),
};

async function drawAll(network: Network): Promise<Record<string, unknown>> {
  const drawn: Record<string, unknown> = {};
  await network.run(async () => {
    for (const [name, draw] of Object.entries(draws)) drawn[name] = await draw();
  });
  return drawn;
}

describe("a network with seedProgram", () => {
  test("a program gets the same values for the same seed, and others for another seed or in its next run", async () => {
    const make = (seed: number): Network => new Network({ seed, seedProgram: true });
    const network = make(5);
    const first = await drawAll(network);
    expect(await drawAll(make(5))).toEqual(first);
    for (const other of [
      await drawAll(make(6)),
      await drawAll(network),
      await drawAll(new Network({ seed: 5 })),
    ]) {
      expect(Object.keys(draws).filter((name) => other[name] === first[name])).toEqual([]);
    }
    expect(new Set(Object.values(first)).size).toBe(Object.keys(draws).length);
  });

  test("the random numbers of the network itself do not change", async () => {
    const hash = async (seedProgram: boolean): Promise<string> => {
      const network = new Network({ seed: 5, seedProgram });
      const [one, other] = [
        network.host("one", { address: "10.0.0.1" }),
        network.host("other", { address: "10.0.0.2" }),
      ];
      network.link(one, other, { lossRatio: 0.5 });
      await network.run(async () => {
        const s = one.socket();
        for (let count = 0; count < 50; count++) await s.sendto(`${Math.random() * 0}`, ["other", 9000]);
      });
      return network.trace.hash;
    };
    expect(await hash(true)).toBe(await hash(false));
  });

  test("values have the form of Node's, and fill the same arguments as Node's", async () => {
    await new Network({ seedProgram: true }).run(async () => {
      expect(randomUUID()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      const fractions = Array.from({ length: 1000 }, () => Math.random());
      expect([Math.min(...fractions) < 0.02, Math.max(...fractions) > 0.98]).toEqual([true, true]);
      expect(fractions.every((each) => each >= 0 && each < 1)).toBe(true);
      const dice = Array.from({ length: 600 }, () => randomInt(1, 7));
      expect([...new Set(dice)].sort()).toEqual([1, 2, 3, 4, 5, 6]);
      const words = new Uint16Array(8);
      expect(randomFillSync(words, 2, 3)).toBe(words);
      expect([...words].map((word) => word !== 0)).toEqual([
        false,
        false,
        true,
        true,
        true,
        false,
        false,
        false,
      ]);
      const view = new DataView(new ArrayBuffer(64), 8, 32);
      randomFillSync(view, 16);
      const filled = [...new Uint8Array(view.buffer)].map((byte) => byte !== 0);
      expect([
        filled.slice(0, 24).includes(true),
        filled.slice(24, 40).includes(true),
        filled.slice(40).includes(true),
      ]).toEqual([false, true, false]);
      const values = new Uint8Array(64);
      expect(globalThis.crypto.getRandomValues(values)).toBe(values);
      expect(values.some((value) => value !== 0)).toBe(true);
      expect(randomBytes(0)).toHaveLength(0);
    });
  });

  test("calls refuse the same arguments as Node's", async () => {
    await new Network({ seedProgram: true }).run(() => {
      expect(() => randomBytes(-1)).toThrow(RangeError);
      expect(() => randomBytes(1, 5 as never)).toThrow(TypeError);
      expect(() => randomInt(5, 5)).toThrow(RangeError);
      expect(() => randomInt(0.5)).toThrow(TypeError);
      expect(() => randomFillSync("x" as never)).toThrow(TypeError);
      expect(() => randomFillSync(Buffer.alloc(4), 5)).toThrow(RangeError);
      expect(() => randomFill(Buffer.alloc(4), undefined as never)).toThrow(TypeError);
      expect(() => randomUUID(5 as never)).toThrow(TypeError);
      expect(() => webcrypto.getRandomValues(new Float32Array(1) as never)).toThrow(
        "integer-type TypedArray",
      );
    });
  });

  test("after the run everything is restored, also if the run fails", async () => {
    const prototype = Object.getPrototypeOf(webcrypto) as object;
    const all = (): unknown[] =>
      [Math, crypto, prototype].map((target) => Object.getOwnPropertyDescriptors(target));
    const before = [...all(), randomBytes, randomUUID, Math.random];
    const network = new Network({ seedProgram: true });
    let during: unknown[] = [];
    const run = network.run(() => {
      during = [randomBytes, randomUUID, Math.random];
      throw new Error("boo");
    });
    expect(String(await failure(run))).toContain("boo");
    expect([...all(), randomBytes, randomUUID, Math.random]).toEqual(before);
    expect(during.map((each, index) => each === before[index + 3])).toEqual([false, false, false]);
  });

  test("seedProgram must be true or false", () => {
    expect(() => new Network({ seedProgram: 1 as never })).toThrow("seedProgram must be true or false");
  });
});
