import { rtpJpeg } from "datagram/message";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  capturePython,
  captureVideo,
  decode,
  decoding,
  hostile,
  pixelsOf,
  runOn,
  slicesOf,
  smallJpeg,
  videoFiles,
  withFile,
  withoutCjpeg,
  withoutFfmpeg,
  withoutPython,
} from "./tools.js";

/** Sends a JPEG file twice as OpenMV's rtsp.py does: all of it, headers too, after the header of a type and a quality. */
const openmv = `
import socket, struct, sys
data = open(sys.argv[1], "rb").read()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sequence = 65530
for timestamp in (90000, 93000):
    for at in range(0, len(data), 1380):
        part = data[at : at + 1380]
        last = at + len(part) == len(data)
        s.sendto(struct.pack(">BBHII", 0x80, 0x9A if last else 0x1A, sequence, timestamp, 7)
            + struct.pack(">IBBBB", at, 0, 90, 40, 30) + part, ("127.0.0.1", int(sys.argv[2])))
        sequence = (sequence + 1) & 0xFFFF
`;
/** Sends a JPEG file as Micro-RTSP on an ESP32 does: its compressed data, with its two tables (Q 255) in the first packet. */
const esp32 = `
import socket, struct, sys
data = open(sys.argv[1], "rb").read()
at, tables = 2, []
while data[at + 1] != 0xDA:
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    if data[at + 1] == 0xDB: tables.append(data[at + 5 : at + 2 + length])
    at += 2 + length
scan = data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
if len(tables) == 1: tables *= 2
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for sequence, start in enumerate(range(0, len(scan), 1100)):
    part = scan[start : start + 1100]
    last = start + len(part) == len(scan)
    packet = struct.pack(">BBHII", 0x80, 0x9A if last else 0x1A, sequence, 0, 0x13F97E67)
    packet += struct.pack(">IBBBB", start, int(sys.argv[2]), 255, 40, 30)
    if start == 0: packet += struct.pack(">BBH", 0, 0, 128) + tables[0] + tables[1]
    s.sendto(packet + part, ("127.0.0.1", int(sys.argv[3])))
`;

interface PacketFields {
  sequence?: number;
  timestamp?: number;
  ssrc?: number;
  marker?: boolean;
  offset?: number;
  type?: number;
  q?: number;
  width?: number;
  height?: number;
}

/** A packet of JPEG over RTP. */
function packet(fields: PacketFields, data: Uint8Array): Buffer {
  const {
    sequence = 0,
    timestamp = 0,
    ssrc = 1,
    marker = false,
    offset = 0,
    type = 1,
    q = 50,
    width = 2,
    height = 2,
  } = fields;
  const header = Buffer.alloc(20);
  header.set([0x80, marker ? 0x9a : 0x1a]);
  header.writeUInt16BE(sequence & 0xffff, 2);
  header.writeUInt32BE(timestamp, 4);
  header.writeUInt32BE(ssrc, 8);
  header.writeUInt32BE(offset, 12);
  header.set([type, q, width, height], 16);
  return Buffer.concat([header, data]);
}

/** The packets of a picture with its JPEG headers inside. */
function packetsOf(picture: Buffer, size: number, fields: PacketFields): Buffer[] {
  let offset = 0;
  let { sequence = 0 } = fields;
  return slicesOf(picture, size).map((slice) => {
    const marker = offset + slice.length === picture.length;
    const made = packet({ ...fields, sequence: sequence++, offset, marker }, slice);
    offset += slice.length;
    return made;
  });
}

/** Three pictures of 5 packets each, with numbers that pass 65,535. */
const video = [0, 1, 2].map((number) =>
  packetsOf(smallJpeg, 500, { sequence: 65_530 + number * 5, timestamp: number * 3000 }),
);
const [first = [], second = [], third = []] = video;

describe("bytes of other programs", () => {
  test("ffmpeg's pictures have the pixels of the files that it writes", async ({ skip }) => {
    if (withoutFfmpeg !== undefined) skip(withoutFfmpeg);
    const encoding = ["-c:v", "mjpeg", "-huffman", "default", "-q:v", "4", "-pix_fmt", "yuvj420p"];
    const files = await videoFiles(3, ...encoding);
    const datagrams = await captureVideo(3, ...encoding, "-f", "rtp", "rtp://127.0.0.1:PORT?pkt_size=1200");
    const { messages, losses } = decode(rtpJpeg(), datagrams);
    expect(losses).toEqual([]);
    expect(messages.map(({ verified }) => verified)).toEqual([true, true, true]);
    for (const [index, { data }] of messages.entries()) {
      const file = files[index] as Buffer;
      expect(scanOf(data)).toEqual(scanOf(file));
      expect((await pixelsOf(data)).equals(await pixelsOf(file))).toBe(true);
    }
  });

  test("with its size, a picture of ffmpeg that is too large for the packets has the pixels of the file", async ({
    skip,
  }) => {
    if (withoutFfmpeg !== undefined) skip(withoutFfmpeg);
    const encoding = [
      ...["-vf", "scale=2592:1944", "-c:v", "mjpeg", "-huffman", "default"],
      ...["-q:v", "20", "-pix_fmt", "yuvj420p"],
    ];
    const [file = Buffer.alloc(0)] = await videoFiles(1, ...encoding);
    const datagrams = await captureVideo(1, ...encoding, "-f", "rtp", "rtp://127.0.0.1:PORT?pkt_size=1200");
    expect(datagrams[0]?.subarray(18, 20)).toEqual(Buffer.of((2592 / 8) & 0xff, 1944 / 8));
    const [message] = decode(rtpJpeg({ size: { width: 2592, height: 1944 } }), datagrams).messages;
    const pixels = await pixelsOf(message?.data ?? Buffer.alloc(0));
    expect(pixels).toHaveLength((2592 * 1944 * 3) / 2);
    expect(pixels.equals(await pixelsOf(file))).toBe(true);
  });

  test("a picture of cjpeg in 4:2:2 with the tables of its quality has the pixels of the file", async ({
    skip,
  }) => {
    if (withoutCjpeg !== undefined) skip(withoutCjpeg);
    const pixels = Buffer.from(Array.from({ length: 160 * 80 * 3 }, (_, index) => (index * index) >>> 7));
    const bitmap = Buffer.concat([Buffer.from("P6 160 80 255\n"), pixels]);
    const file = runOn("cjpeg", ["-sample", "2x1", "-quality", "80"], bitmap);
    const datagram = packet({ type: 0, q: 80, width: 20, height: 10, marker: true }, scanOf(file));
    const [message] = decode(rtpJpeg(), [datagram]).messages;
    expect(runOn("djpeg", [], message?.data ?? Buffer.alloc(0)).equals(runOn("djpeg", [], file))).toBe(true);
  });

  test("a picture sent as OpenMV does, with its headers inside, comes out byte for byte", async ({
    skip,
  }) => {
    if (withoutPython !== undefined) skip(withoutPython);
    const large = Buffer.concat([
      smallJpeg.subarray(0, -2),
      Buffer.alloc(20_000, "more"),
      Buffer.from("ffd9", "hex"),
    ]);
    const datagrams = await withFile(large, (file) => capturePython(openmv, file, "PORT"));
    const { messages, losses } = decode(rtpJpeg(), datagrams);
    expect(messages.map(({ data }) => data)).toEqual([large, large]);
    expect(losses).toEqual([]);
  });

  test("a picture sent as an ESP32 does, with tables in the packet, has the pixels of the file", async ({
    skip,
  }) => {
    if (withoutFfmpeg !== undefined) skip(withoutFfmpeg);
    if (withoutPython !== undefined) skip(withoutPython);
    const encoding = ["-c:v", "mjpeg", "-huffman", "default", "-pix_fmt", "yuvj420p"];
    const [file = Buffer.alloc(0)] = await videoFiles(1, ...encoding);
    const datagrams = await withFile(file, (path) => capturePython(esp32, path, "1", "PORT"));
    const { messages, losses } = decode(rtpJpeg(), datagrams);
    expect(losses).toEqual([]);
    expect(messages).toHaveLength(1);
    const [{ data } = { data: Buffer.alloc(0) }] = messages;
    expect(scanOf(data)).toEqual(scanOf(file));
    expect((await pixelsOf(data)).equals(await pixelsOf(file))).toBe(true);
  });
});

test("the tables of a quality are those of RFC 2435: Q 50 is ITU-T T.81 tables K.1 and K.2, and Q 99 has mostly ones", () => {
  const tables = (q: number): string[] => {
    const [message] = decode(rtpJpeg(), [packet({ marker: true, q }, Buffer.from("data"))]).messages;
    const hex = message?.data.toString("hex") ?? "";
    return [...hex.matchAll(/ffdb004300([0-9a-f]{128})ffdb004301([0-9a-f]{128})/g)].flatMap(
      ([, a = "", b = ""]) => [a, b],
    );
  };
  const [luminance, chrominance] = tables(50);
  expect(luminance?.slice(0, 32)).toBe("100b0c0e0c0a100e0d0e121110131828");
  expect(chrominance?.slice(0, 32)).toBe("1112121815182f1a1a2f634238426363");
  expect(tables(99)[1]).toMatch(/^(00|01|02){64}$/);
  expect(tables(1)).toEqual(["ff".repeat(64), "ff".repeat(64)]);
});

test("whole pictures come out byte for byte and once, in order, whatever is doubled or late by a few packets", () => {
  const pictures = fc.array(fc.integer({ min: 20, max: 3000 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(
      pictures,
      fc.nat(65_535),
      fc.array(fc.nat(3), { minLength: 64 }),
      (lengths, start, delays) => {
        const files = lengths.map((length, number) => {
          const file = Buffer.alloc(length, number + 1);
          file.set([0xff, 0xd8]);
          return file;
        });
        let sequence = start;
        const datagrams = files.flatMap((file, number) => {
          // Enough packets that one which is late does not meet the picture after the next one.
          const own = packetsOf(file, Math.ceil(file.length / 8), { sequence, timestamp: number * 3000 });
          sequence += own.length;
          return own.flatMap((each) => [each, each]);
        });
        const late = datagrams
          .map((datagram, index) => ({ datagram, at: index + (delays[index % delays.length] ?? 0) }))
          .sort((a, b) => a.at - b.at)
          .map(({ datagram }) => datagram);
        const { messages, losses } = decode(rtpJpeg(), late);
        expect(messages.map(({ data }) => data)).toEqual(files);
        expect(losses).toEqual([]);
      },
    ),
    { numRuns: 60 },
  );
});

test("of any packets, each picture is delivered whole or reported as lost, and none is invented", () => {
  fc.assert(
    fc.property(fc.subarray([...first, ...second, ...third]), (arrived) => {
      const { decoder, messages, losses } = decoding(rtpJpeg());
      for (const [at, datagram] of arrived.entries()) decoder.push(datagram, at);
      decoder.expire(10_000);
      const whole = video.filter((packets) => packets.every((each) => arrived.includes(each)));
      const touched = video.filter((packets) => packets.some((each) => arrived.includes(each)));
      expect(messages.map(({ data }) => data)).toEqual(whole.map(() => smallJpeg));
      expect(losses.filter(({ received }) => received > 0)).toHaveLength(touched.length - whole.length);
      expect(decoder.heldBytes).toBe(0);
    }),
    { numRuns: 300 },
  );
});

describe("loss", () => {
  test("a picture without a packet is lost with the number of missing ones when the next one is complete", () => {
    const { messages, losses } = decode(rtpJpeg(), [
      ...first,
      ...second.slice(0, 1),
      ...second.slice(3),
      ...third,
    ]);
    expect(messages).toHaveLength(2);
    expect(losses).toEqual([{ cause: "gap", received: 3, missing: 2 }]);
  });

  test("a picture without its first or its last packet is lost with the number of missing ones", () => {
    for (const rest of [second.slice(1), second.slice(0, -1)]) {
      const { messages, losses } = decode(rtpJpeg(), [...first, ...rest, ...third]);
      expect(messages).toHaveLength(2);
      expect(losses).toEqual([{ cause: "gap", received: 4, missing: 1 }]);
    }
  });

  test("pictures of which nothing arrives are reported as a gap", () => {
    const { messages, losses } = decode(rtpJpeg(), [...first, ...third]);
    expect(messages).toHaveLength(2);
    expect(losses).toEqual([{ cause: "gap", received: 0, missing: 5 }]);
  });

  test("a picture whose rest does not come is lost after idleMs, and packets that are still later are ignored", () => {
    const { decoder, messages, losses, ...result } = decoding(rtpJpeg(), { idleMs: 100 });
    for (const datagram of [...first, ...second.slice(0, 3)]) decoder.push(datagram, 0);
    decoder.expire(101);
    expect(losses).toEqual([{ cause: "idle", received: 3, missing: 0 }]);
    for (const datagram of [...second.slice(3), ...third]) decoder.push(datagram, 102);
    expect([messages.length, losses.length, result.ignored]).toEqual([2, 1, 0]);
  });

  test("a picture that never ends is lost once, with the cause size", () => {
    const endless = Array.from({ length: 500 }, (_, index) =>
      packet({ sequence: index, timestamp: 1, offset: index * 1000 }, Buffer.alloc(1000)),
    );
    const next = packetsOf(smallJpeg, 500, { sequence: 500, timestamp: 2 });
    const { decoder, messages, losses } = decode(rtpJpeg(), [...endless, ...next], {
      maxSourceBytes: 100_000,
    });
    expect(losses).toEqual([{ cause: "size", received: 80, missing: 0 }]);
    expect(messages.map(({ data }) => data)).toEqual([smallJpeg]);
    expect(decoder.heldBytes).toBe(0);
  });

  test("a header that cannot be rebuilt is invalid: a reserved Q, no tables, no width, another type", () => {
    for (const fields of [{ q: 0 }, { q: 100 }, { q: 200 }, { width: 0 }, { type: 2 }]) {
      const { messages, losses } = decode(rtpJpeg(), [
        packet({ marker: true, ...fields }, Buffer.from("\0\0\0\0data")),
      ]);
      expect(messages).toEqual([]);
      expect(losses).toEqual([{ cause: "invalid", received: 1, missing: 0 }]);
    }
  });

  test("with its size, a picture without a width in its packets arrives", () => {
    const datagram = packet({ marker: true, width: 0, height: 0 }, Buffer.from("data"));
    const { messages, losses } = decode(rtpJpeg({ size: { width: 2592, height: 1944 } }), [datagram]);
    expect(losses).toEqual([]);
    const [{ data } = { data: Buffer.alloc(0) }] = messages;
    const frame = data.indexOf("ffc0", 0, "hex");
    expect([data.readUInt16BE(frame + 5), data.readUInt16BE(frame + 7)]).toEqual([1944, 2592]);
  });

  test("packets with offsets that overlap are invalid", () => {
    const overlap = [
      packet({ sequence: 1 }, Buffer.alloc(10)),
      packet({ sequence: 2, offset: 5, marker: true }, Buffer.alloc(10)),
    ];
    const { messages, losses } = decode(rtpJpeg(), overlap);
    expect(messages).toEqual([]);
    expect(losses).toEqual([{ cause: "invalid", received: 2, missing: 0 }]);
  });
});

test("tables of Q 128 to 254 are remembered, and those of 255 are not", () => {
  const tables = Buffer.concat([Buffer.from("00000080", "hex"), Buffer.alloc(128, 7)]);
  const none = Buffer.from("00000000", "hex");
  const send = (q: number) =>
    [tables, none].map((head, index) =>
      packet(
        { sequence: index, timestamp: index, q, marker: true },
        Buffer.concat([head, Buffer.from("data")]),
      ),
    );
  const { messages, losses } = decode(rtpJpeg(), send(200));
  expect(messages).toHaveLength(2);
  expect(messages[0]?.data).toEqual(messages[1]?.data);
  expect(losses).toEqual([]);
  expect(decode(rtpJpeg(), send(255)).losses).toEqual([{ cause: "invalid", received: 1, missing: 0 }]);
});

test("restart markers get their interval in the header", () => {
  const interval = Buffer.from("0005ffff", "hex");
  const [message] = decode(rtpJpeg(), [
    packet({ type: 65, marker: true }, Buffer.concat([interval, Buffer.from("data")])),
  ]).messages;
  expect(message?.data.toString("hex")).toContain("ffdd00040005");
  expect(message?.data.toString("latin1").endsWith("data\u00ff\u00d9")).toBe(true);
});

test("a camera that restarts begins a new stream, with another number or another ssrc", () => {
  for (const fields of [{ sequence: 20_000 }, { sequence: 0, ssrc: 2 }]) {
    const again = packetsOf(smallJpeg, 500, { timestamp: 5, ...fields });
    const { messages, losses } = decode(rtpJpeg(), [...first, ...second.slice(0, 2), ...again]);
    expect(messages).toHaveLength(2);
    expect(losses.map(({ received }) => received)).toContain(2);
  }
});

test("two pictures with the same timestamp, as Micro-RTSP begins, are two pictures", () => {
  const same = packetsOf(smallJpeg, 500, { sequence: 65_535, timestamp: 0 });
  expect(decode(rtpJpeg(), [...first, ...same]).messages).toHaveLength(2);
});

test("other datagrams, and other payload types unless asked for, are ignored", () => {
  const other = packet({ marker: true }, Buffer.from("data"));
  other[1] = 0x80 | 96;
  const rtcp = Buffer.from("80c8000601020304", "hex");
  expect(decode(rtpJpeg(), [Buffer.alloc(0), Buffer.from("hello"), rtcp, other]).ignored).toBe(4);
  expect(decode(rtpJpeg({ payloadType: 96 }), [other]).messages).toHaveLength(1);
});

test("no bytes make it throw or take more memory than it may", () => {
  const packets = fc.array(
    fc
      .record({
        sequence: fc.nat(300),
        timestamp: fc.nat(3),
        marker: fc.boolean(),
        offset: fc.oneof(fc.nat(50), fc.nat(0xff_ffff)),
        type: fc.nat(255),
        q: fc.nat(255),
      })
      .chain((fields) => fc.uint8Array({ maxLength: 200 }).map((data) => packet(fields, data))),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(fc.oneof(hostile, packets), (datagrams) => {
      const { decoder } = decoding(rtpJpeg(), { maxSourceBytes: 3000 });
      for (const [at, datagram] of datagrams.entries()) {
        decoder.push(datagram, at);
        expect(decoder.heldBytes).toBeLessThanOrEqual(3000);
      }
    }),
    { numRuns: 200 },
  );
});

test("wrong options are refused", () => {
  for (const payloadType of [-1, 128, 1.5]) expect(() => rtpJpeg({ payloadType })).toThrow(RangeError);
  expect(() => rtpJpeg({ payloadType: "26" as never })).toThrow(TypeError);
  expect(() => rtpJpeg({ type: 26 } as never)).toThrow(RangeError);
  for (const width of [0, 65_536, 1.5]) {
    expect(() => rtpJpeg({ size: { width, height: 8 } })).toThrow(RangeError);
    expect(() => rtpJpeg({ size: { width: 8, height: width } })).toThrow(RangeError);
  }
  for (const size of ["640x480", { width: 640 }, null]) {
    expect(() => rtpJpeg({ size: size as never })).toThrow(TypeError);
  }
});

/** The compressed data of a JPEG file, without the end marker. */
function scanOf(file: Buffer): Buffer {
  return file.subarray(file.indexOf("ffda", 0, "hex") + 14, file.lastIndexOf("ffd9", undefined, "hex"));
}
