/** A thousand cameras over loopback, and what the process that receives from all of them uses. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import type { SendMode } from "datagram/message";

import { compile } from "../programs.js";
import type { Received } from "./load-receiver.js";
import { pictureBytes, pictureFrames } from "./picture-frames.js";
import { cpuSeconds } from "./processes.js";
import { megabytes, percent, table, whole } from "./report.js";

const everyMs = 100;
/** One camera after another begins in this time. */
const beginMs = 8000;
const warmUpMs = 12_000;

/** A load. */
interface Load {
  readonly cameras: number;
  readonly mode: SendMode;
  readonly parity: number;
  readonly lossRatio: number;
  /** Whether a camera sends the datagrams of a picture in one segmented send. */
  readonly offload: boolean;
  readonly seed: number;
  readonly windowMs: number;
}

/** What a load came to in the window. */
interface Loaded extends Received {
  readonly offered: number;
  readonly offeredSeconds: number;
  /** Pictures that were not reported whole when their camera sent the next one. */
  readonly notReported: number;
  /** Datagrams that the cameras left out, of all that they had to send. */
  readonly leftOutRatio: number;
  /** The longest time by which a picture left late, in milliseconds. */
  readonly mostLateMs: number;
  readonly camerasCpu: number;
  readonly receiverCpu: number;
}

/** What `cameras.c` prints: counts since it began. */
interface Told {
  readonly pictures: number;
  readonly notWhole: number;
  readonly frames: number;
  readonly leftOut: number;
  readonly refused: number;
  readonly mostLateMs: number;
  readonly cpuSeconds: number;
  readonly seconds: number;
}

/** The rows of the table. */
const figures: readonly (readonly [string, (found: Loaded) => string])[] = [
  ["pictures sent in a second", ({ offered, offeredSeconds }) => whole(offered / offeredSeconds)],
  ["pictures that arrived in a second", ({ pictures, seconds }) => whole(pictures / seconds)],
  ["pictures that came twice, or after a newer one", ({ wrong }) => `${wrong}`],
  ["pictures not reported whole before the next one", ({ notReported }) => `${notReported}`],
  ["datagrams lost", ({ leftOutRatio }) => `${(100 * leftOutRatio).toFixed(2)}%`],
  ["datagrams repaired in a second", ({ repaired, seconds }) => whole(repaired / seconds)],
  ["datagrams that the receive buffer dropped", ({ dropped }) => `${dropped}`],
  ["receiver, share of a core", ({ receiverCpu, seconds }) => percent(receiverCpu / seconds)],
  ["receiver, CPU µs a picture", ({ receiverCpu, pictures }) => whole((receiverCpu / pictures) * 1e6)],
  ["all peers, share of a core", ({ camerasCpu, offeredSeconds }) => percent(camerasCpu / offeredSeconds)],
  ["a picture left late, ms at most", ({ mostLateMs }) => mostLateMs.toFixed(1)],
  ["receiver, MB resident: begin, middle, end", ({ rssBytes }) => thirds(rssBytes).map(megabytes).join(", ")],
  ["receiver, MB resident: most", ({ rssBytes }) => megabytes(Math.max(...rssBytes))],
];

/** The first, the middle and the last one. */
function thirds(of: readonly number[]): number[] {
  return [0, of.length >> 1, of.length - 1].map((at) => of[at] as number);
}

/** One load after another, as a table with a column for each. @throws `Error` if there is no C compiler, or if the cameras end. */
export async function carryLoads(
  loads: readonly (Load & { readonly name: string })[],
  progress: (done: number) => void,
): Promise<string> {
  const { windowMs, offload, seed } = loads[0] as Load;
  const rows = figures.map(([what]) => [what]);
  for (const [at, load] of loads.entries()) {
    const found = await carryLoad(load);
    for (const [row, [, figure]] of figures.entries()) rows[row]?.push(figure(found));
    progress(at + 1);
  }
  const title = `One process receives over loopback for ${windowMs / 1000} s. Each peer is a socket of a C program with ten pictures of 30 KB a second, of whose datagrams 1% are lost, ${offload ? "a picture in one segmented send" : "without segmentation offload"}, seed ${seed}`;
  return table(title, ["peers, mode", ...loads.map(({ cameras, name }) => `${cameras}, ${name}`)], rows);
}

async function carryLoad(load: Load): Promise<Loaded> {
  const { cameras, mode, parity, lossRatio, offload, seed, windowMs } = load;
  const program = compile("cameras");
  const frames = await pictureFrames(mode, parity, seed);
  const folder = mkdtempSync(join(tmpdir(), "datagram-load-"));
  const children: ChildProcess[] = [];
  try {
    const file = join(folder, "frames");
    writeFileSync(file, Buffer.concat(frames));
    const receiver = fork(fileURLToPath(new URL("load-receiver.js", import.meta.url)), [
      `${warmUpMs}`,
      `${windowMs}`,
    ]);
    children.push(receiver);
    const receiverEnds = endOf(receiver, "the receiver");
    const [port] = (await Promise.race([once(receiver, "message"), receiverEnds])) as [number];
    const settings = {
      frames: file,
      chunks: frames.length - parity,
      parities: parity,
      messageBytes: pictureBytes,
      to: port,
      peers: cameras,
      everyUs: everyMs * 1000,
      beginMs,
      lossPpm: Math.round(lossRatio * 1e6),
      seed,
      reliable: mode === "fleeting" ? 0 : 1,
      offload: offload ? 1 : 0,
    };
    const args = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
    const peers = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    children.push(peers);
    const lines = createInterface({ input: peers.stdout });
    const ended = Promise.race([endOf(peers, "the program of the cameras"), receiverEnds]);
    ended.catch(() => undefined);
    const tell = async (): Promise<Told> => {
      const line = once(lines, "line") as Promise<[string]>;
      peers.kill("SIGUSR1");
      return JSON.parse((await Promise.race([line, ended]))[0]) as Told;
    };
    await Promise.race([once(receiver, "message"), ended]);
    const [before, receiverBefore] = [await tell(), cpuSeconds(receiver)];
    const [received] = (await Promise.race([once(receiver, "message"), ended])) as [Received];
    const receiverCpu = cpuSeconds(receiver) - receiverBefore;
    const after = await tell();
    if (after.refused > 0) throw new Error(`the kernel refused ${after.refused} datagrams of the cameras`);
    return {
      ...received,
      offered: after.pictures - before.pictures,
      offeredSeconds: after.seconds - before.seconds,
      notReported: after.notWhole - before.notWhole,
      leftOutRatio: (after.leftOut - before.leftOut) / (after.frames - before.frames),
      mostLateMs: after.mostLateMs,
      camerasCpu: after.cpuSeconds - before.cpuSeconds,
      receiverCpu,
    };
  } finally {
    for (const child of children) {
      // Without a number it did not start.
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) continue;
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    }
    rmSync(folder, { recursive: true });
  }
}

/** Rejects when a program has ended, or did not start. */
function endOf(child: ChildProcess, name: string): Promise<never> {
  const end = once(child, "exit").then(([code, signal]: unknown[]) => {
    throw new Error(`${name} ended with ${String(code ?? signal)}`);
  });
  // The last programs are ended when nobody waits any more.
  end.catch(() => undefined);
  return end;
}
