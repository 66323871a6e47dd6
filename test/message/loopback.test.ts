/** Messages of real sockets. The native driver receives into memory again whose chunks were copied to a message. */
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

import { socket } from "datagram";
import { messages } from "datagram/message";
import { expect, test, vi } from "vitest";

import {
  frameKind,
  frameOverheadBytes,
  newFrame,
  sealFrame,
  writeFrame,
} from "../../src/wire/message-frame.js";
import { collect, next, pattern } from "./tools.js";

const loopback = "127.0.0.1";
/** Messages of many chunks, and of one: these are in the memory that the socket received into. */
const sizes = Array.from({ length: 12 }, () => [1_000_000, 900, 100_000, 1]).flat();

test("messages over loopback stay as they arrived, while many more arrive", async () => {
  await using from = socket();
  await using to = socket();
  await to.bind([loopback, 0]);
  const seen: Buffer[] = [];
  const copies: Buffer[] = [];
  const [sender, receiver] = [messages(from, { chunkBytes: 1400 }), messages(to, { chunkBytes: 1400 })];
  const kept: Buffer[] = [];
  for (const [seed, bytes] of sizes.entries()) {
    // From half of the messages on, a listener keeps each datagram.
    if (seed === sizes.length / 2) {
      to.tap(({ data }) => {
        seen.push(data);
        copies.push(Buffer.from(data));
      });
    }
    const arrived = next(receiver);
    await sender.send(pattern(bytes, seed), [loopback, to.getsockname().port]);
    kept.push((await arrived).data);
  }
  for (const [seed, bytes] of sizes.entries())
    expect(kept[seed]!.equals(pattern(bytes, seed)), `message ${seed}`).toBe(true);
  expect(seen.length).toBeGreaterThan(1000);
  expect(seen.every((data, at) => data.equals(copies[at]!))).toBe(true);
});

test("messages of one chunk that arrive in one run stay as they arrived, while many more arrive", async () => {
  await using from = socket();
  await using to = socket();
  await to.bind([loopback, 0]);
  const arrived = collect(messages(to));
  for (let round = 0; round < 20; round++) {
    const datagrams = Array.from({ length: 40 }, (_, at) => oneChunk(round * 40 + at));
    await from.sendMany(datagrams, [loopback, to.getsockname().port]);
    await vi.waitFor(() => expect(arrived.length).toBe(40 * (round + 1)), 60_000);
  }
  for (const [id, { data }] of arrived.entries())
    expect(data.equals(pattern(1000, id)), `message ${id}`).toBe(true);
});

/** The datagram of a message of one chunk. */
function oneChunk(id: number): Buffer {
  const data = pattern(1000, id);
  const datagram = Buffer.alloc(frameOverheadBytes + data.length);
  const [size, length] = [data.length, data.length];
  writeFrame({ ...newFrame(), kind: frameKind.data, id, size, length, crc: crc32(data) }, datagram);
  data.copy(datagram, frameOverheadBytes - 4);
  sealFrame(datagram, crc32);
  return datagram;
}
