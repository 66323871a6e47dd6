import { AsyncLocalStorage } from "node:async_hooks";
import dns from "node:dns";
import { once } from "node:events";
import { readFile } from "node:fs";
import { readFile as readFilePromise } from "node:fs/promises";
import { mock } from "node:test";
import timers, { clearTimeout as clearOfModule, setTimeout as setOfModule } from "node:timers";
import timersPromises, {
  scheduler,
  setImmediate as turn,
  setInterval,
  setTimeout as sleep,
} from "node:timers/promises";
import { performance as hooksPerformance } from "node:perf_hooks";
import { promisify } from "node:util";

import { describe, expect, test, vi } from "vitest";

import { VirtualTime } from "../../src/sim/time/virtual-time.js";
import { event, hooks } from "./fixtures/virtual-time.js";

const EPOCH_MS = Date.UTC(2026, 0, 1);
describe("during a run, virtual time applies to", () => {
  const waits: Record<string, [number, () => Promise<unknown>]> = {
    setTimeout: [50, () => new Promise((resolve) => globalThis.setTimeout(resolve, 50))],
    "setTimeout of node:timers, imported before": [
      50,
      () => new Promise((resolve) => setOfModule(resolve, 50)),
    ],
    "setTimeout of the default export of node:timers": [
      50,
      () => new Promise((resolve) => timers.setTimeout(resolve, 50)),
    ],
    "setTimeout of node:timers/promises, imported before": [50, () => sleep(50)],
    "setImmediate of node:timers/promises": [0.1, () => turn()],
    "scheduler.wait of node:timers/promises": [50, () => scheduler.wait(50)],
    "scheduler.yield of node:timers/promises": [0.1, () => scheduler.yield()],
    "util.promisify(setTimeout)": [50, () => promisify(globalThis.setTimeout)(50)],
    "util.promisify(setImmediate)": [0.1, () => promisify(globalThis.setImmediate)()],
    "AbortSignal.timeout": [50, () => once(AbortSignal.timeout(50), "abort")],
    "a delay of 0, which is 1 as on Node": [1, () => sleep(0)],
    "a delay that is no number": [1, () => new Promise((resolve) => globalThis.setTimeout(resolve, NaN))],
    "a delay beyond 2^31 ms, which is 1 as on Node": [
      1,
      () => new Promise((resolve) => globalThis.setTimeout(resolve, 2 ** 31)),
    ],
    "a delay with a fraction, which is cut off as on Node": [
      2,
      () => new Promise((resolve) => globalThis.setTimeout(resolve, 2.9)),
    ],
    setImmediate: [0.1, () => new Promise((resolve) => globalThis.setImmediate(resolve))],
  };
  for (const [name, [ms, wait]] of Object.entries(waits)) {
    test(name, async () => {
      const time = new VirtualTime();
      await time.run(wait, hooks);
      expect(time.clock.now()).toBe(ms);
    });
  }

  test("the interval of node:timers/promises, whose loop may end early", async () => {
    const time = new VirtualTime();
    const at: number[] = [];
    await time.run(async () => {
      for await (const value of setInterval(20, "tick")) {
        expect(value).toBe("tick");
        if (at.push(time.clock.now()) === 3) break;
      }
    }, hooks);
    expect(at).toEqual([20, 40, 60]);
  });

  const aborted: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    setTimeout: (signal) => sleep(1_000, undefined, { signal }),
    "scheduler.wait": (signal) => scheduler.wait(1_000, { signal }),
    setInterval: async (signal) => {
      for await (const _ of setInterval(20, undefined, { signal }));
    },
  };
  for (const [name, wait] of Object.entries(aborted)) {
    test(`${name} of node:timers/promises ends when its signal is aborted, as on Node`, async () => {
      const time = new VirtualTime();
      const late = await time.run(() => failure(wait(AbortSignal.timeout(30))), hooks);
      expect(late).toMatchObject({
        name: "AbortError",
        code: "ABORT_ERR",
        message: "The operation was aborted",
        cause: { name: "TimeoutError" },
      });
      expect(time.clock.now()).toBe(30);
      const reason = new Error("boo");
      const early = await time.run(() => failure(wait(AbortSignal.abort(reason))), hooks);
      expect(early).toMatchObject({ name: "AbortError", cause: reason });
      expect(time.clock.now()).toBe(30);
      const real = await failure(wait(AbortSignal.abort(reason)));
      expect(real).toMatchObject({
        name: early.name,
        code: early.code,
        message: early.message,
        cause: reason,
      });
    });
  }

  test("a wait of node:timers/promises returns its value", async () => {
    const values = (): Promise<unknown> =>
      Promise.all([sleep(5, "a"), turn("b"), scheduler.wait(5), promisify(globalThis.setTimeout)(5, "c")]);
    const virtual = await new VirtualTime().run(values, hooks);
    expect(virtual).toEqual(["a", "b", undefined, "c"]);
    await expect(values()).resolves.toEqual(virtual);
  });

  test("an interval of node:timers/promises returns missed ticks one by one", async () => {
    const time = new VirtualTime();
    const at: number[] = [];
    await time.run(async () => {
      for await (const _ of setInterval(10)) {
        if (at.push(time.clock.now()) === 1) await sleep(35);
        if (at.length === 6) break;
      }
    }, hooks);
    expect(at).toEqual([10, 45, 45, 45, 50, 60]);
  });

  test("all clocks agree, to the nanosecond if they have nanoseconds", async () => {
    const time = new VirtualTime();
    const read = (): unknown => {
      const ns = BigInt(time.now);
      expect(time.clock.wall()).toBe(BigInt(EPOCH_MS) * 1_000_000n + ns);
      expect(Date.now()).toBe(EPOCH_MS + Number(ns / 1_000_000n));
      expect(new Date().getTime()).toBe(Date.now());
      expect(performance.now()).toBe(time.clock.now());
      expect(hooksPerformance.now()).toBe(time.clock.now());
      expect(process.hrtime.bigint()).toBe(ns);
      expect(process.hrtime()).toEqual([Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)]);
      return ns;
    };
    const seen = await time.run(async () => {
      const all = [read()];
      for (const ns of [1, 999_999, 123_456_789, 7, 3_000_000_001]) {
        await happens(time, ns);
        all.push(read());
      }
      return all;
    }, hooks);
    // Another run continues from there.
    seen.push(await time.run(read, hooks));
    expect(seen).toEqual([0n, 1n, 1_000_000n, 124_456_789n, 124_456_796n, 3_124_456_797n, 3_124_456_797n]);
  });

  test("the current date in Intl is virtual too", async () => {
    const format = (): string =>
      new Intl.DateTimeFormat("en", { dateStyle: "short", timeZone: "UTC" }).format();
    await expect(new VirtualTime().run(format, hooks)).resolves.toBe("1/1/26");
    expect(format()).not.toBe("1/1/26");
  });
});

describe("timers of programs behave as on Node", () => {
  test("timers run in the AsyncLocalStorage of the call that set them, and so do the timers that they set", async () => {
    const storage = new AsyncLocalStorage<string>();
    const program = async (): Promise<unknown[]> => {
      const seen: unknown[] = [];
      const note = (what: string): unknown => seen.push([what, storage.getStore()]);
      const refreshed = storage.run("refreshed", () => globalThis.setTimeout(() => note("refreshed"), 300));
      let times = 0;
      storage.run("one", () => {
        globalThis.setImmediate(() => note("immediate"));
        globalThis.setTimeout(() => {
          note("timeout");
          storage.enterWith("entered");
          globalThis.setTimeout(() => note("nested"), 50);
        }, 50);
        void sleep(150).then(() => note("promise"));
        setOfModule(() => note("of the module"), 200);
        const interval = globalThis.setInterval(() => {
          note("interval");
          if (++times === 2) globalThis.clearInterval(interval);
        }, 225);
      });
      globalThis.setTimeout(() => note("none"), 350);
      await storage.run("two", async () => {
        refreshed.refresh();
        await sleep(500);
        note("awaited");
      });
      note("after");
      return seen;
    };
    // The results of Node 20.20 in real time.
    const expected = [
      ["immediate", "one"],
      ["timeout", "one"],
      ["nested", "entered"],
      ["promise", "one"],
      ["of the module", "one"],
      ["interval", "one"],
      ["refreshed", "refreshed"],
      ["none", undefined],
      ["interval", "one"],
      ["awaited", "two"],
      ["after", undefined],
    ];
    await expect(new VirtualTime().run(program, hooks)).resolves.toEqual(expected);
  });

  test("timers of the network's clock run in that AsyncLocalStorage too", async () => {
    const storage = new AsyncLocalStorage<string>();
    const time = new VirtualTime();
    const seen = await time.run(
      () =>
        new Promise((resolve) => {
          storage.run("one", () => time.clock.after(5, () => resolve(storage.getStore())));
        }),
      hooks,
    );
    expect(seen).toBe("one");
  });

  test("promises and ticks that a timer causes run before the next timer", async () => {
    const program = async (): Promise<string[]> => {
      const log: string[] = [];
      globalThis.setTimeout(() => {
        log.push("first");
        void Promise.resolve().then(() => {
          log.push("promise");
          process.nextTick(() => {
            log.push("tick");
            void Promise.resolve().then(() => log.push("promise of the tick"));
          });
        });
      }, 5);
      globalThis.setTimeout(() => log.push("second"), 5);
      await sleep(20);
      return log;
    };
    const real = await program();
    expect(real).toEqual(["first", "promise", "tick", "promise of the tick", "second"]);
    await expect(new VirtualTime().run(program, hooks)).resolves.toEqual(real);
  });

  test("timers take arguments, and can be cleared, refreshed, closed and disposed of, also by number", async () => {
    const time = new VirtualTime();
    const log = await time.run(async () => {
      const seen: unknown[] = [];
      const note = (...what: unknown[]): unknown => seen.push([time.clock.now(), ...what]);
      globalThis.setTimeout(note, 10, "one", 2);
      globalThis.clearTimeout(globalThis.setTimeout(note, 10, "cleared"));
      clearOfModule(Number(globalThis.setTimeout(note, 10, "cleared by number")));
      globalThis.clearTimeout(String(Number(globalThis.setTimeout(note, 10, "cleared by text"))));
      globalThis.clearTimeout(undefined);
      globalThis.setTimeout(note, 10, "closed").close();
      globalThis.setTimeout(note, 10, "disposed of")[Symbol.dispose]();
      globalThis.clearImmediate(globalThis.setImmediate(note, "cleared"));
      globalThis.setImmediate(note, "immediate");
      const refreshed = globalThis.setTimeout(note, 10, "refreshed").unref();
      expect([refreshed.hasRef(), refreshed.ref().hasRef()]).toEqual([false, true]);
      await sleep(6);
      refreshed.refresh();
      await sleep(20);
      return seen;
    }, hooks);
    expect(log).toEqual([
      [0.1, "immediate"],
      [10, "one", 2],
      [16, "refreshed"],
    ]);
  });

  test("an interval repeats until it is cleared, also from its own callback, and an interval of 0 ms is one of 1 ms", async () => {
    const time = new VirtualTime();
    const at = await time.run(async () => {
      const seen: number[] = [];
      const interval = globalThis.setInterval(() => {
        if (seen.push(time.clock.now()) === 4) globalThis.clearInterval(interval);
      }, 0);
      await sleep(50);
      return seen;
    }, hooks);
    expect(at).toEqual([1, 2, 3, 4]);
  });

  test("`this` is the timer in its callback", async () => {
    const same = await new VirtualTime().run(
      () =>
        new Promise((resolve) => {
          const timer = globalThis.setTimeout(function (this: unknown) {
            resolve(this === timer);
          }, 1);
        }),
      hooks,
    );
    expect(same).toBe(true);
  });

  test("an argument that is not a function is refused", async () => {
    const run = new VirtualTime().run(
      () => void Reflect.apply(globalThis.setTimeout, undefined, [7, 1]),
      hooks,
    );
    await expect(run).rejects.toMatchObject({ code: "ERR_INVALID_ARG_TYPE", name: "TypeError" });
  });

  test("a timer from before the run can be cleared in it", async () => {
    const before = globalThis.setTimeout(() => undefined, 60_000);
    await new VirtualTime().run(() => globalThis.clearTimeout(before), hooks);
    expect(before).toHaveProperty("_destroyed", true);
  });
});

describe("after a run", () => {
  const globals = (): unknown[] => [
    globalThis.setTimeout,
    globalThis.clearTimeout,
    globalThis.setInterval,
    globalThis.clearInterval,
    globalThis.setImmediate,
    globalThis.clearImmediate,
    globalThis.Date,
    globalThis.Intl,
    globalThis.performance,
    globalThis.queueMicrotask,
    process.nextTick,
    process.hrtime,
    process.hrtime.bigint,
    hooksPerformance.now,
    AbortSignal.timeout,
    timers.setTimeout,
    timers.clearTimeout,
    timers.setInterval,
    timers.setImmediate,
    setOfModule,
    clearOfModule,
    timersPromises.setTimeout,
    timersPromises.setInterval,
    timersPromises.setImmediate,
    sleep,
    turn,
    setInterval,
    scheduler.wait,
    scheduler.yield,
  ];
  const ends: Record<string, () => unknown> = {
    succeeded: () => sleep(5),
    "had a body that threw": () => {
      throw new Error("boo");
    },
    "had a body that rejected": () => Promise.reject(new Error("boo")),
    "had a timer that threw": () =>
      new Promise(() => {
        globalThis.setTimeout(() => {
          throw new Error("boo");
        }, 5);
      }),
    "waited in vain": () => new Promise(() => undefined),
  };
  for (const [name, body] of Object.entries(ends)) {
    test(`after a run that ${name}, every global is restored`, async () => {
      const before = globals();
      let during: unknown[] = [];
      const run = new VirtualTime().run(() => {
        during = globals();
        return body();
      }, hooks);
      await run.catch(() => undefined);
      expect(globals().map((now, index) => now === before[index])).toEqual(before.map(() => true));
      expect(during.filter((fake, index) => fake === before[index])).toEqual([
        queueMicrotask,
        process.nextTick,
      ]);
    });
  }

  test("a setTimeout that a module has kept is Node's again after a run, and virtual in the next run", async () => {
    const time = new VirtualTime();
    const kept = await time.run(() => globalThis.setTimeout, hooks);
    await new Promise((resolve) => kept(resolve, 1));
    expect(time.clock.now()).toBe(0);
    await time.run(() => new Promise((resolve) => kept(resolve, 40)), hooks);
    expect(time.clock.now()).toBe(40);
  });

  test("the program's timers are gone after a run, in the next run too", async () => {
    const time = new VirtualTime();
    let fired = 0;
    await time.run(() => globalThis.setInterval(() => fired++, 5), hooks);
    await time.run(() => sleep(50), hooks);
    expect(fired).toBe(0);
  });
});

describe("other fake timers", () => {
  test("fake timers of vitest are refused", async () => {
    vi.useFakeTimers();
    try {
      await expect(new VirtualTime().run(() => 1, hooks)).rejects.toThrow("other fake timers are installed");
    } finally {
      vi.useRealTimers();
    }
    await expect(new VirtualTime().run(() => 1, hooks)).resolves.toBe(1);
  });

  test("fake timers of vitest are refused without a fake Date too", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    try {
      await expect(new VirtualTime().run(() => 1, hooks)).rejects.toThrow("other fake timers are installed");
    } finally {
      vi.useRealTimers();
    }
  });

  test("fake timers of node:test are refused", async () => {
    mock.timers.enable();
    try {
      await expect(new VirtualTime().run(() => 1, hooks)).rejects.toThrow("other fake timers are installed");
    } finally {
      mock.timers.reset();
    }
  });
});

describe("virtual time waits for work of Node", () => {
  const works: Record<string, () => Promise<unknown>> = {
    "fs.readFile": () => promisify(readFile)("/etc/hosts"),
    "readFile of node:fs/promises": () => readFilePromise("/etc/hosts"),
    "dns.lookup": () => promisify(dns.lookup)("localhost"),
  };
  for (const [name, work] of Object.entries(works)) {
    test(name, async () => {
      const time = new VirtualTime();
      const at = await time.run(async () => {
        // A timer that virtual time could jump to.
        const other = globalThis.setInterval(() => undefined, 10);
        await sleep(25);
        for (let count = 0; count < 3; count++) await work();
        globalThis.clearInterval(other);
        return time.clock.now();
      }, hooks);
      expect(at).toBe(25);
    });
  }
});

async function failure(promise: Promise<unknown>): Promise<Error & { code?: unknown }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("it did not fail");
}

/** Waits for an event `ns` nanoseconds from now. */
function happens(time: VirtualTime, ns: number): Promise<void> {
  return new Promise((resolve) => {
    time.schedule(event(time.now + ns, { fire: () => (resolve(), true) }));
  });
}
