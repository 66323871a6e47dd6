import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

import {
  type Frame,
  chunkBytes,
  chunksOf,
  frameFlag,
  frameHeaderBytes,
  frameKind,
  frameOverheadBytes,
  sealFrame,
  writeFrame,
} from "../wire/message-frame.js";

/**
 * The datagram of a chunk.
 *
 * @param now asks for a report.
 * @param memory for the datagram, from byte `at` on. Without it, memory is reserved.
 */
export function chunkDatagram(
  frame: Readonly<Frame>,
  data: Uint8Array,
  index: number,
  attempt: number,
  now: boolean,
  memory?: Buffer,
  at = 0,
): Uint8Array {
  const bytes = chunkBytes(frame, index);
  const datagram = memory
    ? memory.subarray(at, at + frameOverheadBytes + bytes)
    : Buffer.allocUnsafe(frameOverheadBytes + bytes);
  writeFrame({ ...frame, flags: frame.flags | (now ? frameFlag.now : 0), attempt, index }, datagram);
  const start = index * frame.size;
  datagram.set(data.subarray(start, start + bytes), frameHeaderBytes);
  sealFrame(datagram, crc32);
  return datagram;
}

/** The datagram of a parity: the XOR of the chunks whose number is `index` modulo `parities`. */
export function parityDatagram(
  frame: Readonly<Frame>,
  data: Uint8Array,
  index: number,
  parities: number,
): Uint8Array {
  const chunks = chunksOf(frame.length, frame.size);
  const datagram = Buffer.alloc(frameOverheadBytes + chunkBytes(frame, index));
  writeFrame({ ...frame, kind: frameKind.parity, attempt: parities, index }, datagram);
  for (let chunk = index; chunk < chunks; chunk += parities) {
    const start = chunk * frame.size;
    const bytes = chunkBytes(frame, chunk);
    for (let at = 0; at < bytes; at++) {
      datagram[frameHeaderBytes + at] =
        (datagram[frameHeaderBytes + at] as number) ^ (data[start + at] as number);
    }
  }
  sealFrame(datagram, crc32);
  return datagram;
}
