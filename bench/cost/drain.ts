/**
 * The two processes of a drain. Each does one step for each line of standard input, and prints a line when it is done. `fill`
 * sends a burst to the port in the line; `drain` reads the burst, and prints the CPU time that this took. The process that
 * drains does nothing else, so that the collection of its garbage counts as its own cost.
 */
import { createInterface } from "node:readline";

import { type Datagram, type Socket, socket } from "datagram";

import { type Figures, type Task, host, play, tell } from "../peers/protocol.js";

type Look = (datagram: Datagram) => number;

await play({ fill, drain });

/** `runs` sends of `run` datagrams, each of them one system call if segments can be sent. */
async function fill(task: Task): Promise<Figures> {
  await using s = await bound(task, false);
  const [payloads, runs] = [task.payloads(task.number("run")), task.number("runs")];
  for await (const port of createInterface({ input: process.stdin })) {
    for (let run = 0; run < runs; run++) await s.sendMany(payloads, [host, Number(port)]);
    tell({ datagrams: payloads.length * runs });
  }
  return {};
}

async function drain(task: Task): Promise<Figures> {
  await using s = await bound(task, task.text("metadata") === "on");
  const count = task.number("run") * task.number("runs");
  const read = task.text("by") === "recvMany" ? readMany : readEach;
  const look = task.text("look") === "all" ? lookAtAll : lookAtData;
  tell({ ports: [s.getsockname().port] });
  for await (const _ of createInterface({ input: process.stdin })) {
    if (s.stats().droppedKernel !== 0) throw new Error(`the receive buffer does not hold ${count} datagrams`);
    const before = process.cpuUsage();
    const seen = await read(s, count, look);
    const { user, system } = process.cpuUsage(before);
    tell({ cpuNs: (user + system) * 1000, datagrams: count, seen });
  }
  return {};
}

async function readEach(s: Socket, count: number, look: Look): Promise<number> {
  let seen = 0;
  let left = count;
  for await (const datagram of s) {
    seen += look(datagram);
    if (--left === 0) break;
  }
  return seen;
}

async function readMany(s: Socket, count: number, look: Look): Promise<number> {
  let seen = 0;
  for (let left = count; left > 0;) {
    const datagrams = await s.recvMany(1024);
    for (const datagram of datagrams) seen += look(datagram);
    left -= datagrams.length;
  }
  return seen;
}

function lookAtData({ data }: Datagram): number {
  return data.length;
}

function lookAtAll({ data, destination, interface: name, ttl, tos, timestamp }: Datagram): number {
  if (!destination || !name || ttl === undefined || tos === undefined || timestamp === undefined)
    throw new Error("something was not told");
  return data.length + destination.port + name.length + ttl + tos;
}

async function bound(task: Task, metadata: boolean): Promise<Socket> {
  const buffer = task.number("buffer");
  const s = socket(undefined, undefined, { receiveBuffer: buffer, sendBuffer: buffer, metadata });
  await s.bind([host, 0]);
  return s;
}
