/** What a refused segmented send switches off, and for which sockets and peers; and sends that wait for the kernel. */

import { setImmediate as turn } from "node:timers/promises";

import { AF_INET, type Address, type OSError, type Socket } from "datagram";
import { type TestContext, describe, expect, test } from "vitest";

import { type Outcome, lasting, maxOutcomes, plan, whyNoFaults } from "./faults.js";
import { Net, letter } from "./sends-with-faults.js";

/** Datagrams in a burst: those of 1,400 bytes fit one packet, and there are fewer than outcomes that can be planned. */
const burst = 40;

describe.skipIf(whyNoFaults !== undefined)(
  `over native${whyNoFaults === undefined ? "" : ` (${whyNoFaults})`}`,
  () => {
    // semantics: segmentation-refused
    test("EIO of a run switches segmentation off for its destination only, and not for another socket", async (t) => {
      const { sender, other, here, there } = await twoPeers(t);
      expect(await packets(sender, 1400, here)).toBe(1);
      await refuse(sender, "EIO", 1400, here);
      expect(await packets(sender, 1400, here)).toBe(burst);
      expect(await packets(sender, 10, here)).toBe(burst);
      expect(await packets(sender, 1400, there)).toBe(1);
      expect(await packets(other, 1400, here)).toBe(1);
      expect(sender.capabilities.segmentation).toEqual({ available: true });
      expect(sender.stats()).toMatchObject({ segmentationRefused: { EIO: 1 }, sendErrors: {} });
      expect(other.stats().segmentationRefused).toEqual({});
    });

    // semantics: segmentation-refused
    test("EMSGSIZE of a run switches segmentation off for datagrams of its size and above, to its destination only", async (t) => {
      const { sender, other, here, there } = await twoPeers(t);
      await refuse(sender, "EMSGSIZE", 1300, here);
      expect(await packets(sender, 1300, here)).toBe(burst);
      expect(await packets(sender, 1400, here)).toBe(burst);
      expect(await packets(sender, 1299, here)).toBe(1);
      expect(await packets(sender, 1400, there)).toBe(1);
      expect(await packets(other, 1400, here)).toBe(1);
      expect(sender.capabilities.segmentation).toEqual({ available: true });
      expect(sender.stats()).toMatchObject({
        segmentationRefused: { EMSGSIZE: 1 },
        tooBig: 0,
        sendErrors: {},
      });
    });

    // semantics: segmentation-refused
    test("a socket remembers the limits of 40 destinations, each its own", async (t) => {
      const net = await Net.open(t, AF_INET, 40);
      const sender = net.sender();
      const limits = net.addresses.map((to, index) => ({ to, size: 1300 + index }));
      for (const { to, size } of limits) await refuse(sender, "EMSGSIZE", size, to);
      for (const { to, size } of limits) {
        expect(await packets(sender, size, to)).toBe(burst);
        expect(await packets(sender, size - 1, to)).toBe(1);
      }
    });

    // semantics: segmentation-refused
    test("EINVAL of a run switches segmentation off for its socket, which reports that, and for no other socket", async (t) => {
      const { net, sender, other, here, there } = await twoPeers(t);
      await refuse(sender, "EINVAL", 1200, here);
      expect(await packets(sender, 1400, here)).toBe(burst);
      expect(await packets(sender, 10, there)).toBe(burst);
      expect(sender.capabilities.segmentation).toEqual({
        available: false,
        reason: "the kernel refused a segmented send of this socket: EINVAL",
      });
      expect(sender.stats()).toMatchObject({ segmentationRefused: { EINVAL: 1 }, sendErrors: {} });
      for (const each of [other, net.sender()]) {
        expect(each.capabilities.segmentation).toEqual({ available: true });
        expect(await packets(each, 1400, here)).toBe(1);
      }
    });

    // semantics: segmentation-refused
    test("EINVAL of a run with more than 1,200 bytes in each datagram counts as EMSGSIZE, as on older kernels", async (t) => {
      const { sender, here, there } = await twoPeers(t);
      await refuse(sender, "EINVAL", 1300, here);
      expect(await packets(sender, 1300, here)).toBe(burst);
      expect(await packets(sender, 1299, here)).toBe(1);
      expect(await packets(sender, 1300, there)).toBe(1);
      expect(sender.capabilities.segmentation).toEqual({ available: true });
      expect(sender.stats()).toMatchObject({ segmentationRefused: { EMSGSIZE: 1 }, sendErrors: {} });
    });

    // semantics: segmentation-refused
    test("a refusal of segmentation for a connected peer is forgotten with the peer", async (t) => {
      const { sender, here, there } = await twoPeers(t);
      await sender.connect(here);
      await refuse(sender, "EIO", 100, null);
      expect(await packets(sender, 100, null)).toBe(burst);
      await sender.connect(there);
      expect(await packets(sender, 100, null)).toBe(1);
    });

    // semantics: device-queue-full
    test("ENOBUFS of a run pauses segmentation of the socket for a moment, and nothing is counted if its datagrams then find room", async (t) => {
      const { sender, here } = await twoPeers(t);
      plan(["ENOBUFS"]);
      expect(await sender.sendMany(equal(100), here)).toBe(burst);
      const since = performance.now();
      let left = await packets(sender, 100, here);
      // A queue on the way could take only a part of a run, without an error.
      expect(left).toBe(burst);
      // The pause can end in the middle of a burst, whose first datagrams then left alone.
      while (left > 1 && performance.now() - since < 10_000) {
        await new Promise((resolve) => sender.clock.after(100, () => resolve(undefined)));
        left = await packets(sender, 100, here);
      }
      expect(left).toBe(1);
      expect(performance.now() - since).toBeGreaterThan(900);
      expect(sender.stats()).toMatchObject({ segmentationRefused: {}, sendErrors: {} });
    });

    // semantics: send-kernel-error
    test("more than 1,024 datagrams of one sendMany arrive, with any result of a system call in the middle", async (t) => {
      const net = await Net.open(t, AF_INET, 1);
      if (net.room < 4 << 20) t.skip("skipped: receive buffers are too small here for so many datagrams");
      const letters = Array.from({ length: 2500 }, (_, index) => letter(index % 100 === 0 ? 0 : 20, 0));
      for (const way of ["sendMany", "sendMany of records", "sendto in one tick"] as const) {
        const { failed } = await net.exchange(way, letters, [
          3,
          "EIO",
          ...lasting("EMSGSIZE"),
          5,
          "EAGAIN",
          1,
          "EINTR",
          "ENOBUFS",
          2,
        ]);
        expect(failed).toEqual([expect.objectContaining({ code: "EMSGSIZE" })]);
      }
    });

    // semantics: device-queue-full
    test("endless ENOBUFS fails its datagram after a while, and later datagrams are sent", async (t) => {
      const net = await Net.open(t, AF_INET, 1);
      const sender = net.sender();
      for (const sizes of [
        [10, 20, 30],
        [10, 10, 10, 10],
      ]) {
        let first: unknown;
        const empty = stayFull(t);
        const sends = sizes.map((size) => sender.sendto(Buffer.alloc(size), net.addresses[0]!));
        sends[0]!.catch((error: unknown) => {
          first = error;
          empty();
        });
        const outcomes = await Promise.allSettled(sends);
        expect(first).toMatchObject({ code: "ENOBUFS", syscall: "sendto", address: "127.0.0.1" });
        expect(outcomes.map(({ status }) => status)).toEqual([
          "rejected",
          ...sizes.slice(1).map(() => "fulfilled"),
        ]);
      }
      expect(sender.stats().sendErrors).toEqual({ ENOBUFS: 2 });
    });

    // semantics: device-queue-full
    test("after ENOBUFS for one destination, datagrams of the same tick to others are sent first; each destination keeps its order", async (t) => {
      const net = await Net.open(t, AF_INET, 3);
      const sender = net.sender();
      // The first two calls have no room, the third has room for one message, and then all have room.
      plan(["ENOBUFS", "ENOBUFS", 1]);
      const left: string[] = [];
      await Promise.all(
        [0, 0, 1, 0, 2, 1].map(async (to, index) => {
          await sender.sendto(Buffer.alloc(10 + index), net.addresses[to]!);
          left.push(`${to}.${index}`);
        }),
      );
      expect(left[0]).toBe("2.4");
      expect(left.filter((each) => each.startsWith("0"))).toEqual(["0.0", "0.1", "0.3"]);
      expect(left.filter((each) => each.startsWith("1"))).toEqual(["1.2", "1.5"]);
      expect(sender.stats()).toMatchObject({ sent: { datagrams: 6 }, sendErrors: {} });
    });

    test("EAGAIN waits until the socket is writable, and the program runs meanwhile", async (t) => {
      const { sender, here } = await twoPeers(t);
      plan(Array(20).fill("EAGAIN"));
      let sending = true;
      const sent = sender.sendMany(equal(100), here).finally(() => (sending = false));
      let turns = 0;
      for (; sending; turns++) await turn();
      expect(await sent).toBe(burst);
      expect(turns).toBeGreaterThanOrEqual(20);
      expect(plan([])).toBe(0);
    });

    // semantics: close-while-sending
    test.for(["EAGAIN", "ENOBUFS"] as const)(
      "close() while sends wait after %s lets them be sent first",
      async (code, t) => {
        const net = await Net.open(t, AF_INET, 1);
        const sender = net.sender();
        await sender.bind(["127.0.0.1", 0]);
        plan(Array(8).fill(code));
        const sends = Promise.all(
          [10, 20, 30].map((size) => sender.sendto(Buffer.alloc(size), net.addresses[0]!)),
        );
        await turn();
        expect(plan([]), "unmet").toBeGreaterThan(0);
        plan(Array(4).fill(code));
        await sender.close();
        expect(await sends).toEqual([10, 20, 30]);
        expect(plan([])).toBe(0);
        expect(sender.stats()).toMatchObject({ sent: { datagrams: 3, bytes: 60 }, sendErrors: {} });
      },
    );

    // semantics: close-sends
    test("close() does not wait for ever: a datagram without room within 5 s is ECANCELED, and not sent", async (t) => {
      const net = await Net.open(t, AF_INET, 1);
      const sender = net.sender();
      await sender.bind(["127.0.0.1", 0]);
      stayFull(t);
      // The first datagram takes about a second until it fails, each one after it about 32 ms.
      const sends = Array.from({ length: 400 }, (_, size) =>
        sender.sendto(Buffer.alloc(size + 1), net.addresses[0]!),
      );
      const outcomes = Promise.allSettled(sends);
      await sender.close();
      const codes = (await outcomes).map(
        (each) => each.status === "rejected" && (each.reason as OSError).code,
      );
      expect(codes[0]).toBe("ENOBUFS");
      expect(codes.at(-1)).toBe("ECANCELED");
      expect(codes).not.toContain(false);
      expect(sender.stats().sent.datagrams).toBe(0);
    });

    // This test is the last, since the limit stays lowered in this thread.
    test("EINVAL of a run of more than 64 halves the run, for kernels before Linux 6.9, and does not count as a refusal", async (t) => {
      const { sender, here } = await twoPeers(t);
      const payloads = Array<Buffer>(128).fill(Buffer.alloc(10));
      expect(await sender.sendMany(payloads, here)).toBe(128);
      plan(["EINVAL", 1, 1]);
      expect(await sender.sendMany(payloads, here)).toBe(128);
      expect(plan([])).toBe(0);
      expect(sender.stats()).toMatchObject({ segmentationRefused: {}, sendErrors: {} });
      expect(sender.capabilities.segmentation).toEqual({ available: true });
    });
  },
);

/** Makes the queue of the device full, until the test ends or calls the returned function. */
function stayFull(t: TestContext): () => void {
  const full = (): number => plan(Array<Outcome>(maxOutcomes).fill("ENOBUFS"));
  full();
  const again = setInterval(full, 5);
  const empty = (): void => {
    clearInterval(again);
    plan([]);
  };
  t.onTestFinished(empty);
  return empty;
}

interface Peers {
  readonly net: Net;
  readonly sender: Socket;
  readonly other: Socket;
  readonly here: Address;
  readonly there: Address;
}

async function twoPeers(t: TestContext): Promise<Peers> {
  const net = await Net.open(t, AF_INET, 2);
  const [here, there] = net.addresses as [Address, Address];
  return { net, sender: net.sender(), other: net.sender(), here, there };
}

/** Sends a burst whose segmented send is refused. The burst arrives all the same. */
async function refuse(
  sender: Socket,
  code: "EIO" | "EMSGSIZE" | "EINVAL",
  size: number,
  to: Address | null,
): Promise<void> {
  plan(lasting(code));
  expect(await sendBurst(sender, size, to)).toBe(burst);
  expect(plan([]), "unmet").toBe(0);
}

/** How many packets a burst leaves as: each system call may take at most one of them. */
async function packets(sender: Socket, size: number, to: Address | null): Promise<number> {
  const callsBefore = sender.stats().systemCalls!.send;
  plan(Array<number>(maxOutcomes).fill(1));
  expect(await sendBurst(sender, size, to)).toBe(burst);
  plan([]);
  return sender.stats().systemCalls!.send - callsBefore;
}

function sendBurst(sender: Socket, size: number, to: Address | null): Promise<number> {
  return to ? sender.sendMany(equal(size), to) : sender.sendMany(equal(size));
}

function equal(size: number): Buffer[] {
  return Array<Buffer>(burst).fill(Buffer.alloc(size, "x"));
}
