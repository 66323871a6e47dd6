import type { Socket } from "datagram";

/** The pictures that arrive whole. A part has the numbers of the picture and of the part, and the count of parts, before its bytes. */
export async function* pictures(s: Socket): AsyncGenerator<Buffer> {
  let current = -1;
  const parts = new Map<number, Buffer>();
  for await (const { data } of s) {
    if (data.length < 8 || data.length > 8 + 1400) continue; // not a part of a picture
    const [picture, part, count] = [data.readUInt32BE(0), data.readUInt16BE(4), data.readUInt16BE(6)];
    if (part >= count) continue;
    if (picture !== current) parts.clear(); // a picture that lacks a part is skipped
    current = picture;
    parts.set(part, data.subarray(8));
    if (parts.size !== count) continue;
    yield Buffer.concat([...parts].sort(([a], [b]) => a - b).map(([, bytes]) => bytes));
    parts.clear();
  }
}
