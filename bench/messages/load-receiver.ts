/** Receives the pictures of `bench/peers/cameras.c`: `load-receiver.js <warm-up, ms> <window, ms>`. */
import { SOL_SOCKET, SO_RCVBUF, socket } from "datagram";
import { messages } from "datagram/message";

import { pictureBytes } from "./picture-frames.js";

/** Resident memory is read so often. */
const sampleMs = 1000;

/** What the receiver tells its parent at the end. */
export interface Received {
  readonly pictures: number;
  /** Pictures that came a second time, or after a newer one of the same camera. */
  readonly wrong: number;
  /** Datagrams of the pictures that were lost and then repaired: sent again, or restored from a parity. */
  readonly repaired: number;
  /** Datagrams that the kernel dropped because the receive buffer was full. */
  readonly dropped: number;
  readonly seconds: number;
  /** Resident bytes of the process in the window, one after another. */
  readonly rssBytes: readonly number[];
  /** Bytes of the receive buffer. */
  readonly receiveBuffer: number;
}

const [warmUpMs, windowMs] = process.argv.slice(2).map(Number) as [number, number];
const s = socket(undefined, undefined, { receiveBuffer: 8 << 20 });
await s.bind(["127.0.0.1", 0]);
process.send?.(s.getsockname().port);
const newest = new Map<number, number>();
let [pictures, wrong, repairedDatagrams] = [0, 0, 0];
setTimeout(() => {
  const began = performance.now();
  const before = { pictures, wrong, repairedDatagrams, dropped: dropped() };
  process.send?.("begins");
  const rssBytes = [process.memoryUsage.rss()];
  const samples = setInterval(() => rssBytes.push(process.memoryUsage.rss()), sampleMs);
  setTimeout(() => {
    clearInterval(samples);
    rssBytes.push(process.memoryUsage.rss());
    const received: Received = {
      pictures: pictures - before.pictures,
      wrong: wrong - before.wrong,
      repaired: repairedDatagrams - before.repairedDatagrams,
      dropped: dropped() - before.dropped,
      seconds: (performance.now() - began) / 1000,
      rssBytes,
      receiveBuffer: s.getsockopt(SOL_SOCKET, SO_RCVBUF),
    };
    process.send?.(received);
  }, windowMs);
}, warmUpMs);
for await (const { data, repaired } of messages(s)) {
  const [camera, number] = [data.readUInt32BE(0), data.readUInt32BE(4)];
  if (data.length !== pictureBytes || number <= (newest.get(camera) ?? 0)) wrong++;
  else newest.set(camera, number);
  pictures++;
  repairedDatagrams += repaired;
}

function dropped(): number {
  return s.stats().droppedKernel ?? 0;
}
