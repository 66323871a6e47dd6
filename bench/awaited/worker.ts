/**
 * One datagram at a time: `node worker.js <workload> contender=… amount=… warmUp=…` prints its figures as JSON. `warmUp` is
 * the number of datagrams before the measured ones, while the compiler works. The ends that are not measured are the same
 * for all: `node:dgram` on a thread of its own.
 */
import dgram from "node:dgram";
import { once } from "node:events";
import { Worker } from "node:worker_threads";

import { type Figures, type Task, host, play } from "../peers/protocol.js";
import { type Contender, nodeDgram, ours } from "./contenders.js";

/** A number of datagrams that fits a receive buffer of 4 MiB, so that no datagram is lost. */
const burst = 1000;
/** After this time, in milliseconds, missing datagrams of a burst count as lost. */
const lateMs = 1000;
const payload = Buffer.alloc(64, "x");

await play({ "awaited-send": sendEach, "awaited-receive": receiveEach, "one-thread": oneThread });

/** Datagrams per second that are sent one by one, each awaited, while nobody reads them. */
async function sendEach(task: Task): Promise<Figures> {
  const [amount, warmUp] = [task.number("amount"), task.number("warmUp")];
  const sender = await contender(task).open();
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const sink = new Worker(new URL("sink-and-source.js", import.meta.url), {
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
  return { perSecond: amount / seconds, lost: 1 - arrived / amount };
}

/** Datagrams per second that are received, each awaited, from a buffer of the kernel that is full of them. */
async function receiveEach(task: Task): Promise<Figures> {
  const [amount, warmUp] = [task.number("amount"), task.number("warmUp")];
  const receiver = await contender(task).open();
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const source = new Worker(new URL("sink-and-source.js", import.meta.url), {
    argv: ["source"],
    workerData: { gate, burst, port: receiver.port },
  });
  await once(source, "online");
  await using watch = await watchdog(receiver.port);
  let seconds = 0;
  let received = 0;
  for (let done = -warmUp; done < amount; done += burst) {
    const counted = receiver.count(burst);
    source.postMessage("fill");
    // No contender can read during this wait, not even one that reads all the time.
    Atomics.wait(gate, 0, 0, 10_000);
    Atomics.store(gate, 0, 0);
    watch.restart();
    const started = performance.now();
    const came = await counted;
    if (done < 0) continue;
    received += came;
    seconds += (performance.now() - started) / 1000;
  }
  await receiver.close();
  await source.terminate();
  return { perSecond: received / seconds, lost: 1 - received / amount };
}

/** Datagrams per second that are sent one by one, each awaited, and received in the same thread. */
async function oneThread(task: Task): Promise<Figures> {
  const [amount, warmUp] = [task.number("amount"), task.number("warmUp")];
  const of = contender(task);
  const [sender, receiver] = [await of.open(), await of.open()];
  await using watch = await watchdog(receiver.port);
  let received = 0;
  let started = 0;
  for (let sent = -warmUp; sent < amount; sent += burst) {
    if (sent === 0) [received, started] = [0, performance.now()];
    const counted = receiver.count(burst);
    watch.restart();
    for (let each = 0; each < burst; each++) await sender.send(payload, receiver.port);
    received += await counted;
  }
  const seconds = (performance.now() - started) / 1000;
  await Promise.all([sender.close(), receiver.close()]);
  return { perSecond: received / seconds, lost: 1 - received / amount };
}

/** Ends the count of an incomplete burst by an empty datagram, so that no measured wait needs a timer. */
async function watchdog(port: number): Promise<{ restart(): void } & AsyncDisposable> {
  const s = dgram.createSocket("udp4");
  s.bind(0, host);
  await once(s, "listening");
  const timer = setTimeout(() => {
    s.send("", port, host);
    timer.refresh();
  }, lateMs);
  return {
    restart: () => void timer.refresh(),
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      s.close();
      await once(s, "close");
    },
  };
}

function contender(task: Task): Contender {
  return task.text("contender") === "node:dgram" ? nodeDgram : ours;
}
