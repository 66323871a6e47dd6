/** This package, on the driver that `DATAGRAM_DRIVER` names. */
import { getHeapSpaceStatistics } from "node:v8";

import { type AddressLike, OSError, type Socket, socket } from "datagram";

import {
  type Figures,
  ReceiveMeter,
  SendMeter,
  type Task,
  host,
  keepIdle,
  openAndClose,
  play,
  roundTrips,
  tell,
} from "./protocol.js";

const readers: Readonly<Record<string, (s: Socket, meter: ReceiveMeter) => Promise<void>>> = {
  "for-await": readEach,
  recvMany: readMany,
  batches: readBatches,
};

await play({ about, receive, send, echo, client, open, idle, memory });

async function about(): Promise<Figures> {
  await using s = socket();
  return { version: `${s.driver}, Node ${process.versions.node}` };
}

async function receive(task: Task): Promise<Figures> {
  const sockets = await Promise.all(Array.from({ length: task.number("sockets", 1) }, () => bound(task)));
  tell({ ports: sockets.map((s) => s.getsockname().port) });
  const meter = new ReceiveMeter(task);
  const read = readers[task.text("by")];
  if (!read) throw new Error(`no reader ${task.text("by")}`);
  const reading = sockets.map((s) => read(s, meter));
  const figures = await meter.finished;
  await Promise.all(sockets.map((s) => s.close()));
  await Promise.all(reading);
  return figures;
}

async function readEach(s: Socket, meter: ReceiveMeter): Promise<void> {
  for await (const { data } of s) {
    meter.add(data.length);
  }
}

async function readMany(s: Socket, meter: ReceiveMeter): Promise<void> {
  try {
    for (;;) {
      for (const { data } of await s.recvMany(1024)) {
        meter.add(data.length);
      }
    }
  } catch (error) {
    if (!(error instanceof OSError) || error.code !== "ECANCELED") throw error;
  }
}

async function readBatches(s: Socket, meter: ReceiveMeter): Promise<void> {
  for await (const batch of s.batches({ max: 1024 })) {
    for (const { data } of batch) meter.add(data.length);
  }
}

async function send(task: Task): Promise<Figures> {
  await using s = await bound(task);
  const batch = sendBatch(s, task);
  const meter = new SendMeter(task);
  while (meter.more(await batch()));
  return meter.figures;
}

/** Returns a function that sends one batch, and returns how many datagrams the kernel accepted. */
function sendBatch(s: Socket, task: Task): () => Promise<number> {
  const { destinations } = task;
  const payloads = task.payloads(destinations.length);
  const to: AddressLike = [host, task.ports[0] ?? 0];
  switch (task.text("by")) {
    case "sendto":
      return async () => (await Promise.all(payloads.map((payload) => s.sendto(payload, to)))).length;
    case "sendMany":
      return () => s.sendMany(payloads, to);
    default: {
      const addresses = new Map(task.ports.map((port) => [port, [host, port] as const]));
      const datagrams = payloads.map((data, index) => {
        const address = addresses.get(destinations[index] ?? 0);
        if (!address) throw new Error("a destination without an address");
        return { data, address };
      });
      return () => s.sendMany(datagrams);
    }
  }
}

async function echo(task: Task): Promise<Figures> {
  const s = await bound(task);
  tell({ ports: [s.getsockname().port] });
  for await (const datagram of s) await datagram.reply(datagram.data);
  return {};
}

async function client(task: Task): Promise<Figures> {
  await using s = await bound(task);
  const [payload = Buffer.alloc(0)] = task.payloads(1);
  const to: AddressLike = [host, task.ports[0] ?? 0];
  return await roundTrips(task, async () => {
    await s.sendto(payload, to);
    await s.recvfrom(65_535);
  });
}

function open(task: Task): Promise<Figures> {
  return openAndClose(task, async () => {
    const s = await plain();
    await s.close();
  });
}

function idle(task: Task): Promise<Figures> {
  return keepIdle(task, plain);
}

/** A bound socket with the defaults. */
async function plain(): Promise<Socket> {
  const s = socket();
  await s.bind([host, 0]);
  return s;
}

/**
 * Receives `count` datagrams, for at most `windowMs`. Returns the resident memory after the `first` of them and at the end,
 * and how much of each is V8's young generation.
 */
async function memory(task: Task): Promise<Figures> {
  const s = await bound(task);
  tell({ ports: [s.getsockname().port] });
  const [first, count] = [task.number("first"), task.number("count")];
  const end = setTimeout(() => void s.close(), task.number("windowMs"));
  let received = 0;
  let [firstRssBytes, firstYoungBytes] = [0, 0];
  for await (const { data } of s) {
    if (data.length > 0) received++;
    if (received === first) [firstRssBytes, firstYoungBytes] = [process.memoryUsage.rss(), youngBytes()];
    if (received === count) break;
  }
  const [lastRssBytes, lastYoungBytes] = [process.memoryUsage.rss(), youngBytes()];
  clearTimeout(end);
  await s.close();
  return { received, firstRssBytes, firstYoungBytes, lastRssBytes, lastYoungBytes };
}

/** The memory that V8 has committed for new objects. V8 doubles it when enough of them have outlived a collection. */
function youngBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name.startsWith("new_"))
    .reduce((sum, { physical_space_size: bytes }) => sum + bytes, 0);
}

async function bound(task: Task): Promise<Socket> {
  const buffer = task.number("buffer");
  const busyPoll = task.number("busyPoll", 0);
  const s = socket(undefined, undefined, { receiveBuffer: buffer, sendBuffer: buffer, busyPoll });
  await s.bind([host, 0]);
  return s;
}
