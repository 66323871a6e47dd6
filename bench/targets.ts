/** What the package must reach, as ratios to others in one run on one machine. */
import { names, workloads } from "./workloads.js";

export interface Target {
  readonly work: string;
  readonly workload: string;
  /** The contender, and what it is compared with. */
  readonly of: string;
  readonly against: string;
  readonly figure: string;
  /** The least ratio, or the most where less is better. */
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** What the resident memory of a receiver may grow between its first million datagrams and the last. */
export const memoryTargetBytes = 16 << 20;

/** What a drain with metadata may take, as a ratio to the same without. */
export const costTarget = 1.05;

/** What the simulated network must reach: datagrams a second, memory of a crowd, ten virtual minutes, idle hosts. */
export const simTargets = { perSecond: 300_000, rssBytes: 2 * 2 ** 30, seconds: 5, idleCost: 1.1 } as const;

export function isReached({ atLeast = 0, atMost = Infinity }: Target, ratio: number): boolean {
  return ratio >= atLeast && ratio <= atMost;
}

export function isMemoryReached(memory: { firstRssBytes: number; lastRssBytes: number }): boolean {
  return memory.lastRssBytes - memory.firstRssBytes <= memoryTargetBytes;
}

const nativeForAwait = "native, sendMany to for await";
const perSecond = "perSecond";
const p50 = "p50";

const native: readonly Target[] = [
  ...(
    [
      [names.nodeDgram, 25],
      [names.bun, 15],
      [names.offload, 0.35],
    ] as const
  ).map(([against, atLeast]) => ({
    work: "64 bytes, sendMany to for await",
    workload: "deliver-64",
    of: nativeForAwait,
    figure: perSecond,
    against,
    atLeast,
  })),
  {
    work: "64 bytes, sendMany to recvMany",
    workload: "deliver-64",
    of: "native, sendMany to recvMany",
    against: names.offload,
    figure: perSecond,
    atLeast: 0.6,
  },
  {
    work: "64 bytes, sending alone by sendMany",
    workload: "send",
    of: "native, sendMany",
    against: names.gso,
    figure: perSecond,
    atLeast: 0.6,
  },
  {
    work: "64 bytes, 1,024 sendto promises in a tick, delivered",
    workload: "deliver-promises",
    of: "native",
    against: names.nodeDgram,
    figure: perSecond,
    atLeast: 15,
  },
  {
    work: "64 bytes, 1,024 sendto promises in a tick, sending alone",
    workload: "send",
    of: "native, sendto promises",
    against: names.nodeDgram,
    figure: perSecond,
    atLeast: 15,
  },
  ...(
    [
      [names.nodeDgram, 10],
      [names.offload, 0.4],
    ] as const
  ).map(([against, atLeast]) => ({
    work: "1,400 bytes, sendMany to for await",
    workload: "deliver-1400",
    of: nativeForAwait,
    figure: perSecond,
    against,
    atLeast,
  })),
  ...(
    [
      ["fan-out-1000", "one datagram each in turn", 0.9],
      ["fan-out-1000x8", "8 datagrams each, in turns", 3],
      ["fan-out-1000x8-runs", "8 datagrams each, in runs", 3],
    ] as const
  ).map(([workload, what, atLeast]) => ({
    work: `fan-out to 1,000 peers, ${what}`,
    workload,
    of: "native, sendMany(datagrams)",
    against: names.sendmmsg,
    figure: perSecond,
    atLeast,
  })),
  {
    work: "one awaited datagram at a time",
    workload: "awaited-send",
    of: "native",
    against: names.nodeDgram,
    figure: perSecond,
    atLeast: 1.1,
  },
  {
    work: "round trip p50 with a C echo",
    workload: "round-trip",
    of: "native and C echo",
    against: "C and C echo",
    figure: p50,
    atMost: 1.5,
  },
  {
    work: "round trip p50, both ends",
    workload: "round-trip",
    of: "native both",
    against: "node:dgram both",
    figure: p50,
    atMost: 0.95,
  },
];

/** The fallback holds its own wherever it meets `node:dgram`. */
const fallback: readonly Target[] = workloads.flatMap(({ name, figures, cases }) => {
  const against = cases.find((each) => each.name.startsWith(names.nodeDgram));
  if (!against) return [];
  const [{ key } = { key: perSecond }] = figures;
  return cases
    .filter((each) => each.name.startsWith("dgram"))
    .map(({ name: of }) => ({
      work: `the fallback, ${name}${of.includes(",") ? of.slice(of.indexOf(",")) : ""}`,
      workload: name,
      of,
      against: against.name,
      figure: key,
      ...(key === p50 ? { atMost: 1 / 0.9 } : { atLeast: 0.9 }),
    }));
});

export const targets: readonly Target[] = [...native, ...fallback];
