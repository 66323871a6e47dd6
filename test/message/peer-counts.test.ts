/** Counts of what each peer of a socket sends. */

import { countPeers, messages } from "datagram/message";
import { type Host, Network } from "datagram/sim";
import { expect, test } from "vitest";

import { between, desk, pattern, sleep } from "./tools.js";

const rtp = (number: number, bytes = 100): Buffer => {
  const data = Buffer.alloc(bytes);
  data.writeUInt16BE(number & 0xffff, 2);
  return data;
};

/** A desk, and devices beside it. */
async function withDevices(
  count: number,
  program: (devices: readonly Host[], desk: Host) => Promise<void>,
): Promise<void> {
  const network = new Network({ seed: 1 });
  const middle = network.switch("middle");
  const devices = Array.from({ length: count }, (_, at) =>
    network.host(`device${at}`, { address: `10.0.0.${at + 10}` }),
  );
  const to = network.host("desk", { address: desk[0] });
  for (const host of [...devices, to]) network.link(host, middle, { latencyMs: 1 });
  await network.run(() => program(devices, to));
}

test("a loop reads the socket, and each peer has its rate, its gaps and its missing numbers", async () => {
  await withDevices(2, async (devices, to) => {
    const s = to.socket();
    await s.bind(desk);
    const peers = countPeers(s, { sequence: (data) => data.readUInt16BE(2) });
    void (async () => {
      for await (const datagram of s) if (datagram.data[2] === 0xff) await datagram.reply("yes");
    })();
    const [first, second] = devices.map((host) => host.socket());
    await first!.bind(["10.0.0.10", 5000]);
    await second!.bind(["10.0.0.11", 5000]);
    const start = s.clock.now();
    // 65,534 and 0 are missing, and 65,533 comes late.
    for (const number of [65_532, 65_535, 65_533, 65_537, 65_538]) {
      await first!.sendto(rtp(number), desk);
      await sleep(number === 65_537 ? 700 : 100);
    }
    await second!.sendto(rtp(7, 50), desk);
    await sleep(10);
    expect(peers.size).toBe(2);
    const found = peers.get(["10.0.0.10", 5000]);
    expect(found).toMatchObject({ received: 5, receivedBytes: 500, sent: 3, sentBytes: 9, missing: 2 });
    expect(found!.longestGapMs).toBeCloseTo(700, 0);
    expect(found!.lastSeenMs - found!.firstSeenMs).toBeCloseTo(1000, 0);
    expect(found!.firstSeenMs - start).toBeLessThan(10);
    expect(found!.rateBps).toBeGreaterThan(500);
    expect(found!.rateBps).toBeLessThan(5000);
    expect([...peers].map(({ address, missing }) => [String(address), missing])).toEqual([
      ["10.0.0.10:5000", 2],
      ["10.0.0.11:5000", 0],
    ]);
    await sleep(3000);
    expect(peers.get(["10.0.0.10", 5000])!.rateBps).toBe(0);
    peers.close();
    await second!.sendto(rtp(8), desk);
    await sleep(10);
    expect(peers.get(["10.0.0.11", 5000])!.received).toBe(1);
    await s.close();
  });
});

test("the table has at most maxPeers, and the peer that was silent for longest is replaced", async () => {
  await withDevices(4, async (devices, to) => {
    const s = to.socket();
    await s.bind(desk);
    const peers = countPeers(s, { maxPeers: 2 });
    void (async () => {
      for await (const datagram of s) expect(datagram.size).toBe(1);
    })();
    for (const at of [0, 1, 0, 2, 3, 0]) {
      const host = devices[at]!;
      const sender = host.socket();
      await sender.bind([host.address, 6000]);
      await sender.sendto("x", desk);
      await sleep(5);
      await sender.close();
    }
    expect([...peers].map(({ address, received, missing }) => [address.host, received, missing])).toEqual([
      ["10.0.0.13", 1, undefined],
      ["10.0.0.10", 1, undefined],
    ]);
    expect(peers.forgotten).toBe(3);
    await s.close();
  });
});

test("messages that read the socket are counted too", async () => {
  await between({ latencyMs: 1 }, async ({ camera, sockets }) => {
    const peers = countPeers(sockets[1]);
    await camera.send(pattern(12_000), desk);
    const [counts, ...others] = peers;
    expect(others).toEqual([]);
    expect(counts!.received).toBeGreaterThanOrEqual(10);
    expect(counts!.receivedBytes).toBeGreaterThanOrEqual(12_000 + 10 * 24);
    expect(counts!.sent).toBeGreaterThan(0);
  });
});

test("wrong options are refused", async () => {
  await between({}, async ({ sockets }) => {
    expect(() => countPeers({} as never)).toThrow(TypeError);
    expect(() => countPeers(sockets[0], { maxPeer: 3 } as never)).toThrow(/maxPeers/);
    expect(() => countPeers(sockets[0], { maxPeers: 0 })).toThrow(RangeError);
    expect(() => countPeers(sockets[0], { sequence: 3 as never })).toThrow(TypeError);
    expect(() => messages(sockets[0])).toThrow(/reads this socket/);
  });
});
