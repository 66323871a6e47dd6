/** Messages over loopback, in two processes, beside TCP and the bare socket. */
import type { Received } from "./loopback-worker.js";
import { type Measured, measureBetween } from "./processes.js";
import { table } from "./report.js";

const ways = ["messages", "reuse", "tcp", "bare", "bound"] as const;
type Way = (typeof ways)[number];
const rounds = 5;

/** The median of the rounds, in which the ways take turns: megabytes a second, and the CPU time of both ends for each megabyte. */
export async function measureLoopback(): Promise<string> {
  const found = new Map<Way, Measured<Received>[]>(ways.map((way) => [way, []]));
  for (let round = 0; round < rounds; round++)
    for (const way of ways) found.get(way)?.push(await measure(way));
  const median = (way: Way, of: (ends: Measured<Received>) => number): number =>
    (found.get(way) ?? []).map(of).sort((a, b) => a - b)[rounds >> 1] as number;
  const rate = (way: Way): number => median(way, ({ found: { megabytes, seconds } }) => megabytes / seconds);
  const row = (way: Way, what: string): string[] => [
    what,
    rate(way).toFixed(0),
    (rate("messages") / rate(way)).toFixed(2),
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
    [
      row("messages", "`messages()`, reliable, with CRC"),
      row("reuse", "the same, and the receiver has `reuseMemory`"),
      row("tcp", "`node:net`"),
      row("bare", "the bare socket: `sendMany` of 1,400 bytes to `batches()`, received"),
      row("bound", "the bare socket, with one copy and one CRC of each byte at each end"),
    ],
  );
}

async function measure(way: Way): Promise<Measured<Received>> {
  return await measureBetween("loopback-worker.js", [way, "receive"], (port) => [way, "send", `${port}`]);
}
