/**
 * Runs one workload with one contender and prints its figures as JSON: `node worker.js <workload> <contender> <amount>`.
 * What is not measured is the same for all: the sink and the source are `node:dgram` on a thread of their own.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

import { type Contender, nodeDgram, ours } from "./contenders.js";

export type Figures = Readonly<Record<string, number>>;

/** Datagrams that a receive buffer of 4 MiB holds for sure: neither side may lose what the other is measured by. */
const burst = 1000;
/** Datagrams before the measured ones, while the compiler is at work. */
const warmUp = 50_000;
const payload = Buffer.alloc(64, "x");

const workloads: Readonly<Record<string, (contender: Contender, amount: number) => Promise<Figures>>> = {
  send: sendEach,
  receive: receiveEach,
  "one-way": oneWay,
  "round-trip": roundTrip,
};

/** Datagrams a second that are sent one by one, each awaited, while nobody reads them. */
async function sendEach(contender: Contender, amount: number): Promise<Figures> {
  const sender = await contender.open();
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const sink = new Worker(new URL("threads.js", import.meta.url), {
    argv: ["sink"],
    workerData: { gate, burst },
  });
  const [port] = (await once(sink, "message")) as [number];
  let seconds = 0;
  let arrived = 0;
  for (let sent = -warmUp; sent < amount; sent += burst) {
    sink.postMessage("hold");
    await once(sink, "message");
    const started = performance.now();
    for (let each = 0; each < burst; each++) await sender.send(payload, port);
    const took = (performance.now() - started) / 1000;
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    const [came] = (await once(sink, "message")) as [number];
    if (sent < 0) continue;
    seconds += took;
    arrived += came;
  }
  await sender.close();
  await sink.terminate();
  return { perSecond: amount / seconds, lost: amount - arrived };
}

/** Datagrams a second that are received, when bursts of them lie in the kernel's buffer already. */
async function receiveEach(contender: Contender, amount: number): Promise<Figures> {
  const receiver = await contender.open();
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const source = new Worker(new URL("threads.js", import.meta.url), {
    argv: ["source"],
    workerData: { gate, burst, port: receiver.port },
  });
  await once(source, "online");
  let seconds = 0;
  let received = 0;
  for (let done = -warmUp; done < amount; done += burst) {
    const counted = receiver.count(burst);
    source.postMessage("fill");
    // Nothing is read meanwhile, by a contender that reads all the time either.
    Atomics.wait(gate, 0, 0, 10_000);
    Atomics.store(gate, 0, 0);
    const started = performance.now();
    const came = await counted;
    if (done < 0) continue;
    received += came;
    seconds += (performance.now() - started) / 1000;
  }
  await receiver.close();
  await source.terminate();
  return { perSecond: received / seconds, lost: amount - received };
}

/** Datagrams a second that are sent one by one, each awaited, and received in the same thread. */
async function oneWay(contender: Contender, amount: number): Promise<Figures> {
  const [sender, receiver] = [await contender.open(), await contender.open()];
  let received = 0;
  let started = 0;
  for (let sent = -warmUp; sent < amount; sent += burst) {
    if (sent === 0) [received, started] = [0, performance.now()];
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
