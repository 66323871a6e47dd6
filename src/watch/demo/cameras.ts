/** The hosts of the demonstration. Each function is the program of one host, and ends when its socket is closed. */

import { Buffer } from "node:buffer";

import type { Clock } from "../../core/driver/driver.js";
import type { AddressLike, Socket } from "../../index.js";
import { messages } from "../../message/index.js";
import { mosaicData, mosaicJpeg, quality, mosaic } from "./mosaic-jpeg.js";
import type { Scene } from "./scenes.js";

/** Bytes of compressed data in a packet of RTP. */
const rtpDataBytes = 500;

/** Waits in virtual time. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve));
}

/** Sends whole pictures, one in each datagram. Every 20 s it is silent for 4 s. */
export async function wholePictures(s: Socket, to: AddressLike, scene: Scene): Promise<void> {
  const { clock } = s;
  for (let number = 1; ; number++) {
    await s.sendto(mosaicJpeg(mosaicData(scene(clock.now() / 1000))), to);
    await pause(clock, number % 200 === 0 ? 4000 : 100);
  }
}

/** Sends pictures as RTP (RFC 2435), of which the link loses packets. */
export async function rtpPictures(s: Socket, to: AddressLike, scene: Scene): Promise<void> {
  const { clock } = s;
  for (let sequence = 0; ;) {
    const data = mosaicData(scene(clock.now() / 1000));
    const timestamp = Math.floor(clock.now() * 90) >>> 0;
    for (let offset = 0; offset < data.length; offset += rtpDataBytes) {
      const isLast = offset + rtpDataBytes >= data.length;
      const head = Buffer.alloc(20);
      head[0] = 0x80;
      head[1] = 26 | (isLast ? 0x80 : 0);
      head.writeUInt16BE(sequence++ & 0xffff, 2);
      head.writeUInt32BE(timestamp, 4);
      head.writeUInt32BE(0x6461_7461, 8);
      head.writeUInt32BE(offset, 12);
      head.set([1, quality, mosaic.columns, mosaic.rows], 16);
      await s.sendto([head, data.subarray(offset, offset + rtpDataBytes)], to);
    }
    await pause(clock, 80);
  }
}

/** Sends pictures as messages, each of which replaces the one before. */
export async function messagePictures(s: Socket, to: AddressLike, scene: Scene): Promise<void> {
  const { clock } = s;
  const sender = messages(s, { chunkBytes: 500 });
  for (;;) {
    const picture = mosaicJpeg(mosaicData(scene(clock.now() / 1000)));
    await sender.send(picture, to, { mode: "fleeting" }).catch(() => undefined);
    await pause(clock, 120);
  }
}

/** Sends a measurement every 500 ms, and answers what it gets. */
export async function sensor(s: Socket, to: AddressLike): Promise<void> {
  const { clock } = s;
  void answer(s);
  for (let number = 0; ; number++) {
    const celsius = Math.round((21 + 2 * Math.sin(number / 20)) * 10) / 10;
    await s.sendto(JSON.stringify({ sensor: "greenhouse", number, celsius }), to);
    await pause(clock, 500);
  }
}

/** Sends a burst every 15 s that is too large for the receive buffer, and one datagram that is larger than a packet. */
export async function bursts(s: Socket, to: AddressLike): Promise<void> {
  const { clock } = s;
  for (let round = 1; ; round++) {
    await pause(clock, 15_000);
    await s.sendMany(
      Array.from({ length: 400 }, (_, index) => `burst ${round}, datagram ${index + 1}`),
      to,
    );
    await s.sendto(Buffer.alloc(1800, `a datagram of two fragments, round ${round}. `), to);
  }
}

async function answer(s: Socket): Promise<void> {
  for await (const datagram of s)
    await datagram.reply(`the sensor got ${datagram.size} bytes`).catch(() => 0);
}
