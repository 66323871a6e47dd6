import fc from "fast-check";
import { expect, test } from "vitest";

import { internetChecksum, internetSum, pseudoHeader } from "../../src/wire/checksum.js";
import { ipv4Header, readIpv4 as readIpv4At } from "../../src/wire/ipv4.js";
import { ipv6Header, readIpv6 as readIpv6At } from "../../src/wire/ipv6.js";
import { readUdp as readUdpAt, udpHeader } from "../../src/wire/udp.js";

const runs = { seed: 1071, numRuns: 1_000 };

const port = fc.nat(0xffff);
const byte = fc.nat(0xff);
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const payload = fc.uint8Array({ maxLength: 100 });
const fragment = {
  identification: fc.nat(0xffff),
  moreFragments: fc.boolean(),
  offset: fc.nat(0x1fff).map((units) => units * 8),
};

const ipv4 = fc.record({
  source: bytes(4),
  destination: bytes(4),
  protocol: byte,
  ttl: byte,
  tos: byte,
  dontFragment: fc.boolean(),
  ...fragment,
});

const ipv6 = fc.record({
  source: bytes(16),
  destination: bytes(16),
  // Not the number of an extension header, since that header would have to follow.
  protocol: fc.constantFrom(6, 17, 58, 59, 255),
  hopLimit: byte,
  trafficClass: byte,
  fragment: fc.option(fc.record({ ...fragment, identification: fc.nat(0xffff_ffff) }), { nil: undefined }),
});

test("the checksum of the example in RFC 1071 section 3 is the complement of its sum, 0xddf2", () => {
  expect(internetChecksum(hex("0001 f203 f4f5 f6f7"))).toBe(0xffff - 0xddf2);
});

test("the checksum of an IPv4 header equals the one of a real host", () => {
  const header = hex("4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7");
  expect(internetChecksum(header)).toBe(0xb861);
});

test("the checksum of no bytes is that of zeros, and a last odd byte counts as the high one", () => {
  expect(internetChecksum()).toBe(0xffff);
  expect(internetChecksum(hex("0000"))).toBe(0xffff);
  expect(internetChecksum(hex("12"))).toBe(0xffff - 0x1200);
});

test("carries of a sum are folded until there are none", () => {
  expect(internetChecksum(new Uint8Array(200_000).fill(0xff))).toBe(0);
  expect(internetChecksum(hex("ffff ffff 0001"))).toBe(0xffff - 0x0001);
});

test("the sum of aligned words is the one that the checksum inverts, of the most words too", () => {
  const sumOf = (bytes: Uint8Array): number =>
    internetSum(new Int32Array(bytes.slice().buffer), 0, bytes.length >> 2);
  const most = 16_384 * 4;
  for (const fill of [0, 1, 0xfe, 0xff]) {
    const filled = new Uint8Array(most).fill(fill);
    expect(sumOf(filled)).toBe(0xffff - internetChecksum(filled));
  }
  fc.assert(
    fc.property(fc.array(bytes(4), { maxLength: 100 }), (words) => {
      const whole = Uint8Array.from(words.flatMap((word) => [...word]));
      expect(sumOf(whole)).toBe(0xffff - internetChecksum(whole));
    }),
    runs,
  );
});

test("the checksum does not depend on how the bytes are split", () => {
  fc.assert(
    fc.property(fc.array(payload, { maxLength: 6 }), (pieces) => {
      const whole = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
      expect(internetChecksum(...pieces)).toBe(internetChecksum(whole));
    }),
    runs,
  );
});

test("pseudo headers are laid out as in RFC 768 and in RFC 8200 section 8.1", () => {
  expect(pseudoHeader(hex("0a000001"), hex("0a000002"), 17, 0x1234)).toEqual(
    hex("0a000001 0a000002 00 11 1234"),
  );
  const [one, two] = [hex("fd00 0000 0000 0000 0000 0000 0000 0001"), hex("ff02".padEnd(32, "0"))];
  expect(pseudoHeader(one, two, 58, 0x1_2345)).toEqual(
    Uint8Array.of(...one, ...two, ...hex("0001 2345 0000 003a")),
  );
});

test("an IPv4 header is read back, with any bytes around the packet, and its checksum is right", () => {
  fc.assert(
    fc.property(ipv4, payload, fc.nat(20), (header, carried, padding) => {
      const written = ipv4Header(header, carried.length);
      expect(internetChecksum(written)).toBe(0);
      expect(readIpv4(amid(padding, ...written, ...carried))).toEqual({ ...header, payload: carried });
    }),
    runs,
  );
});

test("an IPv6 header is read back, with any bytes around the packet", () => {
  fc.assert(
    fc.property(ipv6, payload, fc.nat(20), (header, carried, padding) => {
      const packet = amid(padding, ...ipv6Header(header, carried.length), ...carried);
      expect(readIpv6(packet)).toEqual({ ...header, payload: carried });
    }),
    runs,
  );
});

test("a UDP header is read back, and its checksum is right over both versions of IP", () => {
  const header = fc.record({ sourcePort: port, destinationPort: port });
  const addresses = fc.constantFrom(4, 16).chain((length) => fc.tuple(bytes(length), bytes(length)));
  fc.assert(
    fc.property(header, addresses, payload, fc.nat(20), (ports, [source, destination], carried, padding) => {
      const datagram = Uint8Array.of(...udpHeader(ports, source, destination, carried), ...carried);
      const pseudo = pseudoHeader(source, destination, 17, datagram.length);
      expect(internetChecksum(pseudo, datagram)).toBe(0);
      expect(readUdp(amid(padding, ...datagram))).toEqual({ ...ports, payload: carried });
    }),
    runs,
  );
});

test("a UDP checksum of 0 is sent as 0xffff", () => {
  const ports = { sourcePort: 9000, destinationPort: 9001 };
  const [source, destination] = [hex("0a000001"), hex("0a000002")];
  const header = (carried: Uint8Array) => udpHeader(ports, source, destination, carried);
  // A word that is the checksum of everything else makes the sum 0xffff, and the checksum 0.
  const balance = header(hex("0000")).subarray(6, 8);
  expect(header(balance).subarray(6, 8)).toEqual(hex("ffff"));
});

test("extension headers of IPv6 are skipped, except those that a fragment divides", () => {
  const addresses = "fd00".padEnd(32, "0") + "fd01".padEnd(32, "0");
  const packet = (lengthAndNext: string, rest: string) =>
    hex(`60000000 ${lengthAndNext} 40 ${addresses} ${rest}`);
  const hopByHop = (next: string) => `${next} 00 0104 00000000`;
  const options = `11 01 010c ${"00".repeat(12)}`;
  const behind = (flags: string) =>
    readIpv6(packet("0022 00", `${hopByHop("2c")} 3c00 ${flags} 0000abcd ${options} beef`));
  expect(behind("0000")).toMatchObject({ protocol: 17, payload: hex("beef") });
  expect(behind("0001")).toMatchObject({
    protocol: 60,
    fragment: { identification: 0xabcd, moreFragments: true, offset: 0 },
    payload: hex(`${options} beef`),
  });
  // The bytes of a later fragment are from the middle of a packet: the number of an extension header has no meaning there.
  expect(readIpv6(packet("000a 2c", "3c00 0008 0000abcd beef"))).toMatchObject({
    protocol: 60,
    fragment: { moreFragments: false, offset: 8 },
    payload: hex("beef"),
  });
});

const four = ipv4Header(
  {
    source: hex("0a000001"),
    destination: hex("0a000002"),
    protocol: 17,
    ttl: 64,
    tos: 0,
    identification: 1,
    dontFragment: false,
    moreFragments: false,
    offset: 0,
  },
  8,
);
// A packet with a fragment header that is not divided.
const six = ipv6Header(
  {
    source: new Uint8Array(16),
    destination: new Uint8Array(16),
    protocol: 17,
    hopLimit: 64,
    trafficClass: 0,
    fragment: { identification: 1, moreFragments: false, offset: 0 },
  },
  8,
);

test.each<[string, (packet: Uint8Array) => unknown, Uint8Array]>([
  ["IPv4 that is cut", readIpv4, Uint8Array.of(...four, ...hex("00000000000000"))],
  ["IPv4 that is cut in its header", readIpv4, four.subarray(0, 19)],
  ["IPv4 of another version", readIpv4, changed(four, 0, 0x65, 8)],
  ["IPv4 whose header is shorter than 20 bytes", readIpv4, changed(four, 0, 0x44, 8)],
  ["IPv4 whose header is longer than the packet", readIpv4, changed(four, 0, 0x4f, 80)],
  ["IPv4 whose total length ends in its header", readIpv4, changed(four, 3, 19, 8)],
  ["IPv6 that is cut", readIpv6, changed(six, 7, 64, 7)],
  ["IPv6 that is cut in its header", readIpv6, six.subarray(0, 39)],
  ["IPv6 of another version", readIpv6, changed(six, 0, 0x40, 8)],
  ["IPv6 that ends in its fragment header", readIpv6, changed(six, 5, 7, 8)],
  ["IPv6 with two fragment headers", readIpv6, changed(six, 40, 44, 8, [17])],
  ["IPv6 with an extension header that is longer than it", readIpv6, changed(six, 40, 60, 8, [17, 1])],
  ["UDP that is cut in its header", readUdp, hex("0001 0002 0008 00")],
  ["UDP whose length ends in its header", readUdp, hex("0001 0002 0007 0000")],
  ["UDP that is cut", readUdp, hex("0001 0002 000a 0000 00")],
])("%s is refused", (_what, read, packet) => {
  expect(read(packet)).toBeUndefined();
});

test("a cut packet is read as far as its headers are there, with the end that its header tells", () => {
  const cut = four.subarray(0, 20);
  expect(readIpv4At(cut, 0, 20, 28)).toMatchObject({ payloadStart: 20, payloadEnd: 28 });
  expect(readIpv4At(cut, 0, 19, 28)).toBeUndefined();
  expect(readIpv4At(cut, 0, 20, 27)).toBeUndefined();
  expect(readIpv6At(six, 0, 48, 56)).toMatchObject({ payloadStart: 48, payloadEnd: 56 });
  expect(readIpv6At(six, 0, 47, 56)).toBeUndefined();
  expect(readUdpAt(hex("0001 0002 000a 0000"), 0, 8, 10)).toMatchObject({ payloadStart: 8, payloadEnd: 10 });
  expect(readUdpAt(hex("0001 0002 000a 0000"), 0, 7, 10)).toBeUndefined();
});

test("the authentication header of IPv6 is passed over, whose length is in words of 4 bytes", () => {
  const addresses = "fd00".padEnd(32, "0") + "fd01".padEnd(32, "0");
  const packet = hex(`60000000 0012 33 40 ${addresses} 1102 0000 ${"00".repeat(12)} beef`);
  expect(readIpv6(packet)).toMatchObject({ protocol: 17, payload: hex("beef") });
});

test("reading random bytes never throws, and never returns a payload outside the packet", () => {
  const start = fc.constantFrom(four, six, new Uint8Array());
  const flips = fc.array(fc.tuple(fc.nat(47), byte), { maxLength: 4 });
  fc.assert(
    fc.property(start, payload, flips, fc.nat(8), (head, tail, changes, before) => {
      // A view of a larger buffer: no byte outside of the view may be read.
      const whole = Uint8Array.of(...new Uint8Array(before).fill(0x60), ...head, ...tail, 0x60, 0x60);
      const packet = whole.subarray(before, whole.length - 2);
      for (const [at, value] of changes) if (at < packet.length) packet[at] = value;
      for (const read of [readIpv4, readIpv6, readUdp]) {
        const { payload: carried } = read(packet) ?? { payload: packet };
        const offset = carried.byteOffset - packet.byteOffset;
        expect(offset).toBeGreaterThanOrEqual(0);
        expect(offset + carried.length).toBeLessThanOrEqual(packet.length);
      }
    }),
    runs,
  );
});

/** Reads a whole packet, with its addresses and its payload as bytes. */
function readIpv4(packet: Uint8Array) {
  return whole(packet, 4, readIpv4At(packet, 0, packet.length, packet.length));
}

function readIpv6(packet: Uint8Array) {
  return whole(packet, 16, readIpv6At(packet, 0, packet.length, packet.length));
}

function readUdp(packet: Uint8Array) {
  const read = readUdpAt(packet, 0, packet.length, packet.length);
  if (!read) return undefined;
  const { payloadStart, payloadEnd, ...rest } = read;
  return { ...rest, payload: packet.subarray(payloadStart, payloadEnd) };
}

function whole<
  T extends { sourceStart: number; destinationStart: number; payloadStart: number; payloadEnd: number },
>(packet: Uint8Array, addressBytes: number, read: T | undefined) {
  if (!read) return undefined;
  const { sourceStart, destinationStart, payloadStart, payloadEnd, ...rest } = read;
  return {
    ...rest,
    source: packet.subarray(sourceStart, sourceStart + addressBytes),
    destination: packet.subarray(destinationStart, destinationStart + addressBytes),
    payload: packet.subarray(payloadStart, payloadEnd),
  };
}

function hex(digits: string): Uint8Array {
  return Uint8Array.from(digits.replaceAll(" ", "").match(/../g) ?? [], (two) => Number.parseInt(two, 16));
}

/** Bytes with other bytes before and after them in their buffer. */
function amid(padding: number, ...bytes: number[]): Uint8Array {
  const around = new Uint8Array(padding).fill(0xa5);
  return Uint8Array.of(...around, ...bytes, ...around).subarray(padding);
}

/** A header with one changed byte, and a payload after it: the bytes of `start`, then zeros. */
function changed(header: Uint8Array, at: number, value: number, length: number, start: number[] = []) {
  const packet = Uint8Array.of(...header, ...start, ...new Uint8Array(length - start.length));
  packet[at] = value;
  return packet;
}
