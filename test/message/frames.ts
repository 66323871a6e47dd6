/** Datagrams of messages that no sender of this package makes. */

import { crc32 } from "node:zlib";

import {
  type Frame,
  frameFlag,
  frameKind,
  newFrame,
  sealFrame,
  writeFrame,
} from "../../src/wire/message-frame.js";

const hello = Buffer.from("hello");

/** A message of one chunk, whose order begins with the id 0. */
export function ordered(id: number, data: Buffer, channel = 0): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(20), data, Buffer.alloc(4)]);
  const { length } = data;
  const flags = frameFlag.ordered;
  const frame = { ...newFrame(), kind: frameKind.data, flags, channel, id, size: 1200, length };
  writeFrame({ ...frame, crc: crc32(data) }, bytes);
  sealFrame(bytes, crc32);
  return bytes;
}

/** The datagram of a frame: the only chunk of a message, except for the fields that are given. */
export function frame(fields: Partial<Frame>, payload = hello, change?: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(20), payload, Buffer.alloc(4)]);
  const whole = { ...newFrame(), kind: frameKind.data, id: 7, size: 1200, length: 5, crc: crc32(hello) };
  writeFrame({ ...whole, ...fields }, bytes);
  change?.(bytes);
  sealFrame(bytes, crc32);
  return bytes;
}

/** The bytes with one bit flipped. */
export function flipped(bytes: Buffer, at: number): Buffer {
  const index = at < 0 ? bytes.length + at : at;
  bytes[index] = (bytes[index] ?? 0) ^ 1;
  return bytes;
}

/** A chunk of a message that never becomes complete. */
export function forged(id: number, index = 0, length = 1_000_000): Buffer {
  const bytes = Buffer.alloc(1224, id & 0xff);
  writeFrame({ ...newFrame(), kind: frameKind.data, id, index, size: 1200, length, crc: 0xdead }, bytes);
  sealFrame(bytes, crc32);
  return bytes;
}
