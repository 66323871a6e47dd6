/** Bun's `udpSocket`. Run by Bun, not by Node. */
import { dlopen } from "bun:ffi";

import {
  type Figures,
  ReceiveMeter,
  SendMeter,
  type Task,
  host,
  keepIdle,
  openAndClose,
  play,
  tell,
} from "./protocol.js";

/** Bun has no call for the sizes of the socket's buffers, and every contender has the same sizes. */
const libc = dlopen("libc.so.6", {
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
});
const [SOL_SOCKET, SO_SNDBUF, SO_RCVBUF] = [1, 7, 8] as const;

await play({ about, receive, send, open, idle });

function about(): Figures {
  return { version: `Bun ${Bun.version}` };
}

async function receive(task: Task): Promise<Figures> {
  const meter = new ReceiveMeter(task);
  const data = (_socket: BunSocket, payload: Buffer): void => {
    meter.add(payload.length);
  };
  const open = (): Promise<BunSocket> => bound(task, { data });
  const sockets = await Promise.all(Array.from({ length: task.number("sockets", 1) }, open));
  tell({ ports: sockets.map(({ port }) => port) });
  const figures = await meter.finished;
  for (const s of sockets) s.close();
  return figures;
}

async function send(task: Task): Promise<Figures> {
  let drained = (): void => undefined;
  const s = await bound(task, { drain: () => drained() });
  const { destinations } = task;
  const payloads = task.payloads(destinations.length);
  const packets = payloads.flatMap((payload, index) => [payload, destinations[index] ?? 0, host]);
  const meter = new SendMeter(task);
  for (let sent = 0; meter.more(sent);) {
    sent = s.sendMany(packets);
    if (sent < payloads.length) await new Promise<void>((resolve) => (drained = resolve));
  }
  s.close();
  return meter.figures;
}

function open(task: Task): Promise<Figures> {
  return openAndClose(task, async () => (await plain()).close());
}

function idle(task: Task): Promise<Figures> {
  return keepIdle(task, plain);
}

/** A bound socket with the defaults. */
function plain(): Promise<BunSocket> {
  return Bun.udpSocket({ hostname: host, port: 0 });
}

async function bound(task: Task, handlers: BunHandlers): Promise<BunSocket> {
  const s = await Bun.udpSocket({ hostname: host, port: 0, socket: handlers });
  const value = new Int32Array([task.number("buffer")]);
  for (const option of [SO_SNDBUF, SO_RCVBUF]) {
    if (libc.symbols.setsockopt(s.fd, SOL_SOCKET, option, value, value.byteLength) !== 0) {
      throw new Error("setsockopt failed");
    }
  }
  return s;
}
