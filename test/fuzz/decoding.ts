/** Targets: the codecs. They throw for no bytes, keep within their memory, and account for each datagram. */

import assert from "node:assert/strict";

import type { Codec, DecodedMessage, DecoderLimits, DecoderLoss } from "../../src/message/codec.js";
import type { Step } from "./steps.js";

const limits: DecoderLimits = { maxSourceBytes: 20_000, idleMs: 2000 };

export function decodeAll(codec: Codec, steps: readonly Step[]): void {
  let [ignored, nowMs, isInCall] = [0, 0, false];
  const messages: DecodedMessage[] = [];
  const losses: DecoderLoss[] = [];
  const told = (what: () => void): void => {
    assert(isInCall, "a decoder reports only during its calls");
    what();
  };
  const decoder = codec.decoder(
    {
      message: (message) => told(() => messages.push(message)),
      lost: (loss) => told(() => losses.push(loss)),
      ignored: () => told(() => ignored++),
    },
    limits,
  );
  const during = (call: () => void): void => {
    isInCall = true;
    call();
    isInCall = false;
    assert(
      decoder.heldBytes >= 0 && decoder.heldBytes <= limits.maxSourceBytes,
      `${decoder.heldBytes} bytes`,
    );
  };
  for (const { waitMs, data } of steps) {
    nowMs += waitMs;
    // The memory of a datagram is used again, so a decoder that keeps a view delivers wrong bytes.
    const bytes = Uint8Array.from(data);
    during(() => decoder.push(bytes, nowMs));
    bytes.fill(0xee);
  }
  during(() => decoder.expire(nowMs + 1_000_000));
  // The tables of RTP/JPEG belong to the stream, and not to a picture.
  assert(decoder.heldBytes <= 128 * 256, `${decoder.heldBytes} bytes of messages that ended`);
  for (const { data, chunks, verified } of messages) {
    assert(chunks > 0 && chunks <= steps.length);
    assert.equal(typeof verified, "boolean");
    assert(data.length <= limits.maxSourceBytes + 1024, `a message of ${data.length} bytes`);
  }
  for (const { received, missing } of losses) {
    assert(received >= 0 && received <= steps.length);
    assert(missing === undefined || (Number.isInteger(missing) && missing >= 0), `${missing} are missing`);
  }
  // A picture may have its length in a datagram of its own, which is none of its chunks.
  const lengths = messages.length + losses.length;
  const counted = ignored + sum(messages, "chunks") + sum(losses, "received") + lengths;
  assert(counted >= steps.length, `${steps.length - counted} datagrams are in no count`);
}

function sum<K extends string>(of: readonly Readonly<Record<K, number>>[], field: K): number {
  return of.reduce((total, each) => total + each[field], 0);
}
