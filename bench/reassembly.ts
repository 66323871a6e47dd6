/**
 * Compares the simulated network with the kernel when memory for reassembly is short: datagrams of ten fragments, one every
 * 50 ms, and 5% of all fragments lost. The kernel's side is two network namespaces, a veth pair, a rule of nft, and Python.
 * It takes a minute and a half, needs root, and leaves nothing behind:
 *
 *     npm run build && node build/bench/reassembly.js [runs of the kernel, 6] [seeds of the simulator, 20]
 */
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { type Interface, createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout } from "node:timers/promises";

import { Network } from "datagram/sim";

const datagrams = 1500;
const bytes = 14_000;
const everyMs = 50;
/** The receiver was deaf if no datagram arrived for this long: by chance, 30 in a row are incomplete once in 10¹¹ times. */
const deafMs = 1500;

/** What happened to the datagrams of one run. */
interface Outcome {
  readonly delivered: number;
  /** How often the receiver was deaf. */
  readonly deaf: number;
}

const receiver = `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.7.0.2", 9000))
print("ready", flush=True)
got = deaf = 0
last = time.monotonic()
while True:
    data = s.recv(65536)
    now = time.monotonic()
    if now - last > ${deafMs / 1000}: deaf += 1
    last = now
    if data == b"end": break
    got += 1
print(got, deaf, flush=True)
`;

const sender = `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
begin = time.monotonic()
for count in range(${datagrams}):
    s.sendto(bytes(${bytes}), ("10.7.0.2", 9000))
    time.sleep(max(0, begin + (count + 1) * ${everyMs / 1000} - time.monotonic()))
s.sendto(b"end", ("10.7.0.2", 9000))
print("sent", flush=True)
`;

/** A process in a network of its own, which ends with the process. */
class Side {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;

  /** Prints a line when it is ready, and becomes the program when it is told to start. */
  constructor(program: string) {
    const command = ["--net", "sh", "-c", 'echo; read go; exec python3 -c "$1"', "sh", program];
    this.#child = spawn("unshare", command, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  go(): void {
    this.#child.stdin.end("\n");
  }

  run(script: string): void {
    execFileSync("nsenter", [`--target=${this.pid}`, "--net", "--", "sh", "-ec", script]);
  }

  async line(): Promise<string> {
    const [line] = (await once(this.#lines, "line")) as [string];
    return line;
  }
}

async function onKernel(): Promise<Outcome> {
  const [from, to] = [new Side(sender), new Side(receiver)];
  await Promise.all([from.line(), to.line()]);
  from.run(`ip link add v0 type veth peer name v1 netns ${to.pid}
    ip link set v0 up; ip addr add 10.7.0.1/24 dev v0`);
  to.run(`ip link set v1 up; ip addr add 10.7.0.2/24 dev v1
    nft 'table netdev t { chain c { type filter hook ingress device "v1" priority 0;
      meta length > 200 numgen random mod 100 < 5 drop; }; }'`);
  const ready = to.line();
  to.go();
  await ready;
  const result = to.line();
  from.go();
  const [delivered = NaN, deaf = NaN] = (await result).split(" ").map(Number);
  return { delivered, deaf };
}

async function onSimulator(seed: number): Promise<Outcome> {
  const network = new Network({ seed, trace: { packets: 0 } });
  const from = network.host("from", { address: "10.7.0.1" });
  const to = network.host("to", { address: "10.7.0.2" });
  network.link(from, to, { lossRatio: 0.05 });
  let [delivered, deaf, last] = [0, 0, 0];
  await network.run(async () => {
    const r = to.socket();
    await r.bind(["0.0.0.0", 9000]);
    void (async () => {
      for await (const _ of r) {
        const now = r.clock.now();
        if (now - last > deafMs) deaf++;
        last = now;
        delivered++;
      }
    })();
    const s = from.socket();
    for (let count = 0; count < datagrams; count++) {
      await s.sendto(Buffer.alloc(bytes), ["to", 9000]);
      await setTimeout(everyMs);
    }
    if (r.clock.now() - last > deafMs) deaf++;
  });
  return { delivered, deaf };
}

function report(where: string, outcomes: readonly Outcome[]): void {
  const shares = outcomes.map(({ delivered }) => delivered / datagrams).sort((one, other) => one - other);
  const mean = (numbers: readonly number[]): number =>
    numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  const [min = NaN, max = NaN] = [shares[0], shares.at(-1)];
  const deaf = mean(outcomes.map((outcome) => outcome.deaf)).toFixed(1);
  console.log(
    `${where}: delivered ${mean(shares).toFixed(3)} (${min.toFixed(3)} to ${max.toFixed(3)} in ${shares.length} runs), deaf ${deaf} times`,
  );
}

const [kernelRuns = 6, seeds = 20] = process.argv.slice(2).map(Number);
const count = (length: number): number[] => Array.from({ length }, (_, index) => index + 1);
report("Linux    ", await Promise.all(count(kernelRuns).map(onKernel)));
const simulated: Outcome[] = [];
for (const seed of count(seeds)) simulated.push(await onSimulator(seed));
report("simulator", simulated);
console.log(`each fragment arriving by itself, without a limit: ${(0.95 ** 10).toFixed(3)}`);
