/** `node:dgram` as its documentation uses it. With `--import datagram/register`, the same program runs over this package. */
import dgram from "node:dgram";
import { once } from "node:events";

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

/** Datagrams between two looks at the clock. */
const countEach = 256;

await play({ about, receive, send, echo, client, open, idle });

function about(): Figures {
  return { version: `Node ${process.versions.node}` };
}

async function receive(task: Task): Promise<Figures> {
  const sockets = await Promise.all(Array.from({ length: task.number("sockets", 1) }, () => bound(task)));
  tell({ ports: sockets.map((s) => s.address().port) });
  const meter = new ReceiveMeter(task);
  for (const s of sockets) {
    s.on("message", (data) => {
      meter.add(data.length);
    });
  }
  const figures = await meter.finished;
  for (const s of sockets) s.close();
  return figures;
}

/** Sends batches with one callback for each datagram. The next batch starts after the last callback. */
async function send(task: Task): Promise<Figures> {
  const inFlight = task.number("inFlight", 0);
  if (inFlight > 0) return sendInFlight(task, inFlight);
  const s = await bound(task);
  const { destinations } = task;
  const payloads = task.payloads(destinations.length);
  const batch = (): Promise<number> =>
    new Promise((resolve, reject) => {
      let left = payloads.length;
      const sent = (error: Error | null): void => {
        if (error) reject(error);
        else if (--left === 0) resolve(payloads.length);
      };
      payloads.forEach((payload, index) => s.send(payload, destinations[index] ?? 0, host, sent));
    });
  const meter = new SendMeter(task);
  while (meter.more(await batch()));
  s.close();
  return meter.figures;
}

/**
 * Sends with `inFlight` datagrams that wait for their callback: each callback sends the next datagram. The callbacks look at the
 * clock themselves. They are ticks in `node:dgram`, so that no timer would run before the last of them.
 */
async function sendInFlight(task: Task, inFlight: number): Promise<Figures> {
  const s = await bound(task);
  const [port = 0] = task.ports;
  const payloads = task.payloads(inFlight);
  const meter = new SendMeter(task);
  await new Promise<void>((resolve, reject) => {
    let [next, uncounted, waiting, isOver] = [0, 0, 0, false];
    const sendNext = (): void => {
      waiting++;
      next = next + 1 === inFlight ? 0 : next + 1;
      s.send(payloads[next] as Buffer, port, host, sent);
    };
    const sent = (error: Error | null): void => {
      waiting--;
      if (error) {
        reject(error);
        return;
      }
      if (++uncounted === countEach) {
        isOver = !meter.more(uncounted);
        uncounted = 0;
      }
      if (!isOver) sendNext();
      else if (waiting === 0) {
        meter.more(uncounted);
        resolve();
      }
    };
    for (let count = 0; count < inFlight; count++) sendNext();
  });
  s.close();
  return meter.figures;
}

async function echo(task: Task): Promise<Figures> {
  const s = await bound(task);
  s.on("message", (data, { address, port }) => s.send(data, port, address));
  tell({ ports: [s.address().port] });
  await once(s, "close");
  return {};
}

async function client(task: Task): Promise<Figures> {
  const s = await bound(task);
  const [payload = Buffer.alloc(0)] = task.payloads(1);
  const port = task.ports[0] ?? 0;
  let answered = (): void => undefined;
  s.on("message", () => answered());
  const figures = await roundTrips(
    task,
    () =>
      new Promise<void>((resolve) => {
        answered = resolve;
        s.send(payload, port, host);
      }),
  );
  s.close();
  return figures;
}

function open(task: Task): Promise<Figures> {
  return openAndClose(task, async () => {
    (await plain()).close();
  });
}

function idle(task: Task): Promise<Figures> {
  return keepIdle(task, plain);
}

/** A bound socket with the defaults. */
function plain(): Promise<dgram.Socket> {
  const s = dgram.createSocket("udp4");
  return new Promise((resolve) => s.bind(0, host, () => resolve(s)));
}

async function bound(task: Task): Promise<dgram.Socket> {
  const buffer = task.number("buffer");
  const s = dgram.createSocket({ type: "udp4", recvBufferSize: buffer, sendBufferSize: buffer });
  s.bind(0, host);
  await once(s, "listening");
  return s;
}
