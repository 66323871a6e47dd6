/** Worker processes of these measurements. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** What a measured receiver found, and the CPU time of both processes meanwhile, in seconds. */
export interface Measured<T> {
  readonly found: T;
  readonly senderCpu: number;
  readonly receiverCpu: number;
}

/** USER_HZ of Linux on all CPUs that this package has an addon for. */
const ticksPerSecond = 100;

/**
 * Starts a receiver, and a sender that gets its port, and ends both at the end. The receiver tells three things: its port, that it
 * begins to measure, and what it found.
 */
export async function measureBetween<T>(
  worker: string,
  receive: readonly string[],
  send: (port: number) => readonly string[],
): Promise<Measured<T>> {
  const start = (args: readonly string[]): ChildProcess =>
    fork(fileURLToPath(new URL(worker, import.meta.url)), args);
  const receiver = start(receive);
  const [port] = (await once(receiver, "message")) as [number];
  const sender = start(send(port));
  await once(receiver, "message");
  const before = [sender, receiver].map(cpuSeconds);
  const [found] = (await once(receiver, "message")) as [T];
  const [senderCpu = 0, receiverCpu = 0] = [sender, receiver].map(
    (child, at) => cpuSeconds(child) - (before[at] as number),
  );
  for (const child of [sender, receiver]) {
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }
  return { found, senderCpu, receiverCpu };
}

/** The CPU time of a process until now: utime and stime of proc_pid_stat(5). The process need not answer for this. */
export function cpuSeconds({ pid = 0 }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
