/** A parity that arrives before all chunks of its fleeting message, whose `attempt` means something else than that of a chunk. */

import { once } from "node:events";
import { crc32 } from "node:zlib";

import { expect, test } from "vitest";

import { frameFlag, frameKind, newFrame, sealFrame, writeFrame } from "../../src/wire/message-frame.js";
import { between, collect, desk, pattern, sleep } from "./tools.js";

const size = 100;
const data = pattern(3 * size);
const chunks = [0, 1, 2].map((index) => data.subarray(index * size, (index + 1) * size));

/** A datagram of the message. */
function datagram(kind: number, index: number, attempt: number, payload: Buffer): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(20), payload, Buffer.alloc(4)]);
  const frame = { ...newFrame(), kind, flags: frameFlag.fleeting, id: 5, index, size, length: data.length };
  writeFrame({ ...frame, attempt, crc: crc32(data) }, bytes);
  sealFrame(bytes, crc32);
  return bytes;
}

/** The only parity, or the second of two. */
const parity = (count: 1 | 2): Buffer =>
  datagram(
    frameKind.parity,
    count - 1,
    count,
    count === 2
      ? chunks[1]!
      : Buffer.from(chunks[0]!.map((byte, at) => byte ^ chunks[1]![at]! ^ chunks[2]![at]!)),
  );

/** A chunk of a message with a deadline in 10 ms; 0: none. */
const chunk = (index: number, deadline: number): Buffer =>
  datagram(frameKind.data, index, deadline, chunks[index]!);

test.for([
  { deadline: 0, waitMs: 1000 },
  { deadline: 30, waitMs: 200 },
])("does not end the message before its deadline ($deadline)", async ({ deadline, waitMs }) => {
  await between({ latencyMs: 1 }, async ({ sockets: [camera], desk: to }) => {
    const found = collect(to);
    await camera.sendto(parity(2), desk);
    await sleep(waitMs);
    await camera.sendto(chunk(0, deadline), desk);
    await sleep(20);
    await camera.sendto(chunk(2, deadline), desk);
    await sleep(10);
    expect(found.map((message) => [message.data, message.repaired])).toEqual([[data, 1]]);
    expect(to.stats().lost).toEqual({});
  });
});

test("the first chunk after it says when the message ends", async () => {
  await between({ latencyMs: 1 }, async ({ sockets: [camera], desk: to }) => {
    const start = Date.now();
    const lost = once(to, "lost");
    await camera.sendto(parity(1), desk);
    await sleep(20);
    await camera.sendto(chunk(0, 5), desk);
    const [message] = (await lost) as [{ cause: string; received: number }];
    expect(message).toMatchObject({ cause: "late", received: 1 });
    // The parity arrived after 1 ms, and the deadline is 50 ms.
    expect(Date.now() - start).toBe(51);
  });
});
