/** `replay` sends the datagrams of a capture file with its timing: exactly on simulated hosts, and as well as it can on sockets. */

import { Buffer } from "node:buffer";
import { Readable } from "node:stream";

import { expect, test } from "vitest";

import { Address, AF_INET6, type Endpoint, socket } from "datagram";
import {
  CaptureError,
  type ReplayDatagram,
  type ReplayStats,
  type SocketReplayOptions,
  replay,
} from "datagram/capture";
import { type Host, Network } from "datagram/sim";

import { Blocks, ipPacket, ipPackets, startNs } from "./files.js";

interface Recorded {
  readonly atMs: number;
  readonly text: string;
  readonly source?: string;
  readonly destination?: string;
  readonly direction?: "in" | "out";
}

/** A pcapng file with microseconds. */
function recording(datagrams: readonly Recorded[]): Buffer {
  const blocks = new Blocks();
  const packets = datagrams.map(({ atMs, text, source, destination, direction }) => {
    const flags = direction && [blocks.option(2, blocks.uint32(direction === "in" ? 1 : 2))];
    return blocks.packet(ipPacket(text, source, destination), startNs / 1000n + BigInt(atMs * 1000), flags);
  });
  return Buffer.concat([blocks.section(), blocks.interface(101), ...packets]);
}

interface Replayed {
  readonly stats: ReplayStats;
  /** The texts that arrived at the desk, and when, in milliseconds from the first one. */
  readonly arrivals: readonly (readonly [text: string, atMs: number])[];
}

const deskAddress = ["10.9.0.2", 9000] as const;

/** Replays a file on a simulated host, to a host called desk. */
async function simulated(
  file: Buffer | Readable,
  options: SocketReplayOptions = { to: deskAddress },
): Promise<Replayed> {
  const network = new Network();
  const player = network.host("player", { address: "10.9.0.1" });
  const desk = network.host("desk", { addresses: ["10.9.0.2", "10.9.0.3"] });
  network.link(player, desk);
  return network.run(async () => {
    const texts = await listen(desk);
    const stats = await replay(file, player.socket(), options);
    await new Promise((resolve) => setTimeout(resolve, 1));
    const firstMs = texts[0]?.[1] ?? 0;
    return { stats, arrivals: texts.map(([text, atMs]) => [text, Math.round((atMs - firstMs) * 1e6) / 1e6]) };
  });
}

async function listen(desk: Host): Promise<[string, number][]> {
  const receiver = desk.socket();
  await receiver.bind(["0.0.0.0", 9000]);
  const texts: [string, number][] = [];
  void (async () => {
    for await (const { data } of receiver) texts.push([String(data), receiver.clock.now()]);
  })();
  return texts;
}

const five: readonly Recorded[] = [
  { atMs: 0, text: "a", source: "10.0.0.1", direction: "in" },
  { atMs: 0.04, text: "b", source: "10.0.0.2", direction: "in" },
  { atMs: 10, text: "c", source: "10.0.0.1", direction: "out" },
  { atMs: 10, text: "d", source: "10.0.0.2", direction: "in" },
  { atMs: 1200, text: "e", source: "10.0.0.1", direction: "in", destination: "10.0.0.7" },
];
const texts = ({ arrivals }: Replayed): string => arrivals.map(([text]) => text).join("");

test("on a simulated host, each datagram is sent exactly at its time", async () => {
  const { stats, arrivals } = await simulated(recording(five));
  expect(arrivals).toEqual([
    ["a", 0],
    ["b", 0.04],
    ["c", 10],
    ["d", 10],
    ["e", 1200],
  ]);
  expect(stats).toEqual({
    datagrams: 5,
    bytes: 5,
    failed: {},
    skipped: { filtered: 0, noDestination: 0, truncated: 0, probablySeveral: 0, tooBig: 0 },
    loops: 1,
    recordedMs: 1200,
    elapsedMs: 1200,
    lateness: { p50Ms: 0, p99Ms: 0, maxMs: 0, late: 0 },
  });
});

test("speed divides the times, and Infinity ignores them", async () => {
  const fast = await simulated(recording(five), { to: deskAddress, speed: 4 });
  expect(fast.arrivals.map(([, atMs]) => atMs)).toEqual([0, 0.01, 2.5, 2.5, 300]);
  const fastest = await simulated(recording(five), { to: deskAddress, speed: Infinity });
  expect([fastest.arrivals.at(-1), fastest.stats.lateness]).toEqual([["e", 0], undefined]);
});

test("loops follow each other after the mean time between two datagrams", async () => {
  const two = recording([
    { atMs: 0, text: "a" },
    { atMs: 8, text: "b" },
    { atMs: 10, text: "c" },
  ]);
  const { stats, arrivals } = await simulated(two, { to: deskAddress, loops: 3, speed: 0.5 });
  expect(arrivals.map(([, atMs]) => atMs)).toEqual([0, 16, 20, 30, 46, 50, 60, 76, 80]);
  expect(stats).toMatchObject({ datagrams: 9, loops: 3, recordedMs: 10, elapsedMs: 80 });
});

test("from, direction, filter, startMs and endMs choose the datagrams", async () => {
  const chosen: readonly (readonly [SocketReplayOptions, string])[] = [
    [{ from: "10.0.0.1" }, "ace"],
    [{ from: "10.0.0.2:5000" }, "bd"],
    [{ from: ["10.0.0.2", 5001] }, ""],
    [{ direction: "out" }, "c"],
    [{ direction: "in", from: "10.0.0.1" }, "ae"],
    [{ filter: ({ data }) => data[0] !== 0x62 }, "acde"],
    [{ startMs: 10 }, "cde"],
    [{ startMs: 0.01, endMs: 10 }, "bcd"],
  ];
  for (const [options, expected] of chosen) {
    const replayed = await simulated(recording(five), { to: deskAddress, ...options });
    expect(texts(replayed), JSON.stringify(options)).toBe(expected);
    const { datagrams, skipped } = replayed.stats;
    if (options.endMs === undefined) expect(datagrams + skipped.filtered).toBe(5);
  }
});

test("to is a map by recorded destination, or a function", async () => {
  const map = new Map<string, Address | readonly [string, number]>([
    ["10.0.0.7:9000", deskAddress],
    ["10.0.0.2", ["10.9.0.3", 9000]],
  ]);
  expect(texts(await simulated(recording(five), { to: map }))).toBe("abcde");
  map.delete("10.0.0.2");
  const { stats } = await simulated(recording(five), { to: map });
  expect(stats).toMatchObject({ datagrams: 1, skipped: { noDestination: 4 } });
  const to: SocketReplayOptions["to"] = ({ source }) =>
    source.host === "10.0.0.2" ? deskAddress : undefined;
  expect(texts(await simulated(recording(five), { to }))).toBe("bd");
});

test("what cannot be sent as it was is skipped and counted", async () => {
  const blocks = new Blocks();
  const units = startNs / 1000n;
  const long = ipPacket("x".repeat(3000));
  const six = ipPackets({ source: "fd00::1", destination: "fd00::2", payload: Buffer.alloc(65_527) })[0]!;
  const cut = ipPacket("0123456789");
  const file = Buffer.concat([
    blocks.section(),
    blocks.interface(101),
    // A packet above the MTU with a wrong checksum: a run of datagrams.
    blocks.packet(Buffer.concat([long.subarray(0, 26), Buffer.from([1, 2]), long.subarray(28)]), units),
    blocks.packet(cut.subarray(0, 32), units, [], 0, cut.length),
    blocks.packet(six, units),
    blocks.packet(ipPacket("sent"), units),
  ]);
  const replayed = await simulated(file);
  expect(texts(replayed)).toBe("sent");
  expect(replayed.stats.skipped).toEqual({
    filtered: 0,
    noDestination: 0,
    truncated: 1,
    probablySeveral: 1,
    tooBig: 1,
  });
});

test("a clock that was set back while recording costs no wait, and times never go back", async () => {
  const { arrivals } = await simulated(
    recording([
      { atMs: 5000, text: "a" },
      { atMs: 5010, text: "b" },
      { atMs: 5009, text: "c" },
      { atMs: 0, text: "d" },
      { atMs: 10, text: "e" },
    ]),
  );
  expect(arrivals.map(([, atMs]) => atMs)).toEqual([0, 10, 10, 10, 20]);
});

test("a file without times is refused, except with speed Infinity", async () => {
  const blocks = new Blocks();
  const file = Buffer.concat([
    blocks.section(),
    blocks.interface(101),
    blocks.simplePacket(ipPacket("four")),
  ]);
  await expect(simulated(file)).rejects.toThrow(
    /packet 1 of the file has no time \(simple packet block\): speed: Infinity sends without times \(EINVAL\)/,
  );
  expect(texts(await simulated(file, { to: deskAddress, speed: Infinity }))).toBe("four");
});

test("a cut file is sent up to the cut, then the replay fails", async () => {
  const file = recording(five);
  const seen: ReplayStats[] = [];
  const options = { to: deskAddress, onProgress: (stats: ReplayStats) => seen.push(stats) };
  await expect(simulated(file.subarray(0, -10), options)).rejects.toBeInstanceOf(CaptureError);
  expect(seen.at(-1)).toMatchObject({ datagrams: 4, loops: 0 });
});

test("onProgress reports ten times a second", async () => {
  const seen: number[] = [];
  const onProgress = ({ datagrams }: ReplayStats): number => seen.push(datagrams);
  await simulated(recording(five), { to: deskAddress, onProgress });
  expect(seen).toEqual([...Array.from({ length: 11 }, () => 4), expect.any(Number), 5].slice(-seen.length));
  expect(seen.length).toBeGreaterThanOrEqual(12);
});

test("an error of onProgress ends the replay", async () => {
  const onProgress = (): never => {
    throw new Error("no more");
  };
  await expect(simulated(recording(five), { to: deskAddress, onProgress })).rejects.toThrow("no more");
});

test("a datagram that the network refuses is counted, and the others are sent", async () => {
  let calls = 0;
  const to = (): readonly [string, number] => (++calls === 2 ? ["172.16.0.1", 9] : deskAddress);
  const replayed = await simulated(recording(five), { to });
  expect([texts(replayed), replayed.stats.failed]).toEqual(["acde", { ENETUNREACH: 1 }]);
});

test("a signal ends the replay during a wait", async () => {
  const stop = new AbortController();
  const seen: ReplayStats[] = [];
  const network = new Network();
  const player = network.host("player", { address: "10.9.0.1" });
  network.link(player, network.host("desk", { address: "10.9.0.2" }));
  await network.run(async () => {
    setTimeout(() => stop.abort(new Error("enough")), 500);
    const options = {
      to: deskAddress,
      signal: stop.signal,
      onProgress: (stats: ReplayStats) => seen.push(stats),
    };
    await expect(replay(recording(five), player.socket(), options)).rejects.toThrow("enough");
    expect(player.socket().clock.now()).toBe(500);
  });
  expect(seen.at(-1)).toMatchObject({ datagrams: 4, elapsedMs: 500 });
  const live = new Readable({ read: () => undefined });
  const waiting = replay(live, socket(), { to: ["127.0.0.1", 9], signal: AbortSignal.timeout(1) });
  await expect(waiting).rejects.toThrow("timeout");
});

test("wrong arguments are refused, with the name of the option", async () => {
  await using s = socket();
  const to = ["127.0.0.1", 9] as const;
  const wrong: readonly (readonly [unknown, string])[] = [
    [{ to, speed: 0 }, "options.speed must be above 0, not 0"],
    [{ to, speed: "2" }, "options.speed must be a number"],
    [{ to, loops: 1.5 }, "options.loops must be a whole number"],
    [{ to, startMs: -1 }, "options.startMs must be 0 or more milliseconds"],
    [{ to, from: "camera" }, "options.from must be an IP address with or without a port"],
    [{ to, direction: "up" }, "options.direction must be in or out"],
    [{ to, segmentation: 1 }, "options.segmentation must be a boolean"],
    [{ to, sped: 2 }, "did you mean speed?"],
    [{ to: new Map([["camera", to]]) }, "a key of options.to must be an IP address"],
    [{ to: ["127.0.0.1", 0] }, "port 0 is not a destination"],
    [{ to: ["::1", 9] }, "EAFNOSUPPORT"],
    [{}, "EDESTADDRREQ"],
  ];
  for (const [options, text] of wrong)
    await expect(replay(recording(five), s, options as SocketReplayOptions), text).rejects.toThrow(text);
  const stream = Readable.from([recording(five)]);
  await expect(replay(stream, s, { to, loops: 2 })).rejects.toThrow("options.loops must be 1 for a stream");
});

test("a real socket sends all datagrams of a connection, each in a call of its own", async () => {
  await using receiver = socket();
  await receiver.bind(["127.0.0.1", 0]);
  await using sender = socket();
  await sender.connect(receiver.getsockname());
  const burst = recording(Array.from({ length: 64 }, (_, index) => ({ atMs: 0, text: `${100 + index}` })));
  const stats = await replay(burst, sender);
  expect(stats).toMatchObject({ datagrams: 64, bytes: 192 });
  for (let index = 0; index < 64; index++) expect(String(await receiver.recv(9))).toBe(`${100 + index}`);
  const calls = sender.stats().systemCalls?.send;
  if (sender.driver === "native") expect(calls).toBe(64);
  if (!sender.capabilities.segmentation.available) return;
  await replay(burst, sender, { segmentation: true });
  expect((sender.stats().systemCalls?.send ?? 0) - (calls ?? 0)).toBe(1);
});

test("an IPv6 socket replays what was recorded over IPv4", async () => {
  await using receiver = socket(AF_INET6);
  await receiver.bind(["::1", 0]);
  await using sender = socket(AF_INET6);
  await replay(recording(five.slice(0, 2)), sender, { to: receiver.getsockname() });
  expect(String(await receiver.recv(9))).toBe("a");
});

/** A datagram for `replay`, at so many milliseconds of the recording. */
function recordedAt(atMs: number, text: string): ReplayDatagram {
  const data = Buffer.from(text);
  const source = new Address("10.0.0.1", 5000) as Endpoint;
  const timestamp = startNs + BigInt(atMs * 1_000_000);
  return { data, size: data.length, truncated: false, source, destination: undefined, timestamp };
}

test("an input that waits for its first datagram to arrive is sent", async () => {
  await using receiver = socket();
  await receiver.bind(["127.0.0.1", 0]);
  await using sender = socket();
  async function* live(): AsyncGenerator<ReplayDatagram> {
    yield recordedAt(0, "first");
    expect(String(await receiver.recv(9))).toBe("first");
    yield recordedAt(1, "second");
  }
  await replay(live(), sender, { to: receiver.getsockname() });
  expect(String(await receiver.recv(9))).toBe("second");
});
