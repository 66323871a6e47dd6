import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { gzip } from "node:zlib";

import { describe, expect, test } from "vitest";

import { RealWork } from "../../src/sim/time/real-work.js";
import { VirtualTime } from "../../src/sim/time/virtual-time.js";
import { crypt, hooks, never, sleep } from "./fixtures/virtual-time.js";

/** The real function, before any run replaces it. */
const realTimeout = globalThis.setTimeout;

describe("real work", () => {
  test("the clock stands still until real(promise) has settled, which returns the value of the promise", async () => {
    const time = new VirtualTime();
    await time.run(async () => {
      const other = globalThis.setInterval(() => undefined, 1);
      const packed = await time.real(promisify(gzip)("x".repeat(1_000_000)));
      expect(packed.length).toBeGreaterThan(100);
      await expect(time.real(crypt())).resolves.toHaveLength(20);
      await expect(time.real(Promise.reject(new Error("boo")))).rejects.toThrow("boo");
      await time.real(realSleepOf(10));
      globalThis.clearInterval(other);
    }, hooks);
    expect(time.now).toBe(0);
  });

  test("the clock waits for several promises, until the last has settled", async () => {
    const time = new VirtualTime();
    await time.run(
      () => Promise.all([time.real(realSleepOf(3)), time.real(realSleepOf(9)), sleep(time, 5)]),
      hooks,
    );
    expect(time.clock.now()).toBe(5);
  });

  test("outside a run, real(promise) is the promise itself", async () => {
    await expect(new VirtualTime().real(Promise.resolve(3))).resolves.toBe(3);
  });

  test("the clock waits for a child process", async () => {
    const time = new VirtualTime();
    const { stdout } = await time.run(() => promisify(execFile)(process.execPath, ["-p", "6 * 7"]), hooks);
    expect([stdout, time.now]).toEqual(["42\n", 0]);
  });

  test("a read that began before a run does not hide a read in the run", async () => {
    const before = readFile("package-lock.json");
    const work = new RealWork();
    await before;
    const during = readFile("package-lock.json");
    expect(work.pending()).toContain("FSReqPromise");
    await during;
  });

  test("the clock waits for a child process in each of several runs: a child that has exited hides no other", async () => {
    for (let run = 0; run < 5; run++) {
      const time = new VirtualTime();
      await time.run(() => promisify(execFile)("sleep", ["0.02"]), hooks);
      expect(time.now).toBe(0);
    }
  });

  test("the clock does not wait for servers and workers, which may stay for ever", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const worker = new Worker("require('node:worker_threads').parentPort.on('message', () => undefined)", {
      eval: true,
    });
    await new Promise((resolve) => worker.once("online", resolve));
    try {
      const time = new VirtualTime();
      await time.run(() => sleep(time, 5_000), hooks);
      expect(time.clock.now()).toBe(5_000);
    } finally {
      server.close();
      await worker.terminate();
    }
  });
});

describe("eventually", () => {
  test("eventually passes when a check does not throw, reject or return false", async () => {
    const time = new VirtualTime();
    const at = await time.run(async () => {
      const after = (ms: number): boolean => time.clock.now() >= ms;
      const seen: number[] = [];
      for (const check of [
        () => undefined,
        () => after(35),
        () => {
          if (!after(52)) throw new Error("not yet");
        },
        async () => {
          await sleep(time, 1);
          if (!after(80)) throw new Error("not yet");
        },
      ]) {
        await time.eventually(check);
        seen.push(time.clock.now());
      }
      return seen;
    }, hooks);
    // Every 10 ms. The last check takes some time itself.
    expect(at).toEqual([0, 40, 60, 83]);
  });

  test("eventually fails with the last failure as its cause, and says how long it waited", async () => {
    const time = new VirtualTime();
    let tries = 0;
    const check = (): never => {
      throw new Error(`try ${++tries}`);
    };
    const run = time.run(() => time.eventually(check, { timeoutMs: 95, everyMs: 20 }), hooks);
    const failure: unknown = await run.catch((error: unknown) => error);
    expect(failure).toMatchObject({
      message: "the check still fails after 95 ms of virtual time: try 6",
      cause: { message: "try 6" },
    });
    expect(time.clock.now()).toBe(95);
  });

  test("eventually tries once more at the very end, also with an asynchronous check", async () => {
    const time = new VirtualTime();
    const check = async (): Promise<boolean> => {
      for (let count = 0; count < 20; count++) await Promise.resolve();
      return time.clock.now() >= 95;
    };
    await time.run(() => time.eventually(check, { timeoutMs: 95, everyMs: 20 }), hooks);
    expect(time.clock.now()).toBe(95);
  });

  test("eventually takes 10 s by default, and names a check that returns false or never settles", async () => {
    const time = new VirtualTime();
    await expect(time.run(() => time.eventually(() => false), hooks)).rejects.toThrow(
      "the check still fails after 10000 ms of virtual time: the check returned false",
    );
    await expect(time.run(() => time.eventually(() => never), hooks)).rejects.toThrow(
      "the check still fails after 10000 ms of virtual time: the check has not settled",
    );
  });

  test("eventually refuses a wrong check and wrong times", async () => {
    const time = new VirtualTime();
    await expect(time.eventually(5 as never)).rejects.toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
    for (const options of [{ timeoutMs: -1 }, { timeoutMs: NaN }, { everyMs: 0 }, { everyMs: Infinity }]) {
      await expect(time.eventually(() => true, options)).rejects.toMatchObject({ code: "ERR_OUT_OF_RANGE" });
    }
  });
});

function realSleepOf(ms: number): Promise<void> {
  return new Promise((resolve) => realTimeout(resolve, ms));
}
