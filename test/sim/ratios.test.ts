/** Sockets see what a link was set to, over so many datagrams that chance cannot explain a difference. */

import { AF_INET, SOCK_DGRAM, type Socket } from "datagram";
import { type Host, type LinkInput, Network } from "datagram/sim";
import { expect, test } from "vitest";

const million = 1_000_000;
/** 99.9% of a normal distribution is within this many standard deviations of its mean. */
const z = 3.2905;
/** A network that keeps no packets in its trace. */
const network = (seed: number): Network => new Network({ seed, trace: { packets: 0 } });

test("loss, duplication, reordering and corruption of one link have the ratios that were set", async () => {
  const set = { lossRatio: 0.2, duplicateRatio: 0.1, reorderRatio: 0.05, corruptRatio: 0.02 };
  const link = { ...set, latencyMs: 5, reorderMs: 5, corruptPasses: true };
  const seen = await flood(link, million);
  const { arrived } = seen;
  expectRatio(million - arrived, million, set.lossRatio);
  expectRatio(seen.twice, arrived, set.duplicateRatio);
  expectRatio(seen.late, arrived, set.reorderRatio);
  expectRatio(seen.altered, arrived, set.corruptRatio);
});

test("a corrupted datagram is dropped by its checksum, with the ratio that was set", async () => {
  const { arrived, altered } = await flood({ corruptRatio: 0.03 }, million);
  expectRatio(million - arrived, million, 0.03);
  expect(altered).toBe(0);
});

test("losses in bursts have the ratio and the mean length that were set", async () => {
  const [ratio, length] = [0.1, 4];
  const { arrived, gaps } = await flood({ lossRatio: ratio, lossBurstLength: length }, million);
  // Consecutive packets in Gilbert's model are correlated, which widens the interval of the ratio.
  const toGood = 1 / length;
  const correlation = 1 - toGood - (toGood * ratio) / (1 - ratio);
  expectRatio(million - arrived, million, ratio, Math.sqrt((1 + correlation) / (1 - correlation)));
  // The lengths have a geometric distribution.
  const mean = (million - arrived) / gaps;
  expectWithin(mean, length, (z * Math.sqrt(length * (length - 1))) / Math.sqrt(gaps));
});

test("a datagram of n fragments, each lost with probability p, is lost with probability 1 − (1 − p)^n", async () => {
  const ratio = 0.02;
  const counts = [1, 2, 3, 5, 10, 20, 45];
  const world = network(11);
  const desk = world.host("desk", { address: "10.0.0.1/8" });
  const fragments = new Map<number, number>();
  const pairs = counts.map((count, index) => {
    const host = world.host(`camera-${count}`, { address: `10.0.1.${index + 1}/8` });
    const link = world.link(desk, host, { lossRatio: ratio });
    link.drop(() => {
      fragments.set(count, (fragments.get(count) ?? 0) + 1);
      return false;
    }, "up");
    return { count, host };
  });
  const total = 5000;
  // Fragments of incomplete datagrams stay for 30 s, up to 2.048 s longer, in at most 4 MiB of their host.
  const [together, pauseMs] = [160, 33_000];
  const received = await world.run(
    () =>
      Promise.all(
        pairs.map(async ({ count, host }) => {
          const [from, to] = await pair(desk, host);
          // 1,480 bytes in each packet of 1,500. The longest datagram fills 44 packets and begins another.
          const payload = Buffer.alloc(Math.min(1480 * count - 8, 65_507));
          let left = total;
          const sender = (async () => {
            while (left > 0) {
              const some = Math.min(left, count > 20 ? together / 4 : together);
              left -= some;
              await from.sendMany(Array<Buffer>(some).fill(payload), to.getsockname());
              await pause(from, pauseMs);
            }
            await to.close();
          })();
          let arrived = 0;
          for await (const { data } of to) arrived += data.length === payload.length ? 1 : 0;
          await sender;
          return arrived;
        }),
      ),
    { limitMs: 30 * 86_400_000 },
  );
  for (const [index, count] of counts.entries()) {
    expect(fragments.get(count), `packets of datagrams of ${count}`).toBe(total * count);
    expectRatio(total - (received[index] ?? 0), total, 1 - (1 - ratio) ** count, 1, `${count} fragments`);
  }
});

test("latency and rate are within 1% of what was set", async () => {
  const [latencyMs, jitterMs, rateBps, count] = [40, 10, 2_000_000, 20_000];
  const world = network(3);
  const [desk, slow, narrow] = ["desk", "slow", "narrow"].map((name, index) =>
    world.host(name, { address: `10.0.0.${index + 1}` }),
  ) as [Host, Host, Host];
  world.link(desk, slow, { latencyMs, jitterMs });
  world.link(desk, narrow, { rateBps, queueBytes: 1 << 30 });
  const bytes = 972; // and 28 of headers
  await world.run(async () => {
    const [from, to] = await pair(desk, slow);
    let travelled = 0;
    for (let sent = 0; sent < count; sent++) {
      // Far apart, since jitter keeps the order: a packet would wait for one that was sent shortly before it.
      await from.sendto("ping", to.getsockname());
      const before = from.clock.now();
      await to.recvmsg();
      travelled += from.clock.now() - before;
    }
    expectWithin(travelled / count, latencyMs + jitterMs / 2, 0.01 * (latencyMs + jitterMs / 2));

    const [wide, end] = await pair(desk, narrow);
    const start = wide.clock.now();
    await wide.sendMany(Array<Buffer>(count).fill(Buffer.alloc(bytes)), end.getsockname());
    for (let arrived = 0; arrived < count;) arrived += (await end.recvMany(1024)).length;
    const seconds = (wide.clock.now() - start) / 1000;
    expectWithin((count * (bytes + 28) * 8) / seconds, rateBps, 0.01 * rateBps);
  });
});

/** What a receiver saw of numbered datagrams. */
interface Seen {
  /** How many numbers arrived at least once. */
  arrived: number;
  /** How many numbers arrived twice. */
  twice: number;
  /** How many numbers were delayed, and arrived after a later one. */
  late: number;
  /** How many numbers arrived with changed bytes. */
  altered: number;
  /** How many runs of consecutive numbers did not arrive. */
  gaps: number;
}

/** Sends numbered datagrams over one link, in batches with pauses longer than any datagram travels. */
async function flood(settings: LinkInput, count: number): Promise<Seen> {
  const world = network(5);
  const desk = world.host("desk", { address: "10.0.0.1" });
  const camera = world.host("camera", { address: "10.0.0.2" });
  world.link(desk, camera, settings);
  const [batch, apartMs, lateMs] = [2000, 100, 7.5];
  const seen: Seen = { arrived: 0, twice: 0, late: 0, altered: 0, gaps: 0 };
  const times = new Uint8Array(count);
  await world.run(async () => {
    const [from, to] = await pair(desk, camera);
    let sentAt = 0;
    const reading = (async () => {
      for (;;) {
        const datagrams = await to.recvMany(1024).catch(() => []);
        if (datagrams.length === 0) return;
        const late = to.clock.now() - sentAt > lateMs;
        for (const { data } of datagrams) {
          const number = numberIn(data);
          const time = ++times[number]!;
          // A duplicate has the same bytes, and is never delayed.
          if (time === 2) seen.twice++;
          else if (!sameWords(data)) seen.altered++;
          if (late) seen.late++;
        }
      }
    })();
    const room = Buffer.alloc(batch * 12);
    for (let first = 0; first < count; first += batch) {
      const payloads: Buffer[] = [];
      for (let index = 0; index < batch; index++) {
        const payload = room.subarray(12 * index, 12 * index + 12);
        for (let at = 0; at < 12; at += 4) payload.writeUInt32LE(first + index, at);
        payloads.push(payload);
      }
      sentAt = from.clock.now();
      await from.sendMany(payloads, to.getsockname());
      await pause(from, apartMs);
    }
    await to.close();
    await reading;
    expect(to.stats()).toMatchObject({ droppedKernel: 0, droppedQueue: 0 });
  });
  for (let number = 0; number < count; number++) {
    if (times[number]! > 0) seen.arrived++;
    else if (number === 0 || times[number - 1]! > 0) seen.gaps++;
  }
  return seen;
}

/** Sockets at both ends of a path. */
async function pair(from: Host, to: Host): Promise<[Socket, Socket]> {
  const sockets = [from, to].map((host) => host.socket(AF_INET, SOCK_DGRAM, { metadata: false })) as [
    Socket,
    Socket,
  ];
  await sockets[1].bind([to.address, 9000]);
  return sockets;
}

/** Reads the number, which is there three times: two of the three are right even if a bit was flipped. */
function numberIn(data: Buffer): number {
  const [one, two, three] = [data.readUInt32LE(0), data.readUInt32LE(4), data.readUInt32LE(8)];
  return one === two || one === three ? one : two;
}

function sameWords(data: Buffer): boolean {
  const one = data.readUInt32LE(0);
  return one === data.readUInt32LE(4) && one === data.readUInt32LE(8);
}

function pause({ clock }: Socket, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve));
}

/** @param wider how much wider the interval is than that of independent draws. */
function expectRatio(count: number, of: number, ratio: number, wider = 1, what?: string): void {
  expectWithin(count / of, ratio, z * wider * Math.sqrt((ratio * (1 - ratio)) / of), what);
}

function expectWithin(value: number, set: number, margin: number, what = ""): void {
  expect(value, what).toBeGreaterThanOrEqual(set - margin);
  expect(value, what).toBeLessThanOrEqual(set + margin);
}
