/** The targets of the package, as ratios to others in one run on one machine. */
import { names, workloads } from "./workloads.js";

export interface Target {
  readonly work: string;
  readonly workload: string;
  /** The contender, and the contender that it is compared with. */
  readonly of: string;
  readonly against: string;
  readonly figure: string;
  /** The smallest ratio, or the largest if less is better. */
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** How much the resident memory of a receiver may grow between its first million datagrams and the last. */
export const memoryTargetBytes = 8 << 20;

/** The largest ratio of a drain with metadata to the same drain without. */
export const costTarget = 1.05;

/** The targets of the simulated network: datagrams per second, memory of many sockets, ten virtual minutes, idle hosts. */
export const simTargets = { perSecond: 300_000, rssBytes: 2 * 2 ** 30, seconds: 5, idleCost: 1.1 } as const;

export function isReached({ atLeast = 0, atMost = Infinity }: Target, ratio: number): boolean {
  return ratio >= atLeast && ratio <= atMost;
}

export function isMemoryReached(memory: { firstRssBytes: number; lastRssBytes: number }): boolean {
  return memory.lastRssBytes - memory.firstRssBytes <= memoryTargetBytes;
}

const perSecond = "perSecond";
const p50 = "p50";
const p99 = "p99";

const native: readonly Target[] = [
  ...deliveryTargets("64 bytes", "deliver-64", "for await", [[names.nodeDgram, 20]]),
  ...deliveryTargets("64 bytes", "deliver-64", "batches()", [
    [names.nodeDgram, 36],
    [names.offload, 0.6],
  ]),
  ...deliveryTargets("1,400 bytes", "deliver-1400", "for await", [
    [names.nodeDgram, 10],
    [names.offload, 0.42],
  ]),
  ...deliveryTargets("1,400 bytes", "deliver-1400", "batches()", [
    [names.nodeDgram, 12.5],
    [names.offload, 0.5],
  ]),
  ...rateTargets("64 bytes, 1,024 sendto promises in a tick, delivered", "deliver-promises", "native", [
    [names.nodeDgram, 18],
  ]),
  ...rateTargets(
    "64 bytes, 1,024 sendto promises in a tick, sending alone",
    "send",
    "native, sendto promises",
    [[names.nodeDgram, 15]],
  ),
  ...rateTargets("64 bytes, sending alone by sendMany", "send", "native, sendMany", [[names.gso, 0.5]]),
  ...fanOutTargets("one datagram each in turn", "fan-out-1000", [
    [names.sendmmsg, 1],
    [names.bun, 1],
  ]),
  ...fanOutTargets("8 datagrams each, in turns", "fan-out-1000x8", [[names.sendmmsg, 3]]),
  ...fanOutTargets("8 datagrams each, in runs", "fan-out-1000x8-runs", [[names.sendmmsg, 3]]),
  ...rateTargets("one awaited datagram at a time", "awaited-send", "native", [[names.nodeDgram, 1.1]]),
  less("round trip p50 with a C echo", "round-trip", "native and C echo", "C and C echo", p50, 1.4),
  less(
    "round trip p50 with a C echo, two CPUs, busyPoll",
    "round-trip-two",
    "native, busyPoll, and C echo",
    "C and C echo",
    p50,
    1.1,
  ),
  less("round trip p50, both ends", "round-trip", "native both", "node:dgram both", p50, 0.95),
  less("round trip p99, both ends", "round-trip", "native both", "node:dgram both", p99, 1),
  ...rateTargets(
    "message listeners, 64 sends with callbacks in flight",
    "dgram-callbacks",
    "datagram/dgram",
    [[names.nodeDgram, 6]],
  ),
  less("its CPU time, both processes", "dgram-callbacks", "datagram/dgram", names.nodeDgram, "cpuUs", 0.2),
  less(
    "CPU time of a message listener, from node:dgram",
    "dgram-receive",
    "datagram/dgram",
    names.nodeDgram,
    "receiverCpuUs",
    0.9,
  ),
  less("round trip p50, message listeners", "dgram-round-trip", "datagram/dgram", names.nodeDgram, p50, 0.95),
  ...everydayTargets("5,000 a second of 1,400 bytes in bursts", "everyday-bursts", 0.9),
  ...everydayTargets("5,000 a second of 1,400 bytes, evenly", "everyday-even", 1),
  ...everydayTargets("60,000 a second of 1,400 bytes", "everyday-60000", 0.5),
  less("open, bind and close a socket", "open-close", "native", names.nodeDgram, "usEach", 1.3),
  less("resident memory of an idle socket", "idle-sockets", "native", names.nodeDgram, "bytesEach", 1.3),
];

/** CPU time and memory of a receiver that waits for most of the time. */
function everydayTargets(what: string, workload: string, atMost: number): readonly Target[] {
  const of = "native, for await";
  return [
    less(`CPU time, ${what}`, workload, of, names.nodeDgram, "cpuUs", atMost),
    less(`resident memory, ${what}`, workload, of, names.nodeDgram, "receiverRssBytes", 1.05),
  ];
}

function deliveryTargets(
  what: string,
  workload: string,
  by: "for await" | "batches()",
  against: readonly MinRatio[],
): readonly Target[] {
  return rateTargets(`${what}, sendMany to ${by}`, workload, `native, sendMany to ${by}`, against);
}

function fanOutTargets(what: string, workload: string, against: readonly MinRatio[]): readonly Target[] {
  return rateTargets(`fan-out to 1,000 peers, ${what}`, workload, "native, sendMany(datagrams)", against);
}

/** Another program, and the smallest ratio to it that reaches the target. */
type MinRatio = readonly [against: string, atLeast: number];

function rateTargets(
  work: string,
  workload: string,
  of: string,
  others: readonly MinRatio[],
): readonly Target[] {
  return others.map(([against, atLeast]) => ({ work, workload, of, figure: perSecond, against, atLeast }));
}

function less(
  work: string,
  workload: string,
  of: string,
  against: string,
  figure: string,
  atMost: number,
): Target {
  return { work, workload, of, against, figure, atMost };
}

/** The targets of the fallback: nearly as fast as `node:dgram` in every workload of both. */
const fallback: readonly Target[] = workloads.flatMap(({ name, figures, cases }) => {
  const against = cases.find((each) => each.name.startsWith(names.nodeDgram));
  if (!against) return [];
  const [{ key, lessIsBetter } = { key: perSecond }] = figures;
  return cases
    .filter((each) => each.name.startsWith("dgram"))
    .map(({ name: of }) => ({
      work: `the fallback, ${name}${of.includes(",") ? of.slice(of.indexOf(",")) : ""}`,
      workload: name,
      of,
      against: against.name,
      figure: key,
      ...(lessIsBetter === true ? { atMost: 1 / 0.95 } : { atLeast: 0.95 }),
    }));
});

export const targets: readonly Target[] = [...native, ...fallback];
