/** Runs one workload with one contender and prints its figures as JSON: `node worker.js <workload> <contender>`. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { type Contender, nodeDgram, ours } from "./contenders.js";

export type Figures = Readonly<Record<string, number>>;

const payload = Buffer.alloc(64, "x");

const workloads: Readonly<Record<string, (contender: Contender, amount: number) => Promise<Figures>>> = {
  "one-way": oneWay,
  "round-trip": roundTrip,
};

/** Datagrams a second that are sent one by one, each awaited, and received in the same process. */
async function oneWay(contender: Contender, amount: number): Promise<Figures> {
  const [sender, receiver] = [await contender.open(), await contender.open()];
  const burst = 1000;
  let received = 0;
  const started = performance.now();
  // In bursts that the receive buffer holds: neither side may lose what the other is measured by.
  for (let sent = 0; sent < amount; sent += burst) {
    const counted = receiver.count(burst);
    for (let each = 0; each < burst; each++) await sender.send(payload, receiver.port);
    received += await counted;
  }
  const seconds = (performance.now() - started) / 1000;
  await Promise.all([sender.close(), receiver.close()]);
  return { perSecond: received / seconds, lost: amount - received };
}

/** Microseconds from a send to the echo of another process, one at a time. */
async function roundTrip(contender: Contender, amount: number): Promise<Figures> {
  const echo = fork(fileURLToPath(import.meta.url), ["echo", process.argv[3] ?? ""]);
  const [port] = (await once(echo, "message")) as [number];
  const client = await contender.open();
  const times = new Float64Array(amount);
  for (let index = -amount / 10; index < amount; index++) {
    const started = performance.now();
    const answer = client.receive();
    await client.send(payload, port);
    await answer;
    if (index >= 0) times[Math.floor(index)] = (performance.now() - started) * 1000;
  }
  await client.close();
  echo.kill();
  times.sort();
  return { p50: times[Math.floor(amount * 0.5)] ?? NaN, p99: times[Math.floor(amount * 0.99)] ?? NaN };
}

const [, , name = "", who = "", amount = "0"] = process.argv;
const contender = who === "node:dgram" ? nodeDgram : ours;
if (name === "echo") {
  const peer = await contender.open();
  peer.echo();
  process.send?.(peer.port);
} else {
  const workload = workloads[name];
  if (!workload) throw new Error(`no workload ${name}`);
  console.log(JSON.stringify(await workload(contender, Number(amount))));
}
