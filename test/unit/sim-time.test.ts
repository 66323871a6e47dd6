import { promisify } from "node:util";

import { describe, expect, test } from "vitest";

import { StuckError } from "../../src/sim/time/stuck-error.js";
import type { ScheduledEvent } from "../../src/sim/time/event.js";
import { VirtualTime } from "../../src/sim/time/virtual-time.js";
import { crypt, event, hooks, never, sleep } from "./fixtures/virtual-time.js";

/** The real function, before a run replaces it. */
const realTurn = promisify(setImmediate);

describe("the result of a run", () => {
  test("the result is the value of the body, from a promise or not", async () => {
    const time = new VirtualTime();
    await expect(time.run(() => 1, hooks)).resolves.toBe(1);
    await expect(time.run(() => Promise.resolve(2), hooks)).resolves.toBe(2);
    await expect(time.run(() => sleep(time, 3).then(() => 3), hooks)).resolves.toBe(3);
  });

  test("the result is the error of the body, thrown or rejected, as failure() returns it", async () => {
    const time = new VirtualTime();
    const failure = (error: unknown): unknown => new Error("with the seed", { cause: error });
    const thrown = new Error("thrown");
    const throws = (): never => {
      throw thrown;
    };
    await expect(time.run(throws, { ...hooks, failure })).rejects.toMatchObject({
      message: "with the seed",
      cause: thrown,
    });
    await expect(time.run(() => Promise.reject(thrown), { ...hooks, failure })).rejects.toMatchObject({
      message: "with the seed",
      cause: thrown,
    });
  });

  test("the result is the error that a timer or an event throws", async () => {
    const time = new VirtualTime();
    const boo = (): never => {
      throw new Error("boo");
    };
    await expect(time.run(() => (time.clock.after(5, boo), never), hooks)).rejects.toThrow("boo");
    await expect(
      time.run(() => (time.schedule(event(time.now + 5, { fire: boo })), never), hooks),
    ).rejects.toThrow("boo");
  });

  test("runs one after another continue the same time", async () => {
    const time = new VirtualTime();
    await time.run(() => sleep(time, 7), hooks);
    expect(time.clock.now()).toBe(7);
    await time.run(() => sleep(time, 7), hooks);
    expect([time.clock.now(), time.now]).toEqual([14, 14_000_000]);
  });

  test("events that are left happen in the next run", async () => {
    const time = new VirtualTime();
    let happened = 0;
    await time.run(() => {
      time.schedule(event(5_000_000, { fire: () => ++happened > 0 }));
      time.clock.after(6, () => happened++);
    }, hooks);
    expect(happened).toBe(0);
    await time.run(() => sleep(time, 10), hooks);
    expect(happened).toBe(2);
  });

  test("a second run at the same time is refused, also of another network, and does not affect the first", async () => {
    const time = new VirtualTime();
    const run = time.run(async () => {
      await sleep(time, 5);
      await expect(time.run(() => 1, hooks)).rejects.toThrow("only one is possible at a time");
      await expect(new VirtualTime().run(() => 1, hooks)).rejects.toThrow("only one is possible at a time");
      await sleep(time, 5);
      return "unharmed";
    }, hooks);
    await expect(new VirtualTime().run(() => 1, hooks)).rejects.toThrow("only one is possible at a time");
    await expect(run).resolves.toBe("unharmed");
    expect(time.clock.now()).toBe(10);
  });

  test("wrong limits are refused", async () => {
    for (const limits of [{ limitMs: 0 }, { limitMs: NaN }, { limitMs: Infinity }, { realLimitMs: -1 }]) {
      await expect(new VirtualTime().run(() => 1, hooks, limits)).rejects.toMatchObject({
        code: "ERR_OUT_OF_RANGE",
      });
    }
  });
});

describe("the end", () => {
  test("ended() is called after the body has settled, in virtual time, which continues for it", async () => {
    const time = new VirtualTime();
    const log: string[] = [];
    const ended = async (): Promise<void> => {
      log.push("ended");
      await new Promise((resolve) => globalThis.setTimeout(resolve, 20));
      log.push(`closed at ${time.clock.now()}`);
    };
    await time.run(() => log.push("body"), { ...hooks, ended });
    expect(log).toEqual(["body", "ended", "closed at 20"]);
  });

  test("ended() is called after failures too, and does not hide them", async () => {
    const time = new VirtualTime();
    let ends = 0;
    const ended = (): void => {
      ends++;
      throw new Error("of the end");
    };
    await expect(
      time.run(() => Promise.reject(new Error("of the body")), { ...hooks, ended }),
    ).rejects.toThrow("of the body");
    await expect(time.run(() => never, { ...hooks, ended })).rejects.toThrow("nothing can happen any more");
    await expect(time.run(() => 1, { ...hooks, ended })).rejects.toThrow("of the end");
    expect(ends).toBe(3);
  });

  test("ended() must settle within the limits", async () => {
    const time = new VirtualTime();
    await expect(time.run(() => 1, { ...hooks, ended: () => never })).rejects.toThrow(
      "nothing can happen any more",
    );
    const ended = async (): Promise<void> => {
      for (;;) await sleep(time, 1_000);
    };
    await expect(time.run(() => 1, { ...hooks, ended })).rejects.toMatchObject({
      code: "ERR_SIM_TIME_LIMIT",
    });
    expect(time.clock.now()).toBe(60_000);
  });

  test("ended() can settle a body that waited in vain, without effect", async () => {
    const time = new VirtualTime();
    let close: (error: Error) => void = () => undefined;
    const body = new Promise<never>((_, reject) => (close = reject));
    const ended = async (): Promise<void> => {
      close(new Error("closed"));
      await sleep(time, 5);
    };
    await expect(time.run(() => body, { ...hooks, ended })).rejects.toThrow("nothing can happen any more");
    expect(time.clock.now()).toBe(5);
  });
});

describe("a run that cannot end", () => {
  test("the error names who waits for what when nothing can happen any more", async () => {
    const time = new VirtualTime();
    const failure: unknown = await time
      .run(() => sleep(time, 12.3).then(() => never), hooks)
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StuckError);
    expect(failure).toMatchObject({
      name: "StuckError",
      code: "ERR_SIM_DEADLOCK",
      message:
        "nothing can happen any more at 12.3 ms of virtual time, and the program still waits: desk waits for a datagram on 10.0.0.1:9000",
      waiting: ["desk waits for a datagram on 10.0.0.1:9000"],
    });
  });

  test("the error names twenty, and says how many more there are", async () => {
    const waiting = (): string[] => Array.from({ length: 23 }, (_, index) => `host ${index}`);
    const failure: unknown = await new VirtualTime()
      .run(() => never, { ...hooks, waiting })
      .catch((error: unknown) => error);
    expect(failure).toHaveProperty(
      "message",
      expect.stringMatching(/: host 0; host 1; .*; host 19; and 3 more$/),
    );
    expect(failure).toHaveProperty("waiting.length", 23);
  });

  test("the error mentions real(promise) if no call waits in the network", async () => {
    const run = new VirtualTime().run(() => never, { ...hooks, waiting: () => [] });
    await expect(run).rejects.toThrow("real(promise)");
  });

  test("cancelled events do not keep a run going", async () => {
    const time = new VirtualTime();
    const run = time.run(() => {
      time.clock.after(5, () => undefined)();
      globalThis.clearInterval(globalThis.setInterval(() => undefined, 5));
      time.schedule(event(5, { cancelled: true }));
      return never;
    }, hooks);
    await expect(run).rejects.toMatchObject({ code: "ERR_SIM_DEADLOCK" });
    expect(time.now).toBe(0);
  });

  test("an interval alone keeps a run going until its time limit", async () => {
    const time = new VirtualTime();
    const body = (): Promise<never> => {
      globalThis.setInterval(() => undefined, 300).unref();
      return never;
    };
    await expect(time.run(body, hooks, { limitMs: 1_000 })).rejects.toMatchObject({
      code: "ERR_SIM_TIME_LIMIT",
      message:
        "the run is not over within its 1000 ms (limitMs) at 900 ms of virtual time, and the program still waits: desk waits for a datagram on 10.0.0.1:9000",
    });
    // The limit is counted from the start of the run.
    await time.run(() => sleep(time, 1_000), hooks, { limitMs: 1_000 });
    expect(time.clock.now()).toBe(1_900);
  });

  test("the error of more than a million events at one instant names their source", async () => {
    const time = new VirtualTime();
    const echo = (who: string): ScheduledEvent =>
      event(5_000_000, { owner: who, fire: () => (time.schedule(echo(who)), false) });
    const run = time.run(() => {
      time.schedule(echo("link camera-desk"));
      time.schedule(echo("host desk"));
      return never;
    }, hooks);
    await expect(run).rejects.toMatchObject({
      code: "ERR_SIM_LIVELOCK",
      message: expect.stringMatching(
        /^more than 1000000 things happened at 5 ms of virtual time \(link camera-desk, host desk\), and the program still waits: desk/,
      ) as unknown,
    });
  });

  test("loops that poll take virtual time, so they end", async () => {
    const time = new VirtualTime();
    const loops: Record<string, () => Promise<unknown>> = {
      immediates: () => new Promise((resolve) => globalThis.setImmediate(resolve)),
      turns: () => new Promise<void>((resolve) => time.clock.turn(resolve)),
      "timers of 0 ms": () => new Promise((resolve) => globalThis.setTimeout(resolve, 0)),
      "clock timers of 0 ms": () => sleep(time, 0),
    };
    const reached: string[] = [];
    for (const [name, wait] of Object.entries(loops)) {
      let done = false;
      await time.run(async () => {
        time.clock.after(50, () => (done = true));
        while (!done) await wait();
      }, hooks);
      reached.push(name);
    }
    expect(reached).toEqual(Object.keys(loops));
    expect(time.clock.now()).toBe(200);
  });

  test("the run gives up real work that never ends, and the error names it", async () => {
    const time = new VirtualTime();
    const run = time.run(() => time.real(never), hooks, { realLimitMs: 20 });
    await expect(run).rejects.toMatchObject({
      code: "ERR_SIM_REAL_WORK",
      message: expect.stringMatching(
        /^real work has held the clock for 0.02 s \(real\(…\), 1 of them\) at 0 ms/,
      ) as unknown,
    });
  });
});

describe("the order of events", () => {
  test("events of one instant run by rank and order, also those that are scheduled for it in between", async () => {
    const time = new VirtualTime();
    const log: string[] = [];
    const add = (name: string, rank: number, order: number, and?: () => void): void => {
      time.schedule(event(5_000, { rank, order, fire: () => (log.push(name), and?.(), false) }));
    };
    await time.run(async () => {
      time.clock.after(0.005, () => log.push("timer"));
      add("late", 3, 0, () => add("after late", 4, 0));
      add("second", 1, 1, () => add("before late", 2, 0));
      add("first", 1, 0);
      await sleep(time, 1);
    }, hooks);
    expect(log).toEqual(["first", "second", "before late", "late", "after late", "timer"]);
  });

  test("a program handles an event before time continues, with a chain of promises and ticks of any length", async () => {
    const time = new VirtualTime();
    const dealtWith = await time.run(async () => {
      const told = new Promise<void>((resolve) => {
        time.schedule(event(5_000, { fire: () => (resolve(), true) }));
      });
      time.schedule(event(5_001));
      await told;
      for (let count = 0; count < 500; count++) {
        await new Promise<void>((resolve) => process.nextTick(resolve));
        for (let more = 0; more < 5; more++) await Promise.resolve();
      }
      return time.now;
    }, hooks);
    expect(dealtWith).toBe(5_000);
  });

  test("a program handles an event before the timers of the same instant", async () => {
    const time = new VirtualTime();
    const log: string[] = [];
    await time.run(async () => {
      time.schedule(
        event(1_000_000, {
          fire: () => {
            void Promise.resolve().then(() => log.push("told"));
            return true;
          },
        }),
      );
      time.clock.after(1, () => log.push("timer"));
      await sleep(time, 2);
    }, hooks);
    expect(log).toEqual(["told", "timer"]);
  });

  test("the order is the same with any activity of the real event loop", async () => {
    const program = async (): Promise<string[]> => {
      const time = new VirtualTime();
      const log: string[] = [];
      await time.run(async () => {
        const work = async (name: string, everyMs: number): Promise<void> => {
          for (let count = 0; count < 40; count++) {
            await (count % 7 === 0 ? time.real(crypt()) : sleep(time, everyMs));
            log.push(`${name} ${time.now}`);
          }
        };
        await Promise.all([work("a", 3), work("b", 0.7), work("c", 2.1)]);
      }, hooks);
      return log.sort();
    };
    const quiet = await program();
    const busy = new AbortController();
    // The clock waits for all real work, and needs turns without any. Noise in every turn would stop the clock.
    const noise = (async () => {
      while (!busy.signal.aborted) {
        await crypt();
        for (let turn = 0; turn < 100; turn++) await realTurn();
      }
    })();
    const disturbed = await program();
    busy.abort();
    await noise;
    expect(quiet).toHaveLength(120);
    expect(disturbed).toEqual(quiet);
  });
});

describe("speed", () => {
  test("an instant that wakes no program is much cheaper than one that does", async () => {
    const time = new VirtualTime();
    const each = async (told: boolean): Promise<number> => {
      const started = process.hrtime.bigint();
      await time.run(
        () =>
          new Promise<void>((resolve) => {
            let left = 20_000;
            const next = (): void => {
              time.schedule(
                event(time.now + 1_000, {
                  fire: () => {
                    if (--left > 0) next();
                    else resolve();
                    return told || left === 0;
                  },
                }),
              );
            };
            next();
          }),
        hooks,
      );
      return Number(process.hrtime.bigint() - started);
    };
    // The quickest of several runs in turns: other work on the machine makes some of them longer.
    let telling = Infinity;
    let silent = Infinity;
    for (let round = 0; round < 5; round++) {
      telling = Math.min(telling, await each(true));
      silent = Math.min(silent, await each(false));
    }
    expect(silent).toBeLessThan(telling);
  });
});
