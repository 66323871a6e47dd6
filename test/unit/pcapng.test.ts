import { Buffer } from "node:buffer";

import { expect, test } from "vitest";

import { BlockWriter, LINKTYPE_RAW, type PacketNotes, captureTime } from "../../src/wire/pcapng.js";

test("a section header has the byte order, version 1.0, an unknown length and the name of the program", () => {
  expect(blocks((writer) => writer.sectionHeader({ application: "abcde" }))).toEqual(
    hex(
      "0a0d0d0a 2c000000 4d3c2b1a 0100 0000 ffffffff ffffffff",
      "0400 0500 6162636465 000000 0000 0000 2c000000",
    ),
  );
});

test("an interface has its link type, its limit, its name and a resolution of nanoseconds", () => {
  const eth0 = { linkType: LINKTYPE_RAW, snapLength: 65_536, name: "eth0" };
  expect(blocks((writer) => writer.interfaceDescription(eth0))).toEqual(
    hex("01000000 28000000 6500 0000 00000100", "0200 0400 65746830 0900 0100 09 000000 0000 0000 28000000"),
  );
});

test("a packet has its interface, both halves of its time, both lengths, and no options if it has none", () => {
  const data = hex("0102030405");
  const expected = "03000000 78563412 f0debc9a 05000000 dc050000 0102030405 000000";
  expect(packet(data, 1500)).toEqual(hex("06000000 28000000", expected, "28000000"));
  const options = "0100 0100 78 000000 0200 0400 01000000 0400 0800 0700000000000000 0000 0000";
  expect(packet(data, 1500, { comment: "x", direction: "in", dropCount: 7 })).toEqual(
    hex("06000000 48000000", expected, options, "48000000"),
  );
});

test("the counts of an interface have 64 bits each", () => {
  const counts = { received: 2 ** 40 + 1, lost: 2, notWritten: 3, comment: "x" };
  expect(
    blocks((writer) => writer.interfaceStatistics({ interfaceId: 1, time: { high: 2, low: 3 }, ...counts })),
  ).toEqual(
    hex(
      "05000000 48000000 01000000 02000000 03000000 0100 0100 78 000000",
      "0400 0800 0100000000010000 0500 0800 0200000000000000 0700 0800 0300000000000000 0000 0000 48000000",
    ),
  );
});

test("a comment that is too long for an option is cut between characters", () => {
  for (const [start, kept] of [
    ["", 21_845],
    ["a", 21_844],
  ] as const) {
    const block = Buffer.from(packet(new Uint8Array(), 0, { comment: start + "€".repeat(30_000) }));
    expect(block.readUInt16LE(28)).toBe(1);
    const text = block.toString("utf8", 32, 32 + block.readUInt16LE(30));
    expect(text === start + "€".repeat(kept)).toBe(true);
    expect(block.readUInt32LE(4)).toBe(block.length);
  }
});

test("memory that is used again has only the new blocks, with bytes of 0 between them", () => {
  const writer = new BlockWriter(new Uint8Array(256).fill(0xff));
  writer.sectionHeader({ application: "abcde" });
  expect(writer.written).toEqual(blocks((other) => other.sectionHeader({ application: "abcde" })));
});

test("a block that does not fit the given memory is refused", () => {
  const writer = new BlockWriter(new Uint8Array(64));
  expect(() => writer.sectionHeader({ application: "a".repeat(64) })).toThrow("does not fit");
});

/** The block of a packet of interface 3. */
function packet(data: Uint8Array, originalLength: number, notes?: PacketNotes): Uint8Array {
  return blocks((writer) => {
    const time = captureTime(0x1234_5678_9abc_def0n);
    const start = writer.beginPacket(3, time, data.length, originalLength);
    writer.bytes.set(data, start);
    writer.endPacket(notes);
  });
}

function blocks(write: (writer: BlockWriter) => void): Uint8Array {
  const writer = new BlockWriter();
  write(writer);
  return writer.written;
}

function hex(...digits: string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(digits.join("").replaceAll(" ", ""), "hex"));
}
