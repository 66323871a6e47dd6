import { gzipSync } from "node:zlib";

import { gelf } from "datagram/message";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { capturePython, decode, decoding, hostile, withoutPython } from "./tools.js";

/** Sends log messages as GELF libraries for Python do: plain, with zlib, with gzip, and each in chunks of 100 bytes too. */
const script = `
import gzip, json, random, socket, struct, sys, zlib
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def send(data): s.sendto(data, ("127.0.0.1", int(sys.argv[1])))
random.seed(1)
for number, pack in enumerate([bytes, zlib.compress, gzip.compress]):
    noise = "".join(random.choice("0123456789abcdef") for _ in range(900))
    record = pack(json.dumps({"version": "1.1", "short_message": "äöü", "_number": number, "_noise": noise}).encode())
    send(record)
    parts = [record[at : at + 100] for at in range(0, len(record), 100)]
    for index, part in enumerate(parts):
        send(b"\\x1e\\x0f" + struct.pack(">QBB", 1000 + number, index, len(parts)) + part)
`;
/** The chunks of a message. */
function chunksOf(id: number, content: Uint8Array, count: number): Buffer[] {
  const size = Math.ceil(content.length / count);
  return Array.from({ length: count }, (_, index) => {
    const header = Buffer.alloc(12);
    header.writeUInt16BE(0x1e0f);
    header.writeUInt32BE(id, 6);
    header.set([index, count], 10);
    return Buffer.concat([header, content.subarray(index * size, (index + 1) * size)]);
  });
}

const json = Buffer.from(JSON.stringify({ short_message: "hello", _text: "x".repeat(500) }));
const chunks = chunksOf(1, json, 4);

test("the messages of a Python script come out as JSON, plain, with zlib and with gzip, whole and in chunks", async ({
  skip,
}) => {
  if (withoutPython !== undefined) skip(withoutPython);
  const { messages, losses, ignored } = decode(gelf(), await capturePython(script, "PORT"));
  const records = messages.map(
    ({ data }) => JSON.parse(data.toString()) as { _number: number; short_message: string },
  );
  expect(records.map(({ _number }) => _number)).toEqual([0, 0, 1, 1, 2, 2]);
  expect(records.every(({ short_message: text }) => text === "äöü")).toBe(true);
  expect(messages.map((message) => message.verified && message.chunks > 1)).toEqual([
    false,
    true,
    false,
    true,
    false,
    true,
  ]);
  expect([losses, ignored]).toEqual([[], 0]);
});

test("a last chunk without bytes, as gelf-pro sends it, belongs to its message", () => {
  const [first = Buffer.alloc(0), empty = Buffer.alloc(0)] = [
    ...chunksOf(1, json, 1),
    ...chunksOf(1, Buffer.alloc(0), 1),
  ];
  first[11] = empty[11] = 2;
  empty[10] = 1;
  for (const order of [
    [first, empty],
    [empty, first],
  ]) {
    const { messages, losses, ignored } = decode(gelf(), order);
    expect(messages.map(({ data }) => data.toString())).toEqual([json.toString()]);
    expect([losses, ignored]).toEqual([[], 0]);
  }
});

test("messages in chunks come out byte for byte in any order, once, whatever is doubled", () => {
  const contents = fc.array(fc.uint8Array({ minLength: 20, maxLength: 300 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(
      contents.chain((all) => {
        const datagrams = all.flatMap((content, id) => chunksOf(id, content, 1 + (content.length % 9)));
        const doubled = [...datagrams, ...datagrams];
        return fc.tuple(fc.constant(all), fc.shuffledSubarray(doubled, { minLength: doubled.length }));
      }),
      ([all, datagrams]) => {
        const { messages, losses } = decode(gelf({ decompress: false }), datagrams);
        const sorted = (list: readonly Uint8Array[]) =>
          list.map((each) => Buffer.from(each).toString("hex")).sort();
        expect(sorted(messages.map(({ data }) => data))).toEqual(sorted(all));
        expect(losses).toEqual([]);
      },
    ),
    { numRuns: 60 },
  );
});

describe("loss", () => {
  test("a message whose chunks do not all come is lost after idleMs, with the number of missing ones", () => {
    const { decoder, losses } = decoding(gelf());
    for (const chunk of chunks.slice(1)) decoder.push(chunk, 0);
    decoder.expire(2001);
    expect(losses).toEqual([{ cause: "idle", received: 3, missing: 1 }]);
    expect(decoder.heldBytes).toBe(0);
    decoder.push(chunks[0] as Buffer, 2002);
    expect([losses.length, decoder.heldBytes]).toEqual([1, 0]);
  });

  test("all chunks must arrive within 5 s", () => {
    const { decoder, losses } = decoding(gelf(), { idleMs: 10_000 });
    decoder.push(chunks[0] as Buffer, 0);
    decoder.push(chunks[1] as Buffer, 4000);
    decoder.expire(5001);
    expect(losses).toEqual([{ cause: "idle", received: 2, missing: 2 }]);
  });

  test("of more than 16 messages at a time, the oldest is given up", () => {
    const firsts = Array.from({ length: 17 }, (_, id) => chunksOf(id, json, 2)[0] as Buffer);
    const { losses } = decode(gelf(), firsts);
    expect(losses).toEqual([{ cause: "evicted", received: 1, missing: 1 }]);
  });

  test("chunks that disagree about their count are invalid", () => {
    const { losses } = decode(gelf(), [chunksOf(1, json, 4)[0] as Buffer, chunksOf(1, json, 5)[1] as Buffer]);
    expect(losses).toEqual([{ cause: "invalid", received: 1, missing: 3 }]);
  });

  test("a small message that decompresses to more than the limit is lost with the cause size", () => {
    const { messages, losses } = decode(gelf(), [gzipSync(Buffer.alloc(200_000))], {
      maxSourceBytes: 100_000,
    });
    expect(messages).toEqual([]);
    expect(losses).toEqual([{ cause: "size", received: 1, missing: 0 }]);
  });

  test("a message that does not decompress is invalid, and passes as it is with decompress: false", () => {
    const broken = gzipSync(json).subarray(0, -9);
    expect(decode(gelf(), [broken]).losses).toEqual([{ cause: "invalid", received: 1, missing: 0 }]);
    expect(decode(gelf({ decompress: false }), [broken]).messages.map(({ data }) => data)).toEqual([broken]);
  });
});

test("other datagrams, and chunks with wrong numbers, are ignored", () => {
  const wrong = ["", "hello", "1e0f", "1e0f0000000000000001000178".slice(0, 22)].map((text) =>
    Buffer.from(text, "hex"),
  );
  const [tooHigh, tooMany] = [Buffer.from(chunks[0] as Buffer), Buffer.from(chunks[0] as Buffer)];
  tooHigh[10] = 4;
  tooMany[11] = 129;
  const { messages, losses, ignored } = decode(gelf(), [...wrong, tooHigh, tooMany]);
  expect([messages, losses, ignored]).toEqual([[], [], 6]);
});

test("no bytes make it throw or take more memory than it may", () => {
  fc.assert(
    fc.property(hostile, (datagrams) => {
      const { decoder } = decoding(gelf(), { maxSourceBytes: 3000 });
      for (const [at, datagram] of datagrams.entries()) {
        decoder.push(datagram, at);
        expect(decoder.heldBytes).toBeLessThanOrEqual(3000);
      }
    }),
    { numRuns: 100 },
  );
});

test("wrong options are refused", () => {
  expect(() => gelf({ decompress: 1 as never })).toThrow(TypeError);
  expect(() => gelf({ compress: true } as never)).toThrow(RangeError);
});
