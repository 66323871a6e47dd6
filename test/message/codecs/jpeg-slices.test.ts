import { jpegSlices } from "datagram/message";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  capturePython,
  captureVideo,
  decode,
  decoding,
  hostile,
  jpegs,
  slicesOf,
  smallJpeg,
  videoFiles,
  withFile,
  withoutFfmpeg,
  withoutPython,
} from "./tools.js";

/** Sends a file as a camera's script does: slices, and before them the length if `order` is `<` or `>`. */
const script = `
import socket, struct, sys
file, order, size, port = sys.argv[1:]
data = open(file, "rb").read()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(2):
    if order: s.sendto(struct.pack(order + "I", len(data)), ("127.0.0.1", int(port)))
    for at in range(0, len(data), int(size)):
        s.sendto(data[at : at + int(size)], ("127.0.0.1", int(port)))
`;
const picture = smallJpeg;
const slices = slicesOf(picture, 300);

test("the pictures of ffmpeg's slices are the files that ffmpeg writes", async ({ skip }) => {
  if (withoutFfmpeg !== undefined) skip(withoutFfmpeg);
  const encoding = ["-c:v", "mjpeg", "-q:v", "3"];
  const files = await videoFiles(4, ...encoding);
  const datagrams = await captureVideo(4, ...encoding, "-f", "mjpeg", "udp://127.0.0.1:PORT?pkt_size=1460");
  const { messages, losses, ignored } = decode(jpegSlices(), datagrams);
  expect(messages.map(({ data }) => data)).toEqual(files);
  expect(messages.reduce((sum, { chunks }) => sum + chunks, 0)).toBe(datagrams.length);
  expect(messages.map(({ verified }) => verified)).toEqual([false, false, false, false]);
  expect([losses, ignored]).toEqual([[], 0]);
});

test.for([
  ["", undefined],
  ["<", "little-endian"],
  [">", "big-endian"],
] as const)(
  "the pictures of a script with struct.pack(%j) come out byte for byte",
  async ([order, length], { skip }) => {
    if (withoutPython !== undefined) skip(withoutPython);
    const datagrams = await withFile(picture, (file) => capturePython(script, file, order, "333", "PORT"));
    const { messages, losses } = decode(jpegSlices({ length }), datagrams);
    expect(messages.map(({ data }) => data)).toEqual([picture, picture]);
    expect(losses).toEqual([]);
  },
);

test("whole pictures come out byte for byte, whatever the slices are", () => {
  fc.assert(
    fc.property(fc.array(jpegs, { maxLength: 5 }), fc.integer({ min: 2, max: 1460 }), (pictures, size) => {
      const { messages, losses, ignored } = decode(
        jpegSlices(),
        pictures.flatMap((each) => slicesOf(each, size)),
      );
      expect(messages.map(({ data }) => data)).toEqual(pictures);
      expect([losses, ignored]).toEqual([[], 0]);
    }),
    { numRuns: 60 },
  );
});

test("a picture that begins in the last slice of another one is found", () => {
  const { messages, losses } = decode(
    jpegSlices(),
    slicesOf(Buffer.concat([picture, picture, picture]), 301),
  );
  expect(messages.map(({ data }) => data)).toEqual([picture, picture, picture]);
  expect(losses).toEqual([]);
});

test("bytes after the end of a picture are ignored", () => {
  const padded = [...slices.slice(0, -1), Buffer.concat([slices.at(-1) as Buffer, Buffer.alloc(50)])];
  const { messages, ignored } = decode(jpegSlices(), [...padded, ...padded]);
  expect(messages.map(({ data }) => data)).toEqual([picture, picture]);
  expect(ignored).toBe(0);
});

describe("loss", () => {
  test("without its last slice, a picture is lost when the next one begins", () => {
    const { messages, losses } = decode(jpegSlices(), [...slices.slice(0, -1), ...slices]);
    expect(messages).toHaveLength(1);
    expect(losses).toEqual([{ cause: "gap", received: slices.length - 1, missing: undefined }]);
  });

  test("without its first slice, a picture is lost when the next one begins", () => {
    const { messages, losses } = decode(jpegSlices(), [...slices, ...slices.slice(1), ...slices]);
    expect(messages).toHaveLength(2);
    expect(losses).toEqual([{ cause: "gap", received: slices.length - 1, missing: undefined }]);
  });

  test("without a slice in the middle, a picture is lost if it begins with its length", () => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(picture.length);
    const whole = [length, ...slices];
    const datagrams = [...whole.filter((_, index) => index !== 2), ...whole];
    const { messages, losses } = decode(jpegSlices({ length: "big-endian" }), datagrams);
    expect(messages.map(({ data }) => data)).toEqual([picture]);
    expect(losses).toEqual([{ cause: "gap", received: slices.length - 1, missing: undefined }]);
  });

  test("a picture whose rest does not come is lost after idleMs, and its memory is free", () => {
    const { decoder, messages, losses } = decoding(jpegSlices(), { idleMs: 100 });
    decoder.push(slices[0] as Buffer, 0);
    decoder.expire(100);
    expect(losses).toEqual([]);
    decoder.expire(101);
    expect(losses).toEqual([{ cause: "idle", received: 1, missing: undefined }]);
    expect(decoder.heldBytes).toBe(0);
    for (const slice of slices) decoder.push(slice, 200);
    expect(messages).toHaveLength(1);
  });

  test("a picture that never ends is lost once, with the cause size", () => {
    const endless = [Buffer.from("ffd8ffda0002", "hex"), ...Array<Buffer>(500).fill(Buffer.alloc(1000))];
    const { decoder, messages, losses } = decode(jpegSlices(), [...endless, ...slices], {
      maxSourceBytes: 100_000,
    });
    expect(losses).toEqual([{ cause: "size", received: 81, missing: undefined }]);
    expect(messages).toHaveLength(1);
    expect(decoder.heldBytes).toBe(0);
  });

  test("a length above the limit takes no memory", () => {
    const start = Buffer.concat([Buffer.from("ffffffff", "hex"), slices[0] as Buffer]);
    const { decoder, losses } = decode(jpegSlices({ length: "big-endian" }), [start]);
    expect(losses).toEqual([{ cause: "size", received: 1, missing: undefined }]);
    expect(decoder.heldBytes).toBe(0);
  });

  test("datagrams of a source that has begun no picture are ignored, and no loss is invented", () => {
    const { losses, ignored } = decode(jpegSlices(), [
      Buffer.from("battery 50%"),
      slices[1] as Buffer,
      ...slices,
    ]);
    expect([losses, ignored]).toEqual([[], 2]);
  });
});

test("no bytes make it throw or take more memory than it may", () => {
  for (const length of [undefined, "big-endian"] as const) {
    fc.assert(
      fc.property(hostile, (datagrams) => {
        const { decoder, messages } = decoding(jpegSlices({ length }), { maxSourceBytes: 3000 });
        for (const [at, datagram] of datagrams.entries()) {
          decoder.push(datagram, at);
          expect(decoder.heldBytes).toBeLessThanOrEqual(3000);
        }
        const bytes = messages.reduce((sum, { data }) => sum + data.length, 0);
        expect(bytes).toBeLessThanOrEqual(datagrams.reduce((sum, { length: size }) => sum + size, 0));
      }),
      { numRuns: 100 },
    );
  }
});

test("wrong options are refused", () => {
  expect(() => jpegSlices({ length: "middle" as never })).toThrow(RangeError);
  expect(() => jpegSlices({ lenght: "big-endian" } as never)).toThrow(/did you mean length/);
  expect(() => jpegSlices(null as never)).toThrow(TypeError);
});
