/** Messages over loopback, in two processes, beside TCP and the bare socket. */
import { measureBetween } from "./processes.js";

const ways = ["messages", "tcp", "bare"] as const;
const rounds = 5;

/** Megabytes a second of each way: the median of the rounds, in which the ways take turns. */
export async function measureLoopback(): Promise<string> {
  const found = new Map<string, number[]>(ways.map((way) => [way, []]));
  for (let round = 0; round < rounds; round++)
    for (const way of ways) found.get(way)?.push(await measure(way));
  const median = (way: string): number =>
    [...(found.get(way) ?? [])].sort((a, b) => a - b)[rounds >> 1] as number;
  const row = (way: string, what: string): string =>
    `| ${what} | ${median(way).toFixed(0)} | ${(median("messages") / median(way)).toFixed(2)} |`;
  return [
    `Loopback, messages of 1 MB in chunks of 1,400 bytes, two processes, the median of ${rounds} rounds:\n`,
    "| | MB/s | messages / this |",
    "| --- | --- | --- |",
    row("messages", "`messages()`, reliable, with CRC"),
    row("tcp", "`node:net`"),
    row("bare", "the bare socket: `sendMany` of 1,400 bytes to `batches()`, received"),
  ].join("\n");
}

async function measure(way: string): Promise<number> {
  return await measureBetween("loopback-worker.js", [way, "receive"], (port) => [way, "send", `${port}`]);
}
