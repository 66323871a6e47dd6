import { type Datagram, type Loss, SOL_SOCKET, SO_RCVBUF, type Socket } from "datagram";
import { expect } from "vitest";

import { type World, contract, numbered, pause, soon, texts } from "./world.js";

/** Bytes that hold a few of the datagrams below. */
const small = { receiveBuffer: 65_536 } as const;
const burst = 100;

/** A sender, a receiver with a small buffer, and the losses that the receiver reports. */
interface Pair {
  readonly sender: Socket;
  readonly receiver: Socket;
  readonly losses: Loss[];
  /** Sends more datagrams, one by one, than fit the receiver's buffer. */
  readonly overflow: () => Promise<void>;
}

async function pair({ bound }: World, options: { metadata?: boolean } = {}): Promise<Pair> {
  const [sender, receiver] = [await bound(), await bound(undefined, { ...small, ...options })];
  const losses: Loss[] = [];
  receiver.on("dropped", (loss) => losses.push(loss));
  const payload = Buffer.alloc(10_000);
  const overflow = async (): Promise<void> => {
    for (let count = 0; count < burst; count++) await sender.sendto(payload, receiver.getsockname());
  };
  return { sender, receiver, losses, overflow };
}

/** All unread datagrams. */
async function unread(from: Socket): Promise<Datagram[]> {
  const found: Datagram[] = [];
  for (;;) {
    const some = await from.recvMany(burst, { timeoutMs: 0 }).catch(() => []);
    if (some.length === 0) return found;
    found.push(...some);
  }
}

function sum(losses: readonly Loss[]): number {
  return losses.reduce((total, { datagrams }) => total + datagrams, 0);
}

// semantics: lost-before
contract(
  "the first datagram after a gap has the number of dropped datagrams, and so has an event",
  async (world) => {
    const { sender, receiver, losses, overflow } = await pair(world);
    await overflow();
    const kept = await unread(receiver);
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.length).toBeLessThan(burst);
    expect(kept.map(({ lostBefore }) => lostBefore)).toEqual(kept.map(() => 0));
    await sender.sendMany(["behind the gap", "behind the gap", "later"], receiver.getsockname());
    const lost = burst - kept.length;
    const found = [await receiver.recvmsg(soon), await receiver.recvmsg(soon), await receiver.recvmsg(soon)];
    expect(found.map(({ lostBefore }) => lostBefore)).toEqual([lost, 0, 0]);
    expect(losses).toEqual([{ cause: "receiveBuffer", datagrams: lost, bytes: undefined }]);
    expect(receiver.stats().droppedKernel).toBe(lost);
  },
  "kernelDropCount",
);

// semantics: loss-once
contract(
  "a loss is reported once, by the first of a datagram, stats() and close()",
  async (world) => {
    for (const first of ["datagram", "stats", "close"] as const) {
      const { sender, receiver, losses, overflow } = await pair(world);
      await overflow();
      const lost = burst - (await unread(receiver)).length;
      if (first === "stats") expect(receiver.stats().droppedKernel, first).toBe(lost);
      if (first !== "close") {
        await sender.sendto("behind the gap", receiver.getsockname());
        expect((await receiver.recvmsg(soon)).lostBefore, first).toBe(lost);
        expect(receiver.stats().droppedKernel, first).toBe(lost);
      }
      await receiver.close();
      expect(losses, first).toEqual([{ cause: "receiveBuffer", datagrams: lost, bytes: undefined }]);
      expect(receiver.stats().droppedKernel, first).toBe(lost);
      expect(receiver.stats().droppedQueue, first).toBe(0);
    }
  },
  "kernelDropCount",
);

// semantics: events-later
contract(
  "a loss that stats() notices is reported after stats() has returned",
  async (world) => {
    const { receiver, losses, overflow } = await pair(world);
    await overflow();
    expect(receiver.stats().droppedKernel).toBeGreaterThan(0);
    expect(losses).toEqual([]);
    await Promise.resolve();
    expect(losses).toHaveLength(1);
  },
  "kernelDropCount",
);

for (const way of ["recvMany", "for await"] as const) {
  // semantics: lost-before
  contract(
    `over many gaps, datagrams read by ${way} plus reported losses are the number sent`,
    async (world) => {
      const { sender, receiver, losses, overflow } = await pair(world);
      const rounds = 5;
      let [received, lostBefore] = [0, 0];
      for (let round = 0; round < rounds; round++) {
        await overflow();
        const first = way === "recvMany" ? await unread(receiver) : [await receiver.recvmsg(soon)];
        const marked = sender.sendto("marker", receiver.getsockname());
        // The marker finds room only after something was read.
        const rest = way === "recvMany" ? [await receiver.recvmsg(soon)] : await upToMarker(receiver);
        await marked;
        received += first.length + rest.length;
        for (const datagram of [...first, ...rest]) lostBefore += datagram.lostBefore ?? NaN;
      }
      const { droppedKernel } = receiver.stats();
      expect(droppedKernel).toBeGreaterThan(rounds);
      expect({ lostBefore, told: sum(losses) }).toEqual({ lostBefore: droppedKernel, told: droppedKernel });
      expect(received + droppedKernel!).toBe(rounds * (burst + 1));
    },
    "kernelDropCount",
  );
}

async function upToMarker(from: Socket): Promise<Datagram[]> {
  const found: Datagram[] = [];
  from.settimeout(5);
  for await (const datagram of from) {
    found.push(datagram);
    if (datagram.size < 10_000) break;
  }
  return found;
}

// semantics: loss-once
contract(
  "without metadata stats() and close() report losses, and datagrams do not",
  async (world) => {
    const { sender, receiver, losses, overflow } = await pair(world, { metadata: false });
    await overflow();
    const kept = await unread(receiver);
    await sender.sendto("behind the gap", receiver.getsockname());
    const behind = await receiver.recvmsg(soon);
    for (const { lostBefore } of [...kept, behind]) expect(lostBefore).toBeUndefined();
    await receiver.close();
    expect(sum(losses)).toBe(burst - kept.length);
    expect(receiver.stats().droppedKernel).toBe(burst - kept.length);
  },
  "kernelDropCount",
);

// semantics: stats-drops
contract(
  "if nothing was dropped, there is no event, and stats() has 0",
  async (world) => {
    const { sender, receiver, losses } = await pair(world);
    for (let round = 0; round < 20; round++) {
      await sender.sendMany(numbered(3), receiver.getsockname());
      expect(await texts(receiver, 3)).toEqual(numbered(3));
    }
    expect(receiver.stats().droppedKernel).toBe(0);
    await receiver.close();
    expect(losses).toEqual([]);
  },
  "kernelDropCount",
);

// semantics: stats-drops
contract(
  "a driver that cannot count drops of the kernel returns undefined, and emits no event",
  async (world) => {
    const { sender, receiver, losses } = await pair(world);
    await sender.sendto("hello", receiver.getsockname());
    expect((await receiver.recvmsg(soon)).lostBefore).toBeUndefined();
    expect(receiver.stats().droppedKernel).toBeUndefined();
    await receiver.close();
    expect(receiver.stats().droppedKernel).toBeUndefined();
    expect(losses.filter(({ cause }) => cause === "receiveBuffer")).toEqual([]);
  },
  "no kernelDropCount",
);

// semantics: stats-drops
contract("a datagram longer than the receive buffer arrives if no datagram is unread", async (world) => {
  const [sender, receiver] = [await world.bound(), await world.bound(undefined, { receiveBuffer: 4096 })];
  await sender.sendto(Buffer.alloc(20_000), receiver.getsockname());
  expect((await receiver.recvmsg(soon)).size).toBe(20_000);
});

// semantics: stats-buffer
contract("stats() has the requested and the actual size of the receive buffer", async (world) => {
  const receiver = await world.bound(undefined, small);
  const read = receiver.getsockopt(SOL_SOCKET, SO_RCVBUF);
  const { askedBytes, givenBytes, advice } = receiver.stats().receiveBuffer!;
  expect(askedBytes).toBe(65_536);
  expect([read, read / 2]).toContain(givenBytes);
  expect(advice === undefined).toBe(givenBytes >= askedBytes);
  receiver.setsockopt(SOL_SOCKET, SO_RCVBUF, 30_000);
  expect(receiver.stats().receiveBuffer).toMatchObject({ askedBytes: 30_000, givenBytes: 30_000 });
  await receiver.close();
  expect(receiver.stats().receiveBuffer).toMatchObject({ askedBytes: 30_000 });
});

// semantics: stats-buffer
contract("stats() has advice if the receive buffer is smaller than requested", async (world) => {
  const most = 0x3fff_ffff;
  const receiver = await world.bound(undefined, { receiveBuffer: most });
  const { askedBytes, givenBytes, advice = "" } = receiver.stats().receiveBuffer!;
  expect(askedBytes).toBe(most);
  expect(givenBytes).toBeGreaterThan(0);
  if (givenBytes < most) expect(advice).toMatch(new RegExp(`rmem_max.*${most}`));
  else expect(advice).toBe("");
});

// semantics: lost-before
contract("datagrams that wait for long are not reported as lost", async (world) => {
  const { sender, receiver, losses } = await pair(world);
  await sender.sendto("early", receiver.getsockname());
  await pause(receiver, 50);
  expect(await texts(receiver, 1)).toEqual(["early"]);
  await receiver.close();
  expect(losses).toEqual([]);
});
