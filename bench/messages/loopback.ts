/** Messages over loopback, in two processes, beside TCP, the bare socket, and packages of npm. */
import type { Received } from "./loopback-worker.js";
import type { InstalledPeer } from "./peers.js";
import { type Measured, measureBetween } from "./processes.js";
import { table } from "./report.js";

const rounds = 5;

/** A way to transfer megabytes: its arguments for both ends, and what its row says. */
interface Way {
  readonly args: readonly string[];
  readonly what: string;
}

const messages: Way = { args: ["messages"], what: "`messages()`, reliable, with CRC" };
const ways: readonly Way[] = [
  messages,
  { args: ["reuse"], what: "the same, and the receiver has `reuseMemory`" },
  { args: ["tcp"], what: "`node:net`" },
  { args: ["bare"], what: "the bare socket: `sendMany` of 1,400 bytes to `batches()`, received" },
  { args: ["bound"], what: "the bare socket, with one copy and one CRC of each byte at each end" },
];

/**
 * The median of the rounds, in which the ways take turns: megabytes a second, and the CPU time of both ends for each megabyte.
 *
 * @param beside packages to measure too.
 */
export async function measureLoopback(beside: readonly InstalledPeer[]): Promise<string> {
  const all = [...ways, ...beside.map(wayOf)];
  const found = new Map<Way, Measured<Received>[]>(all.map((way) => [way, []]));
  for (let round = 0; round < rounds; round++)
    for (const way of all) found.get(way)?.push(await measure(way));
  const median = (way: Way, of: (ends: Measured<Received>) => number): number =>
    (found.get(way) ?? []).map(of).sort((a, b) => a - b)[rounds >> 1] as number;
  const rate = (way: Way): number => median(way, ({ found: { megabytes, seconds } }) => megabytes / seconds);
  const row = (way: Way): string[] => [
    way.what,
    rate(way).toFixed(0),
    (rate(messages) / rate(way)).toFixed(2),
    median(way, ({ found, senderCpu }) => (1000 * senderCpu) / found.megabytes).toFixed(2),
    median(way, ({ found, receiverCpu }) => (1000 * receiverCpu) / found.megabytes).toFixed(2),
  ];
  return table(
    `Loopback, messages of 1 MB in chunks of 1,400 bytes, two processes, the median of ${rounds} rounds`,
    [
      "",
      "MB/s",
      "messages / this",
      "sender, CPU ms for each MB that arrived",
      "receiver, CPU ms for each MB",
    ],
    all.map(row),
  );
}

function wayOf({ name, version, folder }: InstalledPeer): Way {
  return { args: [name, folder], what: `${name} ${version}: 1 MB in each write of a stream` };
}

async function measure({ args: [way = "", ...rest] }: Way): Promise<Measured<Received>> {
  return await measureBetween("loopback-worker.js", [way, "receive", "0", ...rest], (port) => [
    way,
    "send",
    `${port}`,
    ...rest,
  ]);
}
