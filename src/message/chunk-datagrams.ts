import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

import { copyTo } from "../core/driver/payload.js";
import {
  type Frame,
  chunkBytes,
  chunksOf,
  frameFlag,
  frameHeaderBytes,
  frameKind,
  frameOverheadBytes,
  sealChunk,
  sealFrame,
  write16,
  writeFrame,
} from "../wire/message-frame.js";

/** A message that is divided into chunks. */
export interface Chunked {
  readonly frame: Readonly<Frame>;
  readonly data: Uint8Array;
  /** The CRC of each chunk. */
  readonly crcs: Int32Array;
}

/** Bytes of the datagram of a chunk. */
export function datagramBytes(frame: Readonly<Frame>, index: number): number {
  return frameOverheadBytes + chunkBytes(frame, index);
}

/**
 * Writes the datagram of a chunk.
 *
 * @param isNow whether it asks for a report.
 * @param datagram has `datagramBytes`.
 */
export function writeChunk(
  { frame, data, crcs }: Chunked,
  index: number,
  attempt: number,
  isNow: boolean,
  datagram: Uint8Array,
): void {
  writeFrame(frame, datagram);
  datagram[1] = frame.kind | frame.flags | (isNow ? frameFlag.now : 0);
  datagram[3] = attempt;
  write16(datagram, 8, index);
  const start = index * frame.size;
  copyTo(datagram, data.subarray(start, start + chunkBytes(frame, index)), frameHeaderBytes);
  sealChunk(datagram, crcs[index] as number, crc32);
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
