import { Buffer } from "node:buffer";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { fragments } from "../../src/sim/packet/fragments.js";
import type { IcmpError, Packet, UdpDatagram } from "../../src/sim/packet/packet.js";
import { Reassembly } from "../../src/sim/packet/reassembly.js";
import { memoryBytes } from "../../src/sim/packet/memory.js";
import type { ScheduledEvent } from "../../src/sim/time/event.js";

/** 30 s in nanoseconds, and how much later fragments are dropped at most. */
const patience = 30e9;
const bucket = 2.048e9;

describe("fragments by hand", () => {
  test("fragments in any order are reassembled when the last missing one arrives", () => {
    const cut = fragments(whole(1000), 300, () => 0);
    fc.assert(
      fc.property(fc.shuffledSubarray([...cut], { minLength: cut.length }), (parts) => {
        const bench = new Bench();
        const results = parts.map((part) => bench.add(part));
        const last = results.pop();
        expect(results.every((each) => each === undefined)).toBe(true);
        expect(last).toMatchObject({
          offset: 0,
          length: 1008,
          moreFragments: false,
          content: whole(1000).content,
        });
        expect(bench.fates()).toEqual(parts.slice(0, -1).map(() => "reassembled"));
      }),
      { seed: 791, numRuns: 100 },
    );
  });

  test("fragments of fragments are fragments of the whole datagram", () => {
    let number = 0;
    const cut = fragments(whole(3000), 1500, () => ++number).flatMap((part) =>
      fragments(part, 576, () => ++number),
    );
    const bench = new Bench();
    const results = cut.map((part) => bench.add(part));
    expect(cut.length).toBe(7);
    expect(results.at(-1)).toMatchObject({ length: 3008, content: whole(3000).content });
    expect(
      cut.every(
        ({ offset, length, moreFragments }) => offset % 8 === 0 && (!moreFragments || length % 8 === 0),
      ),
    ).toBe(true);
  });

  test("a fragment that arrives again is a duplicate, and the datagram is still reassembled", () => {
    const bench = new Bench();
    for (const each of [part(0, 16), part(0, 16), part(24, 8, false), part(24, 8, false)]) bench.add(each);
    expect(bench.add(part(16, 8))).toMatchObject({ length: 32 });
    expect(bench.fates()).toEqual(["reassembled", "duplicate fragment", "reassembled", "duplicate fragment"]);
  });

  for (const [name, parts] of [
    ["the second begins inside the first (teardrop)", [part(0, 24), part(16, 8, false)]],
    ["the second is inside the first", [part(0, 32), part(8, 8)]],
    ["the second covers the first", [part(8, 8), part(0, 32)]],
    ["the second ends inside the first", [part(8, 16), part(0, 16)]],
    ["the second has the offset of the first but another length", [part(0, 16), part(0, 24)]],
    ["there are two ends, the second nearer", [part(16, 16, false), part(8, 8, false)]],
    ["there are two ends, the second further", [part(16, 16, false), part(32, 8, false)]],
    ["a part begins after the end", [part(16, 16, false), part(40, 8)]],
    ["the end arrives after a part that begins after it", [part(40, 8), part(16, 16, false)]],
    ["the end arrives again, as if more parts followed", [part(16, 8, false), part(16, 8)]],
    ["a part arrives again, as if it were the end", [part(16, 8), part(16, 8, false)]],
  ] as const) {
    test(`a datagram is refused if ${name}, and its other fragments are handled`, () => {
      const bench = new Bench();
      for (const each of [...parts, part(0, 8), part(8, 8), part(16, 8), part(24, 8, false)]) {
        expect(bench.add(each)).toBeUndefined();
      }
      expect(new Set(bench.fates())).toEqual(new Set(["overlapping fragments"]));
      expect(bench.after(patience + bucket)).toEqual([]);
    });
  }

  for (const [name, bad] of [
    ["no bytes, with more after it", part(8, 0)],
    ["no bytes, at the end", part(8, 0, false)],
    ["a length that no other part can follow", part(0, 13)],
    ["an end above 65,535 bytes of packet (ping of death)", part(65_512, 8, false)],
  ] as const) {
    test(`a fragment of ${name} is refused`, () => {
      const bench = new Bench();
      expect(bench.add(bad)).toBeUndefined();
      expect(bench.add(part(0, 8))).toBeUndefined();
      expect(bench.fates()).toEqual(["overlapping fragments", "overlapping fragments"]);
    });
  }

  test("the longest datagram of either version is reassembled", () => {
    for (const [version, payload] of [
      [4, 65_507],
      [6, 65_527],
    ] as const) {
      const bench = new Bench();
      const cut = fragments(whole(payload, version), 1500, () => 0);
      const results = cut.map((each) => bench.add(each));
      expect(results.at(-1)).toMatchObject({ length: payload + 8 });
    }
  });

  test("datagrams of different hosts, identifications and versions are kept apart", () => {
    const bench = new Bench();
    const first = part(0, 8);
    for (const other of [
      part(8, 8, false, { identification: 2 }),
      part(8, 8, false, { source: "10.0.0.9" }),
      part(8, 8, false, { destination: "10.0.0.9" }),
      part(8, 8, false, { content: icmp() }),
    ]) {
      expect(bench.add(first)).toBeUndefined();
      expect(bench.add(other)).toBeUndefined();
    }
    expect(bench.add(part(8, 8, false))).toMatchObject({ length: 16 });
  });

  test("the parts of an ICMP error are reassembled to the error", () => {
    const bench = new Bench();
    const [one, other] = [icmp(), icmp()];
    bench.add(part(0, 8, true, { content: one }));
    expect(bench.add(part(8, 8, false, { content: other }))?.content).toBe(one);
  });

  test("a corrupted part makes the whole corrupted, with the checksum of the sent datagram", () => {
    const sent = whole(80);
    const original = sent.content as UdpDatagram;
    const flipped = Buffer.from(original.payload);
    flipped[20] = (flipped[20] ?? 0) ^ 1;
    const corrupted = { ...original, payload: flipped, intact: original.payload, sent: original.payload };
    const bench = new Bench();
    const results = fragments(sent, 68, () => 0).map((each) =>
      bench.add(each.offset === 0 ? { ...each, content: corrupted } : each),
    );
    expect(results.at(-1)?.content).toEqual(corrupted);
  });

  test("parts of two datagrams with the same identification make one datagram with a wrong checksum", () => {
    const half = (text: string, offset: number): Packet =>
      part(offset, 24, offset === 0, { content: udp(Buffer.alloc(40, text)) });
    const bench = new Bench();
    bench.add(half("two ", 24));
    const payload = Buffer.concat([Buffer.alloc(16, "one "), Buffer.alloc(24, "two ")]);
    expect(bench.add(half("one ", 0))?.content).toMatchObject({ payload, intact: Buffer.alloc(40, "one ") });
    // If both halves have the same text, the checksum is right.
    bench.add(half("same", 24));
    expect(bench.add(half("same", 0))?.content).toMatchObject({
      payload: Buffer.alloc(40, "same"),
      intact: undefined,
    });
  });
});

describe("time", () => {
  test("fragments time out 30 s after the first that arrived, at the next whole 2.048 s, and an ICMP error quotes the first of the datagram", () => {
    const bench = new Bench();
    bench.add(part(8, 8));
    bench.now += 10e9;
    const first = part(0, 8);
    bench.add(first);
    expect(bench.after(15 * bucket - bench.now - 1)).toEqual([]);
    expect(bench.fates()).toEqual(["waits for fragments", "waits for fragments"]);
    expect(bench.after(1)).toEqual([first]);
    expect(bench.fates()).toEqual(["reassembly timed out", "reassembly timed out"]);
    expect(bench.add(part(16, 8, false))).toBeUndefined();
  });

  test("without the first fragment no ICMP error is sent", () => {
    const bench = new Bench();
    bench.add(part(8, 8));
    expect(bench.after(patience + bucket)).toEqual([]);
    expect(bench.fates()).toEqual(["reassembly timed out"]);
  });

  test("IPv6 fragments wait 60 s", () => {
    const bench = new Bench();
    bench.add(part(0, 8, true, six));
    expect(bench.after(30 * bucket - 1)).toEqual([]);
    expect(bench.after(1)).toHaveLength(1);
  });

  test("each datagram has its own deadline, and reassembled ones have none", () => {
    const bench = new Bench();
    for (let id = 0; id < 10; id++) {
      bench.add(part(0, 8, true, { identification: id }));
      bench.now += bucket;
    }
    for (const id of [0, 4, 9]) expect(bench.add(part(8, 8, false, { identification: id }))).toBeDefined();
    const icmpErrors: [id: number, bucket: number][] = [];
    for (let passed = 11; passed < 30; passed++) {
      for (const { identification } of bench.after(bucket)) icmpErrors.push([identification, passed]);
    }
    expect(icmpErrors).toEqual([1, 2, 3, 5, 6, 7, 8].map((id) => [id, id + 15]));
  });
});

describe("memory", () => {
  const most = 4 << 20;

  test("memory counts as the buffers of Linux do: measured over veth through /proc/net/sockstat", () => {
    const measured = [
      [4, 68, 832],
      [4, 210, 832],
      [4, 300, 1280],
      [4, 670, 1280],
      [4, 680, 2304],
      [4, 1500, 2304],
      [4, 1700, 4352],
      [4, 7900, 16_640],
      [6, 48 + 190, 832],
      [6, 48 + 200, 1280],
      [6, 48 + 640, 1280],
      [6, 48 + 650, 2304],
      [6, 1696, 2304],
      [6, 1800, 4352],
      [6, 4352, 8448],
      [6, 16_000, 16_640],
    ] as const;
    expect(measured.map(([version, bytes]) => [version, bytes, memoryBytes(version, bytes)])).toEqual(
      measured,
    );
  });

  for (const [version, datagramBytes] of [
    [4, 200],
    [6, 184],
  ] as const) {
    // semantics: fragment-memory
    test(`4 MiB of memory hold fragments over IPv${version} and the records of their datagrams, and after a time it is free`, () => {
      const bench = new Bench();
      const addressed = version === 6 ? six : {};
      const fit = Math.floor(most / (2304 + datagramBytes)) + 1;
      for (let id = 0; id < fit + 100; id++) {
        bench.add(part(0, 1440, true, { ...addressed, identification: id }));
      }
      expect(bench.fates().filter((fate) => fate === "waits for fragments")).toHaveLength(fit);
      expect(bench.fates().filter((fate) => fate === "no memory for fragments")).toHaveLength(100);
      // A fragment that would complete a datagram has no room either. Over the other version there is room.
      expect(bench.add(part(1440, 8, false, { ...addressed, identification: 0 }))).toBeUndefined();
      const other = version === 6 ? {} : six;
      bench.add(part(0, 8, true, other));
      expect(bench.add(part(8, 8, false, other))).toMatchObject({ length: 16 });
      expect(bench.after(2 * patience + bucket)).toHaveLength(fit);
      bench.add(part(0, 8, true, addressed));
      expect(bench.add(part(8, 8, false, addressed))).toMatchObject({ length: 16 });
    });
  }

  for (const [name, bad] of [
    ["empty", part(8, 0)],
    ["overlapping", part(8, 16)],
  ] as const) {
    test(`the memory for ${name} fragments is bounded too`, () => {
      const bench = new Bench();
      const count = most / 200 + 1000;
      for (let identification = 0; identification < count; identification++) {
        bench.add({ ...bad, identification });
        bench.add({ ...part(0, 13), identification });
      }
      expect(bench.fates()).toContain("no memory for fragments");
      bench.after(patience + bucket);
      bench.add(part(0, 8));
      expect(bench.add(part(8, 8, false))).toMatchObject({ length: 16 });
    });
  }

  test("fragments that are forgotten at a crash use no memory, and are reported", () => {
    const bench = new Bench();
    for (let id = 0; id < 2000; id++) bench.add(part(0, 1480, true, { identification: id }));
    bench.reassembly.clear();
    expect(bench.fates()).toContain("host is down");
    expect(bench.fates()).not.toContain("waits for fragments");
    expect(bench.after(patience + bucket)).toEqual([]);
    bench.add(part(0, 8));
    expect(bench.add(part(8, 8, false))).toMatchObject({ length: 16 });
  });
});

/** A reassembly with a clock that a test moves by hand. */
class Bench {
  now = 0;
  readonly reassembly: Reassembly<{ packet: Packet }>;
  readonly #parts: { packet: Packet; fate?: string }[] = [];
  readonly #icmpErrors: Packet[] = [];
  #waiting: ScheduledEvent[] = [];

  constructor() {
    const now = (): number => this.now;
    const scheduler = {
      get now() {
        return now();
      },
      schedule: (event: ScheduledEvent) => void this.#waiting.push(event),
    };
    this.reassembly = new Reassembly(
      scheduler,
      1,
      (settled: { packet: Packet; fate?: string }, fate) => (settled.fate = fate),
      (first) => this.#icmpErrors.push(first),
    );
  }

  add(packet: Packet): Packet | undefined {
    const carrier = { packet };
    this.#parts.push(carrier);
    return this.reassembly.add(carrier);
  }

  /** The fates of all fragments except those that completed a datagram. */
  fates(): string[] {
    return this.#parts.flatMap(({ fate }) => fate ?? []);
  }

  /** Moves the clock. Returns the first fragments for which an ICMP error was due in that time. */
  after(ns: number): Packet[] {
    const until = this.now + ns;
    for (;;) {
      const next = this.#waiting
        .filter(({ time }) => time <= until)
        .sort((one, other) => one.time - other.time)[0];
      if (!next) break;
      this.#waiting = this.#waiting.filter((each) => each !== next);
      this.now = next.time;
      next.fire();
    }
    this.now = until;
    return this.#icmpErrors.splice(0);
  }
}

/** A fragment of a datagram whose other fields do not matter. */
function part(offset: number, length: number, moreFragments = true, more: Partial<Packet> = {}): Packet {
  return { ...whole(65_507), offset, length, moreFragments, ...more };
}

/** The fields of an IPv6 fragment. */
const six = { version: 6, source: "fd00::1", destination: "fd00::2" } as const;

const payloads = new Map<number, Buffer>();

function whole(payloadBytes: number, version: 4 | 6 = 4): Packet {
  const payload = payloads.get(payloadBytes) ?? Buffer.alloc(payloadBytes, "datagram");
  payloads.set(payloadBytes, payload);
  return {
    number: 1,
    version,
    source: version === 4 ? "10.0.0.1" : "fd00::1",
    destination: version === 4 ? "10.0.0.2" : "fd00::2",
    ttl: 64,
    tos: 0,
    identification: 1,
    dontFragment: false,
    content: udp(payload),
    offset: 0,
    length: 8 + payloadBytes,
    moreFragments: false,
  };
}

function udp(payload: Buffer): UdpDatagram {
  return { protocol: "udp", sourcePort: 5000, destinationPort: 9000, payload, intact: undefined };
}

function icmp(): IcmpError {
  return { protocol: "icmp", type: 3, code: 3, mtu: 0, about: whole(8) };
}
