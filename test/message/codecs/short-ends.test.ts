import { shortEnds } from "datagram/message";
import fc from "fast-check";
import { expect, test } from "vitest";

import { captureVideo, decode, decoding, hostile, slicesOf, withoutFfmpeg } from "./tools.js";

const start = Buffer.from("00000001", "hex");
const frame = Buffer.concat([start, Buffer.alloc(4000, "video")]);
const slices = slicesOf(frame, 1460);

test("the frames of ffmpeg's H.264 in slices of 1460 bytes are its stream", async ({ skip }) => {
  if (withoutFfmpeg !== undefined) skip(withoutFfmpeg);
  const output = ["-c:v", "libx264", "-tune", "zerolatency", "-g", "3", "-f", "h264"];
  const datagrams = await captureVideo(6, ...output, "udp://127.0.0.1:PORT?pkt_size=1460");
  const { messages, losses, ignored } = decode(shortEnds({ start }), datagrams);
  expect(messages).toHaveLength(6);
  expect(Buffer.concat(messages.map(({ data }) => data))).toEqual(Buffer.concat(datagrams));
  expect(messages.every(({ data, verified }) => data.subarray(0, 4).equals(start) && !verified)).toBe(true);
  expect([losses, ignored]).toEqual([[], 0]);
});

test("whole messages come out byte for byte, and one that fills its slices ends with an empty one", () => {
  const contents = fc.array(fc.uint8Array({ minLength: 1, maxLength: 500 }), { maxLength: 20 });
  fc.assert(
    fc.property(contents, fc.integer({ min: 1, max: 200 }), (all, sliceBytes) => {
      const datagrams = all.flatMap((content) => {
        const own = slicesOf(Buffer.from(content), sliceBytes);
        return own.at(-1)?.length === sliceBytes ? [...own, Buffer.alloc(0)] : own;
      });
      const { messages, losses } = decode(shortEnds({ sliceBytes }), datagrams);
      expect(messages.map(({ data }) => new Uint8Array(data))).toEqual(all);
      expect(losses).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

test("with start, a message without its first or its last slice is lost", () => {
  const all = [...slices.slice(1), ...slices.slice(0, -1), ...slices];
  const { messages, losses } = decode(shortEnds({ start }), all);
  expect(messages.map(({ data }) => data)).toEqual([frame]);
  expect(losses).toEqual([
    { cause: "gap", received: 1, missing: undefined },
    { cause: "gap", received: 2, missing: undefined },
  ]);
});

test("without start, a lost last slice joins two messages, which is why they are not verified", () => {
  const { messages, losses } = decode(shortEnds(), [...slices.slice(0, -1), ...slices]);
  expect(messages.map(({ data, verified }) => [data.length, verified])).toEqual([
    [2 * 1460 + frame.length, false],
  ]);
  expect(losses).toEqual([]);
});

test("a message that never ends is lost once with the cause size, and the next one arrives", () => {
  const endless = Array<Buffer>(100).fill(Buffer.alloc(1460));
  const all = [...endless, Buffer.alloc(3), ...slices];
  const { messages, losses } = decode(shortEnds(), all, { maxSourceBytes: 20_000 });
  expect(losses).toEqual([{ cause: "size", received: 12, missing: undefined }]);
  expect(messages.map(({ data }) => data)).toEqual([frame]);
});

test("a message whose rest does not come is lost after idleMs, and the next one arrives", () => {
  const { decoder, messages, losses } = decoding(shortEnds(), { idleMs: 100 });
  decoder.push(slices[0] as Buffer, 0);
  for (const slice of slices) decoder.push(slice, 101);
  expect(losses).toEqual([{ cause: "idle", received: 1, missing: undefined }]);
  expect(messages.map(({ data }) => data)).toEqual([frame]);
});

test("the rest of a message that was given up for its memory is no message", () => {
  const { decoder, messages, losses } = decoding(shortEnds());
  decoder.push(slices[0] as Buffer, 0);
  decoder.giveUp("evicted");
  for (const slice of [...slices.slice(1), ...slices]) decoder.push(slice, 1);
  expect(losses).toEqual([{ cause: "evicted", received: 1, missing: undefined }]);
  expect(messages.map(({ data }) => data)).toEqual([frame]);
});

test("no bytes make it throw or take more memory than it may", () => {
  fc.assert(
    fc.property(hostile, fc.integer({ min: 1, max: 150 }), (datagrams, sliceBytes) => {
      const { decoder } = decoding(shortEnds({ sliceBytes }), { maxSourceBytes: 3000 });
      for (const [at, datagram] of datagrams.entries()) {
        decoder.push(datagram, at);
        expect(decoder.heldBytes).toBeLessThanOrEqual(3000);
      }
    }),
    { numRuns: 100 },
  );
});

test("wrong options are refused", () => {
  for (const sliceBytes of [0, 1.5, 65_508]) expect(() => shortEnds({ sliceBytes })).toThrow(RangeError);
  expect(() => shortEnds({ sliceBytes: "1460" as never })).toThrow(TypeError);
  expect(() => shortEnds({ start: "0001" as never })).toThrow(TypeError);
  expect(() => shortEnds({ size: 1 } as never)).toThrow(RangeError);
});
