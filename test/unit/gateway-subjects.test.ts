/** Subjects and headers of messages: no address and no interface name can add a token, a wildcard or a header. */

import fc from "fast-check";
import { expect, test } from "vitest";

import { Address } from "../../src/index.js";
import type { Endpoint } from "../../src/core/address/address.js";
import type { Metadata } from "../../src/core/driver/metadata.js";
import { Datagram } from "../../src/core/receive/datagram.js";
import { peerOfToken, peerToken } from "../../src/gateway/index.js";
import { MessageEncoder } from "../../src/gateway/message-encoder.js";
import { checkOptions } from "../../src/gateway/options.js";
import { bucketOf, covers } from "../../src/gateway/subjects.js";

/** Names of interfaces, among them those that would end a header or a subject. */
const zones = fc
  .string({ unit: "binary", minLength: 1, maxLength: 15 })
  .filter((zone) => !/\p{Surrogate}/u.test(zone) && /^[^\s%/\0]{1,15}$/.test(zone));

test.for([
  ["10.0.0.7", "10-0-0-7_9000"],
  ["2001:db8::1", "2001-db8--1_9000"],
  ["fe80::1%eth0", "fe80--1=eth0_9000"],
  ["fe80::1%eth0.7", "fe80--1=eth0=2e7_9000"],
  ["fe80::1%*>", "fe80--1==2a=3e_9000"],
  ["::ffff:10.0.0.7", "10-0-0-7_9000"],
  ["::", "--_9000"],
] as const)("the token of %s is %s", ([host, token]) => {
  expect(peerToken([host, 9000])).toBe(token);
});

test("a token is one token of a subject, a key of a bucket, and its peer comes back", () => {
  const hosts = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.tuple(fc.ipV6(), zones).map(([host, zone]) => `${host}%${zone}`),
  );
  fc.assert(
    fc.property(hosts, fc.integer({ min: 0, max: 65_535 }), (host, port) => {
      const peer = new Address(host, port);
      const token = peerToken(peer);
      expect(token).toMatch(/^[A-Za-z0-9_=-]+$/);
      const found = peerOfToken(token);
      expect(peerToken(found)).toBe(token);
      expect(found.equals(peer)).toBe(true);
      expect(found.scope).toBe(/^[0:]*:ffff:[\da-f:.]*$/i.test(host) ? found.scope : peer.scope);
      expect(bucketOf(token, 7)).toBeLessThan(7);
    }),
  );
});

test("other texts are no tokens, and names have none", () => {
  for (const text of [
    "",
    "10-0-0-7",
    "10-0-0-7_65536",
    "010-0-0-7_1",
    "10.0.0.7_1",
    ">",
    "--1=_1",
    "FE80--1_1",
    "::1_1",
    "0-0-0-0-0-0-0-1_1",
  ])
    expect(() => peerOfToken(text), text).toThrow(RangeError);
  expect(() => peerToken(["camera.local", 1])).toThrow(RangeError);
});

test.for(["", "a b", "a.*", "a.>", "a..b", ".a", "a.", "a\r\nb", "ä", "$JS"])(
  "%j is refused as a prefix, and as the name of a stream",
  (text) => {
    expect(() => checkOptions({ nats: "nats://h", stream: "s", prefix: text })).toThrow(RangeError);
    expect(() => checkOptions({ nats: "nats://h", stream: text })).toThrow(RangeError);
  },
);

test("a server that is no URL is refused without its password", () => {
  for (const nats of ["http://a:secret@h", "nats://a:secret@", "a:secret@h"]) {
    expect(() => checkOptions({ nats, stream: "s" })).toThrow(RangeError);
    expect(() => checkOptions({ nats, stream: "s" })).not.toThrow("//a:secret");
  }
});

test("a message has the headers of its datagram and no others, whatever the interfaces are called", () => {
  const known =
    /^(?:Nats-Msg-Id|Datagram-(?:Source|Destination|Interface|Timestamp|Size|Truncated|Lost-Before)): [!-~]*$/;
  // U+010A would be a line feed if only its lower byte was written.
  const hostile = fc.oneof(zones, fc.constantFrom("\u010a\u010d", "a\u010aX:1"));
  fc.assert(
    fc.property(hostile, hostile, fc.uint8Array(), (scope, name, bytes) => {
      const source = new Address(`fe80::1%${scope}`, 7) as Endpoint;
      const replier = { answer: () => Promise.resolve(0) };
      const at = { destination: source, interface: name, timestamp: 5n, ttl: 1, tos: 0, answer: undefined };
      const metadata: Metadata = { ...at, lostBefore: 0, withoutLoss: undefined as never };
      const data = Buffer.from(bytes);
      const datagram = new Datagram(data, source, bytes.length + 1, replier, metadata);
      const message = new MessageEncoder("datagram.9000", "run", undefined).encode(datagram, 3);
      const lines = message.bytes.toString("latin1", 0, message.headersBytes).split("\r\n");
      expect(lines.shift()).toBe("NATS/1.0");
      expect(lines.splice(-2)).toEqual(["", ""]);
      expect(lines.filter((line) => !known.test(line))).toEqual([]);
      expect(lines).toHaveLength(8);
      expect(message.subject).toMatch(/^datagram[.]9000[.][A-Za-z0-9_=-]+$/);
      expect(Buffer.compare(message.bytes.subarray(message.headersBytes), data)).toBe(0);
    }),
  );
});

test.for([
  ["datagram.9000.*", true],
  ["datagram.*.*", true],
  ["datagram.>", true],
  [">", true],
  ["datagram.9000.>", true],
  ["datagram.9000.a", false],
  ["datagram.*", false],
  ["datagram.9000.*.*", false],
  ["datagram.9001.*", false],
] as const)("a stream of %s takes datagram.9000.*: %s", ([pattern, takes]) => {
  expect(covers(pattern, "datagram.9000.*")).toBe(takes);
});
