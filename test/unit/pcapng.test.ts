import { Buffer } from "node:buffer";

import { expect, test } from "vitest";

import { LINKTYPE_RAW, enhancedPacket, interfaceDescription, sectionHeader } from "../../src/wire/pcapng.js";

test("a section header has the byte order, version 1.0, an unknown length and the name of the program", () => {
  expect(sectionHeader("abcde")).toEqual(
    hex(
      "0a0d0d0a 2c000000 4d3c2b1a 0100 0000 ffffffff ffffffff",
      "0400 0500 6162636465 000000 0000 0000 2c000000",
    ),
  );
});

test("an interface has its link type, its limit, its name and a resolution of nanoseconds", () => {
  expect(interfaceDescription({ linkType: LINKTYPE_RAW, snapLength: 65_536, name: "eth0" })).toEqual(
    hex("01000000 28000000 6500 0000 00000100", "0200 0400 65746830 0900 0100 09 000000 0000 0000 28000000"),
  );
});

test("a packet has its interface, both halves of its time, both lengths, and no options if it has none", () => {
  const packet = {
    interfaceId: 3,
    timestamp: 0x1234_5678_9abc_def0n,
    originalLength: 1500,
    data: hex("0102030405"),
  };
  const expected = "03000000 78563412 f0debc9a 05000000 dc050000 0102030405 000000";
  expect(enhancedPacket(packet)).toEqual(hex("06000000 28000000", expected, "28000000"));
  const options = "0100 0100 78 000000 0200 0400 01000000 0000 0000";
  expect(enhancedPacket({ ...packet, comment: "x", direction: "inbound" })).toEqual(
    hex("06000000 3c000000", expected, options, "3c000000"),
  );
});

test("a comment that is too long for an option is cut between characters", () => {
  const packet = { interfaceId: 0, timestamp: 0n, originalLength: 0, data: new Uint8Array() };
  for (const [start, kept] of [
    ["", 21_845],
    ["a", 21_844],
  ] as const) {
    const block = Buffer.from(enhancedPacket({ ...packet, comment: start + "€".repeat(30_000) }));
    expect(block.readUInt16LE(28)).toBe(1);
    const text = block.toString("utf8", 32, 32 + block.readUInt16LE(30));
    expect(text === start + "€".repeat(kept)).toBe(true);
    expect(block.readUInt32LE(4)).toBe(block.length);
  }
});

function hex(...digits: string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(digits.join("").replaceAll(" ", ""), "hex"));
}
