/** What a gateway writes, a reader reads; and the subjects that a reader asks for. */

import { Buffer } from "node:buffer";

import type { Msg } from "@nats-io/transport-node";
import fc from "fast-check";
import { expect, test } from "vitest";

import { Address } from "../../src/index.js";
import type { Endpoint } from "../../src/core/address/address.js";
import type { Metadata } from "../../src/core/driver/metadata.js";
import { Datagram } from "../../src/core/receive/datagram.js";
import { type EncodedMessage, MessageEncoder } from "../../src/gateway/message-encoder.js";
import { MessageDecoder } from "../../src/gateway/message-decoder.js";
import { covers, intersection } from "../../src/gateway/subjects.js";

const replier = { answer: () => Promise.resolve(0) };
const position = { sequence: 7, storedAt: 1n };

/** A message as the client passes it on. */
function delivered({ subject, bytes, headersBytes }: EncodedMessage): Msg {
  const lines = bytes.toString("utf8", 0, headersBytes).split("\r\n").slice(1, -2);
  const decoded = lines.map((line): [string, string[]] => {
    const [name = "", ...value] = line.split(":");
    return [name, [value.join(":").trim()]];
  });
  return { subject, data: bytes.subarray(headersBytes), headers: new Map(decoded) } as unknown as Msg;
}

/** Names of interfaces: any characters, of at most 15 bytes, except those that Linux refuses. */
const names = fc
  .string({ unit: "binary", minLength: 1, maxLength: 15 })
  .filter((name) => !/\p{Surrogate}/u.test(name) && /^[^\s%/:\]\0]{1,15}$/.test(name));

test("every datagram is read as it was, whatever its interface is called", () => {
  const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
  const given = fc.record({
    zone: names,
    name: optional(names),
    data: fc.uint8Array({ maxLength: 50 }),
    cut: fc.nat(100),
    timestamp: optional(fc.bigInt(0n, 2n ** 64n - 1n)),
    lostBefore: optional(fc.nat(2 ** 32)),
    buckets: optional(fc.integer({ min: 1, max: 65_536 })),
  });
  fc.assert(
    fc.property(given, ({ zone, name, data, cut, timestamp, lostBefore, buckets }) => {
      const source = new Address(`fe80::1%${zone}`, 9000) as Endpoint;
      const destination = new Address("fe80::2", 1) as Endpoint;
      const metadata = { destination, interface: name, timestamp, lostBefore } as Metadata;
      const datagram = new Datagram(Buffer.from(data), source, data.length + cut, replier, metadata);
      const message = new MessageEncoder("datagram.1", "run", buckets).encode(datagram, 1);
      const [read] = new MessageDecoder().decode(delivered(message), position, 0);
      expect(read).toBeDefined();
      expect(String(read?.source)).toBe(String(source));
      expect(String(read?.destination)).toBe(String(destination));
      expect(read).toMatchObject({ size: data.length + cut, truncated: cut > 0, sequence: 7 });
      expect([read?.interface, read?.timestamp, read?.lostBefore]).toEqual([name, timestamp, lostBefore]);
      expect(read?.data).toEqual(Buffer.from(data));
    }),
  );
});

test.for([
  ["datagram.*.*", "datagram.9000.*", "datagram.9000.*"],
  ["datagram.9000.*", "datagram.*.peer", "datagram.9000.peer"],
  ["datagram.>", "datagram.9000.*", "datagram.9000.*"],
  ["datagram.9000.*", ">", "datagram.9000.*"],
  ["datagram.9000.*", "datagram.9001.*", undefined],
  ["datagram.9000", "datagram.9000.*", undefined],
  ["datagram.9000", "datagram.9000.>", undefined],
])("%s and %s have %s in common", ([one = "", other = "", both]) => {
  expect(intersection(one, other)).toBe(both);
  expect(intersection(other, one)).toBe(both);
});

test("the common part of two patterns is covered by both", () => {
  const pattern = fc.array(fc.constantFrom("a", "b", "*"), { minLength: 1, maxLength: 4 });
  const open = fc
    .tuple(pattern, fc.boolean())
    .map(([tokens, isOpen]) => [...tokens, ...(isOpen ? [">"] : [])]);
  fc.assert(
    fc.property(open, open, (one, other) => {
      const both = intersection(one.join("."), other.join("."));
      fc.pre(both !== undefined);
      expect(covers(one.join("."), both ?? "")).toBe(true);
      expect(covers(other.join("."), both ?? "")).toBe(true);
    }),
  );
});
