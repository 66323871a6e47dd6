import { describe, expect, test } from "vitest";

import { checkSettings } from "../../src/sim/link/check.js";
import { Impairment, type Verdict, emptyVerdict } from "../../src/sim/link/impairment.js";
import type { LinkSettings } from "../../src/sim/link/settings.js";
import { Random } from "../../src/sim/random.js";

const seeds = [1, 7, 0xdead_beef];
const million = 1_000_000;

const checked = (settings: LinkSettings) => checkSettings(settings, "link a–b", "up");
const impairment = (settings: LinkSettings, seed = 1) =>
  new Impairment(checked(settings), new Random(seed, "link a–b"));

/** Sends packets of `bytes` every `gapNs`, and passes each verdict to a function. */
function send(
  link: Impairment,
  count: number,
  { bytes = 1000, gapNs = 0, from = 0 }: { bytes?: number; gapNs?: number; from?: number },
  see: (verdict: Verdict, now: number) => void,
): void {
  const verdict = emptyVerdict();
  for (let index = 0; index < count; index++) {
    const now = from + index * gapNs;
    link.pass(now, bytes, verdict);
    see(verdict, now);
  }
}

/** Expects that `happened` of `count` is what a chance of `ratio` causes in 99.9 of 100 runs (normal approximation). */
function expectShare(happened: number, count: number, ratio: number): void {
  const margin = 3.2905 * Math.sqrt(count * ratio * (1 - ratio));
  expect(Math.abs(happened - count * ratio)).toBeLessThanOrEqual(margin);
}

describe("over a million packets, each ratio is met within its 99.9% interval", () => {
  const ratios = [0.001, 0.1, 0.3, 0.5, 0.99];
  const faults: readonly (readonly [
    name: string,
    settings: (ratio: number) => LinkSettings,
    happened: (verdict: Verdict) => boolean,
  ])[] = [
    ["lossRatio", (lossRatio) => ({ lossRatio }), ({ fate }) => fate === "loss"],
    ["duplicateRatio", (duplicateRatio) => ({ duplicateRatio }), ({ duplicateAt }) => duplicateAt >= 0],
    ["reorderRatio", (reorderRatio) => ({ reorderRatio }), ({ reordered }) => reordered],
    ["corruptRatio", (corruptRatio) => ({ corruptRatio }), ({ corruptBit }) => corruptBit >= 0],
  ];
  test.each(faults)("%s is met", (_, settings, happened) => {
    for (const [index, ratio] of ratios.entries()) {
      let count = 0;
      const link = impairment(settings(ratio), seeds[index % seeds.length]);
      send(link, million, { gapNs: 1000 }, (verdict) => {
        if (happened(verdict)) count++;
      });
      expectShare(count, million, ratio);
    }
  });

  test.each(seeds)("all ratios together are met, among the packets that are not lost (seed %i)", (seed) => {
    const settings = {
      lossRatio: 0.2,
      duplicateRatio: 0.05,
      reorderRatio: 0.02,
      corruptRatio: 0.01,
      jitterMs: 1,
    };
    const counts = { passed: 0, duplicated: 0, reordered: 0, corrupted: 0, both: 0 };
    send(impairment(settings, seed), million, { gapNs: 1000 }, (verdict) => {
      if (verdict.fate === "passed") counts.passed++;
      if (verdict.duplicateAt >= 0) counts.duplicated++;
      if (verdict.reordered) counts.reordered++;
      if (verdict.corruptBit >= 0) counts.corrupted++;
      if (verdict.duplicateAt >= 0 && verdict.reordered) counts.both++;
    });
    expectShare(counts.passed, million, 0.8);
    expectShare(counts.duplicated, counts.passed, 0.05);
    expectShare(counts.reordered, counts.passed, 0.02);
    expectShare(counts.corrupted, counts.passed, 0.01);
    expectShare(counts.both, counts.passed, 0.05 * 0.02);
  });
});

describe("losses in bursts", () => {
  /** The ratio of lost packets, and the lengths of runs of losses. */
  function losses(settings: LinkSettings, seed: number): { share: number; mean: number; most: number } {
    let [lost, runs, most, run] = [0, 0, 0, 0];
    send(impairment(settings, seed), million, {}, ({ fate }) => {
      if (fate !== "loss") {
        run = 0;
        return;
      }
      if (run === 0) runs++;
      lost++;
      most = Math.max(most, ++run);
    });
    return { share: lost / million, mean: lost / runs, most };
  }

  function expectNear(actual: number, expected: number, tolerance: number): void {
    expect(Math.abs(actual / expected - 1)).toBeLessThan(tolerance);
  }

  test.each(seeds)("Gilbert's model keeps the ratio and has the mean length (seed %i)", (seed) => {
    for (const [lossRatio, lossBurstLength] of [
      [0.01, 1],
      [0.1, 4],
      [0.5, 2],
      [0.05, 10],
      [0.75, 3],
    ] as const) {
      const { share, mean } = losses({ lossRatio, lossBurstLength }, seed);
      // The variance of the ratio is that of independent losses times (1 + c) / (1 - c). c is the correlation of neighbours.
      const correlation = 1 - 1 / lossBurstLength / (1 - lossRatio);
      const deviation = Math.sqrt(
        ((lossRatio * (1 - lossRatio)) / million) * ((1 + correlation) / (1 - correlation)),
      );
      expect(Math.abs(share - lossRatio)).toBeLessThanOrEqual(3.2905 * deviation);
      expectNear(mean, lossBurstLength, 0.05);
    }
  });

  test.each(seeds)("Gilbert and Elliott's model has its stationary loss (seed %i)", (seed) => {
    const model = { toBadRatio: 0.02, toGoodRatio: 0.2, goodLossRatio: 0.01, badLossRatio: 0.6 };
    const bad = model.toBadRatio / (model.toBadRatio + model.toGoodRatio);
    const expected = bad * model.badLossRatio + (1 - bad) * model.goodLossRatio;
    expectNear(losses({ gilbertElliott: model }, seed).share, expected, 0.03);
  });

  test.each(seeds)(
    "by default all packets are lost in the bad state, and none in the good one (seed %i)",
    (seed) => {
      const { share, mean } = losses({ gilbertElliott: { toBadRatio: 0.02, toGoodRatio: 0.2 } }, seed);
      expectNear(share, 0.02 / 0.22, 0.03);
      expectNear(mean, 5, 0.03);
    },
  );

  test("the first packet is lost as often as any other", () => {
    const model = { toBadRatio: 0.001, toGoodRatio: 0.002 };
    let lost = 0;
    for (let seed = 0; seed < 20_000; seed++) {
      send(impairment({ gilbertElliott: model }, seed), 1, {}, ({ fate }) => {
        if (fate === "loss") lost++;
      });
    }
    expectShare(lost, 20_000, 1 / 3);
  });

  test.each(seeds)(
    "with lossBurstMost no run of losses is longer, and the ratio is the theoretical one (seed %i)",
    (seed) => {
      const { share, most } = losses({ lossRatio: 0.3, lossBurstMost: 3 }, seed);
      expect(most).toBe(3);
      // A run of up to three losses, and the packet that passes after it.
      const perRun = 0.3 + 0.3 ** 2 + 0.3 ** 3;
      expectNear(share, perRun / (perRun + 1), 0.01);
    },
  );

  test("all packets are lost at a ratio of 1, none at 0, and every second one at 1 with lossBurstMost 1", () => {
    expect(losses({ lossRatio: 1 }, 1).share).toBe(1);
    expect(losses({ lossRatio: 0, lossBurstLength: 5 }, 1).share).toBe(0);
    expect(losses({ lossRatio: 1, lossBurstMost: 1 }, 1).share).toBe(0.5);
  });
});

describe("time", () => {
  test("latency is exact", () => {
    send(impairment({ latencyMs: 12.345678 }), 1000, { gapNs: 777 }, ({ at }, now) => {
      expect(at - now).toBe(12_345_678);
    });
  });

  test("jitter is uniform: packets far apart take latency plus half of it on average, and its whole range", () => {
    let [sum, least, most] = [0, Infinity, 0];
    send(impairment({ latencyMs: 20, jitterMs: 10 }), million, { gapNs: 11e6 }, ({ at }, now) => {
      const took = at - now;
      sum += took;
      least = Math.min(least, took);
      most = Math.max(most, took);
    });
    expect(Math.abs(sum / million / 25e6 - 1)).toBeLessThan(0.001);
    expect([least, most].map((ns) => Math.round(ns / 1e4))).toEqual([2000, 3000]);
    expect(least).toBeGreaterThanOrEqual(20e6);
    expect(most).toBeLessThanOrEqual(30e6);
  });

  test("jitter keeps the order, also of duplicates", () => {
    let [last, equal, overtaken] = [0, 0, 0];
    const link = impairment({ latencyMs: 5, jitterMs: 10, lossRatio: 0.1, duplicateRatio: 0.2 });
    send(link, 100_000, { gapNs: 100_000 }, ({ fate, at, duplicateAt }) => {
      if (fate !== "passed") return;
      if (at === last) equal++;
      if (at < last || (duplicateAt >= 0 && duplicateAt < at)) overtaken++;
      last = Math.max(at, duplicateAt);
    });
    expect(overtaken).toBe(0);
    expect(equal).toBeGreaterThan(0);
  });

  test("a reordered packet is delayed by reorderMs, and delays no other packet", () => {
    let held = 0;
    send(
      impairment({ latencyMs: 5, reorderRatio: 0.1, reorderMs: 3 }),
      10_000,
      { gapNs: 1e6 },
      (verdict, now) => {
        if (verdict.reordered) held++;
        expect(verdict.at - now).toBe(verdict.reordered ? 8e6 : 5e6);
      },
    );
    expect(held).toBeGreaterThan(0);
  });

  test("a duplicate of a reordered packet arrives at the usual time", () => {
    const all = { latencyMs: 5, reorderRatio: 1, reorderMs: 3, duplicateRatio: 1 };
    send(impairment(all), 10, { gapNs: 1e6 }, ({ at, duplicateAt }, now) => {
      expect([at - now, duplicateAt - now]).toEqual([8e6, 5e6]);
    });
  });

  test("the changed bit of a corrupted packet is drawn from the whole range", () => {
    let [least, most] = [Infinity, 0];
    send(impairment({ corruptRatio: 1 }), 100_000, {}, ({ corruptBit }) => {
      least = Math.min(least, corruptBit);
      most = Math.max(most, corruptBit);
    });
    expect(least).toBeLessThan(2 ** 32 * 0.001);
    expect(most).toBeGreaterThan(2 ** 32 * 0.999);
  });
});

describe("rate and queue", () => {
  test.each([
    [1_000_000, 1500],
    [3_000_000, 1000],
    [7_777_777, 64],
    [999_999_999_937, 1500],
  ])("at %i bit/s, packets of %i bytes leave without any error that grows", (rateBps, bytes) => {
    const count = 100_000;
    let [passed, last] = [0, 0];
    const link = impairment({ rateBps, queueBytes: 2 ** 30 });
    send(link, count, { bytes }, ({ fate, at }) => {
      if (fate === "passed") passed++;
      last = at;
    });
    expect(passed).toBe(count);
    expect(last).toBe(Number((BigInt(count * bytes) * 8_000_000_000n) / BigInt(rateBps)));
  });

  test("packets beyond the rate are dropped, and the rest arrives at the rate", () => {
    let bits = 0;
    let last = 0;
    let dropped = 0;
    const link = impairment({ rateBps: 8_000_000, latencyMs: 30 });
    // 12 Mbit/s for 10 s.
    send(link, 10_000, { bytes: 1500, gapNs: 1e6 }, ({ fate, at }) => {
      if (fate === "queue") {
        expect(at).toBe(-1);
        dropped++;
      } else {
        bits += 12_000;
        last = at;
      }
    });
    expect(dropped).toBeGreaterThan(3000);
    expect(Math.abs(bits / ((last - 30e6) / 1e9) / 8_000_000 - 1)).toBeLessThan(0.001);
  });

  test("the queue takes packets up to queueBytes, and as many more as have left", () => {
    const fates: string[] = [];
    const link = impairment({ rateBps: 8_000, queueBytes: 3000 });
    send(link, 4, {}, ({ fate, at }) => fates.push(`${fate} ${at}`));
    // One byte has left after a millisecond. The queue has room for 999 more only after another 998 have left.
    send(link, 1, { from: 999e6 }, ({ fate }) => fates.push(fate));
    send(link, 2, { from: 1000e6 }, ({ fate, at }) => fates.push(`${fate} ${at}`));
    expect(fates).toEqual([
      "passed 1000000000",
      "passed 2000000000",
      "passed 3000000000",
      "queue -1",
      "queue",
      "passed 4000000000",
      "queue -1",
    ]);
  });

  test("a packet larger than the queue passes if no packet waits", () => {
    const link = impairment({ rateBps: 8_000, queueBytes: 0 });
    const fates: string[] = [];
    send(link, 2, {}, ({ fate }) => fates.push(fate));
    send(link, 2, { from: 1e9 }, ({ fate }) => fates.push(fate));
    expect(fates).toEqual(["passed", "queue", "passed", "queue"]);
  });

  test("a packet that is lost on the link has used its time at the rate", () => {
    const link = impairment({ rateBps: 8_000, lossRatio: 1 });
    send(link, 3, {}, ({ fate }) => expect(fate).toBe("loss"));
    link.set(checked({ rateBps: 8_000 }));
    send(link, 1, {}, ({ at }) => expect(at).toBe(4e9));
  });

  test("a packet that has no room draws no random number", () => {
    const fates = (queueBytes: number): string[] => {
      const link = impairment({ rateBps: 1_000_000, queueBytes, lossRatio: 0.5 });
      const seen: string[] = [];
      for (let index = 0; index < 50; index++) {
        const at = index * 100e6;
        send(link, 1, { from: at }, ({ fate }) => seen.push(fate));
        if (queueBytes === 0) send(link, 1, { from: at }, ({ fate }) => expect(fate).toBe("queue"));
      }
      return seen;
    };
    expect(fates(0)).toEqual(fates(150_000));
  });
});

describe("random numbers", () => {
  const all: LinkSettings = {
    latencyMs: 5,
    jitterMs: 4,
    lossRatio: 0.1,
    lossBurstLength: 2,
    duplicateRatio: 0.1,
    reorderRatio: 0.1,
    corruptRatio: 0.1,
    rateBps: 10_000_000,
    queueBytes: 20_000,
  };
  function fates(settings: LinkSettings, seed: number): string[] {
    const seen: string[] = [];
    send(impairment(settings, seed), 1000, { gapNs: 700_000 }, (verdict) =>
      seen.push(JSON.stringify(verdict)),
    );
    return seen;
  }

  test("the fates are the same for the same seed, and differ for another", () => {
    expect(fates(all, 7)).toEqual(fates(all, 7));
    expect(fates(all, 7)).not.toEqual(fates(all, 8));
  });

  test("latency and rate draw no random numbers: the same packets are lost without them", () => {
    const lost = (settings: LinkSettings) => fates(settings, 7).map((fate) => fate.includes('"loss"'));
    const { lossRatio, rateBps } = { lossRatio: 0.3, rateBps: 100_000_000 };
    expect(lost({ lossRatio, rateBps, latencyMs: 9, reorderMs: 5 })).toEqual(lost({ lossRatio }));
  });
});

describe("settings that change while it runs", () => {
  test("new settings apply from the next packet on", () => {
    const link = impairment({ latencyMs: 100 });
    const seen: (string | number)[] = [];
    send(link, 1, {}, ({ at }) => seen.push(at));
    link.set(checked({ lossRatio: 1 }));
    expect(link.settings.lossRatio).toBe(1);
    send(link, 1, { from: 1 }, ({ fate }) => seen.push(fate));
    link.set(checked({ latencyMs: 5 }));
    send(link, 1, { from: 2 }, ({ at }) => seen.push(at));
    // The latency was changed, so the third overtakes the first.
    expect(seen).toEqual([100e6, "loss", 5e6 + 2]);
  });

  test("packets that wait in the queue leave before later ones, also after a change", () => {
    const link = impairment({ rateBps: 8_000 });
    const seen: number[] = [];
    send(link, 2, {}, ({ at }) => seen.push(at));
    link.set(checked({ rateBps: 16_000 }));
    send(link, 1, {}, ({ at }) => seen.push(at));
    link.set(checked({ latencyMs: 1 }));
    send(link, 1, {}, ({ at }) => seen.push(at));
    expect(seen).toEqual([1e9, 2e9, 2.5e9, 2.501e9]);
  });

  test.each([
    [80_000_000, "queue", 3999, 3499],
    [80_000_000, "passed", 4000, 4500],
    [800, "queue", 3999, 3499],
    [800, "passed", 4000, 4500],
  ])(
    "the queue is counted in bytes: set to %i bit/s, %s if %i fit, later %i",
    (rateBps, expected, first, later) => {
      const link = impairment({ rateBps: 8_000, queueBytes: 3000 });
      send(link, 3, {}, ({ fate }) => expect(fate).toBe("passed"));
      for (const rate of [Infinity, 123_456, rateBps])
        link.set(checked({ rateBps: rate, queueBytes: first }));
      send(link, 1, {}, ({ fate }) => expect(fate).toBe(expected));
      // In half a second, 500 bytes leave at the old rate.
      link.set(checked({ rateBps, queueBytes: later }));
      send(link, 1, { from: 0.5e9 }, ({ fate }) => expect(fate).toBe(expected));
    },
  );

  test("the queue never takes more than it has room for, with any number of changes of the rate", () => {
    const link = impairment({ rateBps: 8_000, queueBytes: 3000 });
    let passed = 0;
    for (let index = 0; index < 100; index++) {
      link.set(checked({ rateBps: index % 2 === 0 ? 8_000 : 9_000, queueBytes: 3000 }));
      send(link, 10, {}, ({ fate }) => {
        if (fate === "passed") passed++;
      });
    }
    expect(passed).toBe(3);
  });

  test("a burst of losses continues if the model of losses stays", () => {
    const burst: LinkSettings = { lossRatio: 0.5, lossBurstLength: 10_000 };
    const seen = new Set<string>();
    const link = impairment(burst, 3);
    for (let latencyMs = 0; latencyMs < 20; latencyMs++) {
      link.set(checked({ ...burst, latencyMs }));
      send(link, 1, {}, ({ fate }) => seen.add(fate));
    }
    expect(seen.size).toBe(1);
  });

  test("jitter keeps the order if latency and jitter stay", () => {
    const link = impairment({ jitterMs: 1000 });
    let last = 0;
    for (let index = 0; index < 100; index++) {
      link.set(checked({ jitterMs: 1000, corruptRatio: index / 100 }));
      send(link, 1, { from: index }, ({ at }) => {
        expect(at).toBeGreaterThanOrEqual(last);
        last = at;
      });
    }
    expect(last).toBeGreaterThan(900e6);
  });
});
