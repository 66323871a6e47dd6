/** Datagrams that only look like a message: the frame of docs/wire.md, written out. */
import { crc32 } from "node:zlib";

const size = 1200;
const headerBytes = 20;
const checksumBytes = 4;

/** A chunk of a message of 1 MB that never becomes complete. */
export function forgedChunk(id: number, index: number): Buffer {
  const frame = Buffer.alloc(headerBytes + size + checksumBytes, id & 0xff);
  frame.fill(0, 0, headerBytes);
  frame.writeUInt8(0x0d, 0); // version
  frame.writeUInt8(1, 1); // DATA
  frame.writeUInt32BE(id, 4);
  frame.writeUInt16BE(index, 8);
  frame.writeUInt16BE(size, 10);
  frame.writeUInt32BE(1_000_000, 12);
  frame.writeUInt32BE(0xdead, 16);
  frame.writeUInt32BE(crc32(frame.subarray(0, headerBytes + size)), headerBytes + size);
  return frame;
}
