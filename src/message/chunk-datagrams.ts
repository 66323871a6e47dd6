import { Buffer } from "node:buffer";

import {
  type Frame,
  chunkBytes,
  chunksOf,
  frameFlag,
  frameHeaderBytes,
  frameKind,
  writeFrame,
} from "../wire/message-frame.js";

/** The datagram of a chunk. `now` asks for a report. */
export function chunkDatagram(
  frame: Readonly<Frame>,
  data: Uint8Array,
  index: number,
  attempt: number,
  now: boolean,
): Uint8Array {
  const bytes = chunkBytes(frame, index);
  const datagram = Buffer.allocUnsafe(frameHeaderBytes + bytes);
  writeFrame({ ...frame, flags: frame.flags | (now ? frameFlag.now : 0), attempt, index }, datagram);
  const start = index * frame.size;
  datagram.set(data.subarray(start, start + bytes), frameHeaderBytes);
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
  const datagram = Buffer.alloc(frameHeaderBytes + chunkBytes(frame, index));
  writeFrame({ ...frame, kind: frameKind.parity, attempt: parities, index }, datagram);
  for (let chunk = index; chunk < chunks; chunk += parities) {
    const start = chunk * frame.size;
    const bytes = chunkBytes(frame, chunk);
    for (let at = 0; at < bytes; at++) {
      datagram[frameHeaderBytes + at] =
        (datagram[frameHeaderBytes + at] as number) ^ (data[start + at] as number);
    }
  }
  return datagram;
}
