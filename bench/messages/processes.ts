/** Worker processes of these measurements. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** Starts a receiver, and a sender that gets its port. Returns what the receiver tells at the end, and ends both. */
export async function measureBetween<T>(
  worker: string,
  receive: readonly string[],
  send: (port: number) => readonly string[],
): Promise<T> {
  const start = (args: readonly string[]): ChildProcess =>
    fork(fileURLToPath(new URL(worker, import.meta.url)), args);
  const receiver = start(receive);
  const [port] = (await once(receiver, "message")) as [number];
  const sender = start(send(port));
  const [found] = (await once(receiver, "message")) as [T];
  for (const child of [sender, receiver]) {
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }
  return found;
}
