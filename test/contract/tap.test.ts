import type { Packet } from "datagram";
import { expect } from "vitest";

import { contract, failure, families, numbered, soon, texts } from "./world.js";

/** A packet as one line. */
function line({ direction, data, source, destination }: Packet): string {
  return `${direction} ${data.toString()} ${source} > ${destination}`;
}

for (const [ip, family] of families) {
  // semantics: tap
  contract(`a tap over ${ip} sees datagrams of both directions, with both addresses`, async ({ bound }) => {
    const [s, peer] = [await bound(family), await bound(family)];
    const seen: Packet[] = [];
    s.tap((packet) => seen.push(packet));
    const started = s.clock.wall();
    await s.sendto("ping", peer.getsockname());
    const request = await peer.recvmsg(soon);
    await request.reply("pong");
    expect(await texts(s, 1)).toEqual(["pong"]);
    const [own, other] = [s.getsockname(), peer.getsockname()];
    expect(seen.map(line)).toEqual([`out ping ${own} > ${other}`, `in pong ${other} > ${own}`]);
    for (const { timestamp } of seen) expect(timestamp).toBeGreaterThanOrEqual(started - 1_000_000_000n);
  });
}

// semantics: tap
contract(
  "a tap of a socket on every interface has the destination of a datagram, and the time of the kernel",
  async ({ bound, socket, localhost }) => {
    const [s, peer] = [socket(), await bound()];
    await s.bind(["", 0]);
    const seen: Packet[] = [];
    s.tap((packet) => seen.push(packet));
    await peer.sendto("ping", [localhost(), s.getsockname().port]);
    const { destination, timestamp } = await s.recvmsg(soon);
    expect(seen.map((packet) => [`${packet.destination}`, packet.timestamp])).toEqual([
      [`${localhost()}:${s.getsockname().port}`, timestamp],
    ]);
    expect(`${destination}`).toBe(`${localhost()}:${s.getsockname().port}`);
  },
  "packetInfo",
);

// semantics: tap
contract("a tap sees every kind of send, in order, and the peer of a connected socket", async ({ bound }) => {
  const [s, peer] = [await bound(), await bound()];
  const seen: string[] = [];
  s.tap(({ data, destination }) => seen.push(`${data.toString()} > ${destination}`));
  await s.connect(peer.getsockname());
  await Promise.all([s.sendto("1", peer.getsockname()), s.send("2"), s.sendMany(["3", ""])]);
  expect(seen).toEqual(["1", "2", "3", ""].map((text) => `${text} > ${peer.getsockname()}`));
});

// semantics: tap
contract("a tap sees the whole datagram, also if a receive call cuts it", async ({ bound }) => {
  const [s, peer] = [await bound(), await bound()];
  const seen: string[] = [];
  s.tap(({ data }) => seen.push(data.toString()));
  await peer.sendto("0123456789", s.getsockname());
  expect((await s.recv(4, soon)).toString()).toBe("0123");
  expect(seen).toEqual(["0123456789"]);
});

// semantics: tap
contract(
  "a sent datagram that a tap kept does not change when the program reuses its buffer",
  async ({ bound }) => {
    const [s, peer] = [await bound(), await bound()];
    const seen: Packet[] = [];
    s.tap((packet) => seen.push(packet));
    const reused = Buffer.alloc(4);
    for (const text of numbered(50)) {
      reused.fill(" ").write(text);
      await s.sendto(reused, peer.getsockname());
    }
    expect(seen.map(({ data }) => data.toString().trim())).toEqual(numbered(50));
  },
);

// semantics: tap
contract("a tap sees no datagram that could not be sent", async ({ bound, broadcast }) => {
  const [s, peer] = [await bound(), await bound()];
  const seen: string[] = [];
  s.tap(({ data }) => seen.push(data.toString()));
  await failure(s.sendto("forbidden", [broadcast, 9000]));
  await failure(s.sendto(Buffer.alloc(70_000), peer.getsockname()));
  await s.sendto("sent", peer.getsockname());
  expect(seen).toEqual(["sent"]);
});

// semantics: tap-several
contract(
  "several taps see the same, each ends with its own call, and calling it twice does no harm",
  async ({ bound }) => {
    const [s, peer] = [await bound(), await bound()];
    const seen: string[] = [];
    const ends = numbered(2, "tap").map((name) =>
      s.tap(({ data }) => seen.push(`${name} ${data.toString()}`)),
    );
    await s.sendto("a", peer.getsockname());
    ends[0]?.();
    ends[0]?.();
    await s.sendto("b", peer.getsockname());
    ends[1]?.();
    await s.sendto("c", peer.getsockname());
    await peer.sendto("d", s.getsockname());
    await texts(s, 1);
    expect(seen).toEqual(["tap0 a", "tap1 a", "tap1 b"]);
  },
);

// semantics: tap
contract("a tap does not change what is received and counted", async ({ bound }) => {
  const [s, peer] = [await bound(), await bound()];
  let bytes = 0;
  s.tap(({ data }) => (bytes += data.length));
  await peer.sendMany(numbered(100), s.getsockname());
  expect(await texts(s, 100)).toEqual(numbered(100));
  expect(s.stats().received).toEqual({ datagrams: 100, bytes });
});

// semantics: tap-several
contract("a tap that is not a function is a TypeError", ({ socket }) => {
  const wrong = { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" };
  for (const listener of [undefined, null, {}, "x"]) {
    expect(() => socket().tap(listener as never)).toThrow(expect.objectContaining(wrong));
  }
});
