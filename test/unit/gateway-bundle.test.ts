/** Bundles: what a gateway puts into one message, a reader takes out of it again. */

import { Buffer } from "node:buffer";

import type { Msg } from "@nats-io/transport-node";
import fc from "fast-check";
import { expect, test } from "vitest";

import { Address } from "../../src/index.js";
import type { Endpoint } from "../../src/core/address/address.js";
import type { Metadata } from "../../src/core/driver/metadata.js";
import { Datagram } from "../../src/core/receive/datagram.js";
import { readRecords } from "../../src/gateway/bundle.js";
import { BundleEncoder } from "../../src/gateway/bundle-encoder.js";
import type { Bundle } from "../../src/gateway/bundler.js";
import { PacketEncoder } from "../../src/gateway/packet-encoder.js";
import { MessageDecoder } from "../../src/gateway/message-decoder.js";
import type { StoredDatagram } from "../../src/gateway/stored-datagram.js";
import { realClock } from "../../src/kernel/clock.js";

const position = { sequence: 7, storedAt: 1n };
const replier = { answer: () => Promise.resolve(0) };

interface Given {
  readonly peer: number;
  readonly by: string;
  readonly data: Uint8Array;
  readonly cut: number;
  readonly timestamp: bigint | undefined;
  readonly lostBefore: number | undefined;
  readonly waits: boolean;
}

const optional = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });
const given: fc.Arbitrary<Given> = fc.record({
  peer: fc.nat(3),
  by: fc.constantFrom("eth0", "eth0", "eth0", "eth\u010a"),
  data: fc.uint8Array({ maxLength: 40 }),
  cut: fc.nat(3),
  // 0 says that the system did not report it.
  timestamp: optional(fc.bigInt(1n, 2n ** 64n - 1n)),
  lostBefore: optional(fc.nat(2 ** 32 - 2)),
  waits: fc.boolean(),
});

const plain: Given = {
  peer: 0,
  by: "eth0",
  data: new Uint8Array(0),
  cut: 0,
  timestamp: 1n,
  lostBefore: 0,
  waits: false,
};

function datagramOf({ peer, by, data, cut, timestamp, lostBefore }: Given): Datagram {
  const source = new Address(`fe80::${peer + 1}%eth0`, 9000) as Endpoint;
  const destination = new Address("10.0.1.1", 9000) as Endpoint;
  const metadata = { destination, interface: by, timestamp, lostBefore } as Metadata;
  return new Datagram(Buffer.from(data), source, data.length + cut, replier, metadata);
}

/** The message of a bundle, as the client passes it on. */
function delivered({ subject, bytes, headersBytes }: Bundle, more: readonly [string, string][] = []): Msg {
  const lines = bytes.toString("latin1", 0, headersBytes).split("\r\n").slice(1, -2);
  const headers = lines.map((line): [string, string[]] => {
    const [name = "", value = ""] = line.split(/: (.*)/);
    return [name, [value]];
  });
  for (const [name, value] of more) headers.push([name, [value]]);
  return { subject, data: bytes.subarray(headersBytes), headers: new Map(headers) } as unknown as Msg;
}

function bundled(all: readonly Given[], buckets: number): Bundle[] {
  const encoder = new BundleEncoder("datagram.9000", "run", buckets);
  const bundles: (Bundle | undefined)[] = [];
  for (const [index, each] of all.entries()) {
    const datagram = datagramOf(each);
    // What has waited is in the same order.
    if (each.waits) bundles.push(encoder.appendWaiting(encoder.encode(datagram), index + 1));
    else bundles.push(encoder.append(datagram, index + 1));
  }
  bundles.push(...encoder.finish());
  expect(encoder.openBytes).toBe(0);
  return bundles.filter((bundle) => bundle !== undefined);
}

const fieldsOf = (datagram: Datagram): unknown[] => [
  String(datagram.source),
  String(datagram.destination),
  datagram.interface,
  datagram.timestamp,
  datagram.lostBefore,
  datagram.size,
  Buffer.from(datagram.data),
];

test("every datagram is in one bundle, as it was, and those of a bucket are in their order", () => {
  fc.assert(
    fc.property(fc.array(given, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), (all, buckets) => {
      const read = new Map<string, StoredDatagram[]>();
      const bundles = bundled(all, buckets);
      expect(new Set(bundles.map(({ number }) => number)).size).toBe(bundles.length);
      for (const bundle of bundles) {
        const datagrams = new MessageDecoder().decode(delivered(bundle), position, 3);
        expect(datagrams).toHaveLength(bundle.count);
        expect(datagrams.map(({ index }) => index)).toEqual(datagrams.map((_, index) => index));
        expect(datagrams.map(({ missingBefore }) => missingBefore)).toEqual(
          datagrams.map((_, index) => (index === 0 ? 3 : 0)),
        );
        read.set(bundle.subject, [...(read.get(bundle.subject) ?? []), ...datagrams]);
      }
      // Each peer is in one bucket, and in it as it was sent.
      for (const peer of new Set(all.map((each) => each.peer))) {
        const sent = all.filter((each) => each.peer === peer).map(datagramOf);
        const source = String(sent[0]?.source);
        const found = [...read.values()].flat().filter((datagram) => String(datagram.source) === source);
        expect(found.map(fieldsOf)).toEqual(sent.map(fieldsOf));
      }
      expect([...read.values()].flat()).toHaveLength(all.length);
    }),
  );
});

test("a bundle has at most 1,024 datagrams and 32 KiB, except a single datagram that is larger", () => {
  const encoder = new BundleEncoder("datagram.9000", "run", 1);
  const empty = new Datagram(Buffer.alloc(0), new Address("1.1.1.1", 1) as Endpoint, 0, replier, undefined);
  const complete = Array.from({ length: 2500 }, (_, index) => encoder.append(empty, index + 1));
  const counts = [...complete, ...encoder.finish()].flatMap((bundle) => bundle?.count ?? []);
  expect(counts).toEqual([1024, 1024, 452]);
  const large = { ...plain, data: new Uint8Array(20_000) };
  const huge = { ...plain, data: new Uint8Array(60_000) };
  expect(bundled([large, plain, huge, plain, plain], 1).map(({ count }) => count)).toEqual([2, 1, 2]);
});

test("a bundle is not larger than the server takes", () => {
  const encoder = new BundleEncoder("datagram.9000", "run", 1);
  encoder.limit(4096);
  const one = datagramOf({ ...plain, data: new Uint8Array(200) });
  const bundles = Array.from({ length: 100 }, (_, index) => encoder.append(one, index + 1));
  for (const bundle of [...bundles, ...encoder.finish()])
    if (bundle) expect(bundle.bytes.length).toBeLessThanOrEqual(4096);
});

test("bytes of strangers are read as nothing, or within their limits", () => {
  const [bundle] = bundled(
    [0, 1, 2].map((peer) => ({ ...plain, peer, data: Buffer.from("payload") })),
    1,
  );
  const good = delivered(bundle!);
  const isRead = (message: Msg): boolean => new MessageDecoder().decode(message, position, 0).length > 0;
  expect(isRead(good)).toBe(true);
  // Its count, its headers and its subject are those of a bundle.
  expect(isRead({ ...good, subject: "datagram.9000.fe80--1_9000" })).toBe(false);
  for (const more of ["Datagram-Source", "Datagram-Size", "Datagram-Channel", "Datagram-Lost-Before"])
    expect(isRead(delivered(bundle!, [[more, "1"]]))).toBe(false);
  for (const count of ["2", "4", "0", "-3", "1025", "99999999999", "x"])
    expect(isRead(delivered(bundle!, [["Datagram-Bundle", count]]))).toBe(false);
  for (let length = 0; length < good.data.length; length++)
    expect(isRead({ ...good, data: good.data.subarray(0, length) })).toBe(false);
  fc.assert(
    fc.property(fc.nat(good.data.length - 1), fc.nat(255), (at, value) => {
      const data = Buffer.from(good.data);
      data[at] = value;
      const read = new MessageDecoder().decode({ ...good, data }, position, 0);
      expect([0, 3]).toContain(read.length);
      for (const datagram of read) expect(datagram.data.length).toBeLessThanOrEqual(datagram.size);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const bytesRead = (readRecords(bytes) ?? []).reduce((sum, { data }) => sum + data.length, 0);
      expect(bytesRead).toBeLessThanOrEqual(bytes.length);
    }),
  );
});

test("packets of a folder are written together in the order of arrival, and no bundle has more than 64 KiB", () => {
  const waits = fc.array(fc.tuple(fc.boolean(), fc.nat(3000)), { maxLength: 100 });
  fc.assert(
    fc.property(waits, (all) => {
      const encoder = new PacketEncoder(realClock, new Address("10.0.1.1", 9000) as Endpoint);
      const bundles: (Bundle | undefined)[] = [];
      for (const [index, [mustWait, fill]] of all.entries()) {
        const data = Buffer.from(`<${index}>${"x".repeat(fill)}`);
        const source = new Address("10.0.0.7", 9000) as Endpoint;
        const datagram = new Datagram(data, source, data.length, replier, undefined);
        if (mustWait) bundles.push(encoder.appendWaiting(encoder.encode(datagram), index + 1));
        else bundles.push(encoder.append(datagram, index + 1));
      }
      bundles.push(...encoder.finish());
      expect(encoder.openBytes).toBe(0);
      const complete = bundles.filter((bundle) => bundle !== undefined);
      for (const { bytes, number, count } of complete) {
        expect(bytes.length).toBeLessThanOrEqual(65_536);
        const numbers = [...bytes.toString("latin1").matchAll(/<(\d+)>/g)].map(([, text]) => Number(text));
        expect(numbers).toEqual(Array.from({ length: count }, (_, index) => number - 1 + index));
      }
      expect(complete.reduce((sum, { count }) => sum + count, 0)).toBe(all.length);
    }),
  );
});

test("the memory of a bundle of packets does not change until the bundle is settled", () => {
  const source = new Address("10.0.0.7", 9000) as Endpoint;
  const step = fc.record({
    fill: fc.integer({ min: 50_000, max: 60_000 }),
    waits: fc.boolean(),
    settle: fc.nat(3),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 40, maxLength: 60 }), (steps) => {
      const encoder = new PacketEncoder(realClock, source);
      const open: { readonly bundle: Bundle; readonly text: string }[] = [];
      const memories = new Set<ArrayBufferLike>();
      for (const [index, { fill, waits, settle }] of steps.entries()) {
        const text = `<${index}>${"x".repeat(fill)}`;
        const datagram = new Datagram(Buffer.from(text), source, text.length, replier, undefined);
        if (waits) encoder.appendWaiting(encoder.encode(datagram), index + 1);
        else encoder.append(datagram, index + 1);
        for (const bundle of encoder.finish()) {
          open.push({ bundle, text });
          memories.add(bundle.bytes.buffer);
        }
        // Stored and refused bundles leave their memory, in any order.
        if (settle > 0 && open.length >= settle) {
          const [settled] = open.splice(open.length - settle, 1);
          if (index % 2 === 0) settled?.bundle.confirm?.();
          else settled?.bundle.release?.();
        }
        for (const { bundle, text: own } of open) expect(bundle.bytes.includes(own)).toBe(true);
      }
      for (const { bundle } of open) bundle.confirm?.();
      // What is settled is used again.
      for (let index = 0; index < 200; index++) {
        encoder.append(new Datagram(Buffer.alloc(60_000), source, 60_000, replier, undefined), index);
        for (const bundle of encoder.finish()) {
          memories.add(bundle.bytes.buffer);
          bundle.confirm?.();
        }
      }
      expect(memories.size).toBeLessThanOrEqual(10);
    }),
    { numRuns: 8 },
  );
});
