import { subscribe, unsubscribe } from "node:diagnostics_channel";

import type { Loss, Socket } from "datagram";
import { expect } from "vitest";

import { contract, failure, numbered, soon, texts, turn } from "./world.js";

// semantics: stats
contract("stats() of a new socket counts nothing, and is frozen", ({ socket }) => {
  const stats = socket().stats();
  const none = { datagrams: 0, bytes: 0 };
  expect(stats).toMatchObject({ sent: none, received: none, truncated: 0, droppedQueue: 0, tooBig: 0 });
  expect(stats.sendErrors).toEqual({});
  expect(stats.droppedKernel ?? 0).toBe(0);
  expect([stats, stats.sent, stats.received, stats.sendErrors].every((each) => Object.isFrozen(each))).toBe(
    true,
  );
});

// semantics: stats
contract("sent and received count datagrams and bytes, also of empty datagrams", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const to = receiver.getsockname();
  await sender.sendto("12345", to);
  await sender.sendto("", to);
  await sender.sendMany(["123", "1"], to);
  await texts(receiver, 4);
  expect(sender.stats().sent).toEqual({ datagrams: 4, bytes: 9 });
  expect(receiver.stats().received).toEqual({ datagrams: 4, bytes: 9 });
  expect(sender.stats().received).toEqual({ datagrams: 0, bytes: 0 });
});

// semantics: stats
contract("a cut datagram is counted, and an event has it", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const events: string[] = [];
  receiver.on("truncated", ({ data, size, source }) =>
    events.push(`${data.toString()} of ${size} from ${source}`),
  );
  for (const text of ["0123456789", "0123", "012345"]) await sender.sendto(text, receiver.getsockname());
  for (let count = 0; count < 3; count++) await receiver.recv(4, soon);
  expect(receiver.stats()).toMatchObject({ truncated: 2, received: { datagrams: 3 } });
  const from = `from ${sender.getsockname()}`;
  expect(events).toEqual([`0123 of 10 ${from}`, `0123 of 6 ${from}`]);
});

// semantics: diagnostics
contract("events are messages of node:diagnostics_channel too", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const seen: [Socket, number][] = [];
  const listener = (found: unknown): void => {
    const { socket, message } = found as { socket: Socket; message: { size: number } };
    seen.push([socket, message.size]);
  };
  subscribe("datagram:truncated", listener);
  try {
    await sender.sendto("0123456789", receiver.getsockname());
    await receiver.recv(4, soon);
  } finally {
    unsubscribe("datagram:truncated", listener);
  }
  expect(seen).toEqual([[receiver, 10]]);
});

// semantics: stats
contract("failed sends are counted by code, and too large datagrams separately", async (world) => {
  const [sender, to] = [await world.bound(undefined, { sendQueue: 70_000 }), await world.nobody()];
  const big = Buffer.alloc(65_508);
  await failure(sender.sendto(big, to));
  await failure(sender.sendMany([big, big], to));
  await failure(sender.sendto("x", [world.broadcast, 9000]));
  await failure(sender.sendto("x", ["nosuch-ledger.invalid", 9000]));
  const waiting = sender.sendto(Buffer.alloc(60_000), to);
  await failure(sender.sendto(Buffer.alloc(60_000), to));
  await waiting;
  const { ENOTFOUND = 0, EAI_AGAIN = 0, ...others } = sender.stats().sendErrors;
  expect(others).toEqual({ EMSGSIZE: 3, EACCES: 1, ENOBUFS: 1 });
  expect(ENOTFOUND + EAI_AGAIN).toBe(1);
  expect(sender.stats()).toMatchObject({ tooBig: 3, sent: { datagrams: 1, bytes: 60_000 } });
});

// semantics: stats
contract("a send that close() canceled is counted as failed", async ({ socket }) => {
  const sender = socket();
  const pending = failure(sender.sendto("x", ["localhost", 9000]));
  await sender.close();
  await pending;
  expect(sender.stats()).toMatchObject({ sent: { datagrams: 0 }, sendErrors: { ECANCELED: 1 } });
});

// semantics: close-counted
contract(
  "datagrams that were read ahead and never returned are counted at close(), with an event",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const losses: Loss[] = [];
    receiver.on("dropped", (loss) => losses.push(loss));
    await sender.sendMany(numbered(5), receiver.getsockname());
    await turn(receiver);
    expect(await texts(receiver, 1)).toEqual(["0"]);
    await receiver.close();
    expect(receiver.stats()).toMatchObject({ received: { datagrams: 1 }, droppedQueue: 4 });
    expect(losses).toEqual([{ cause: "close", datagrams: 4, bytes: 4 }]);
  },
);

// semantics: events-later
contract("events come after the program's call has returned, never during the call", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  let calling = "";
  const told: [event: string, calling: string][] = [];
  receiver.on("truncated", () => told.push(["truncated", calling]));
  receiver.on("dropped", () => told.push(["dropped", calling]));
  const noted = (): void => void told.push(["channel", calling]);
  subscribe("datagram:dropped", noted);
  const call = <T>(name: string, run: () => T): T => {
    calling = name;
    const value = run();
    calling = "";
    return value;
  };
  try {
    await sender.sendMany(["ab", "cd", "ef"], receiver.getsockname());
    await turn(receiver);
    expect(await texts(receiver, 1)).toEqual(["ab"]);
    // The other datagrams were read ahead, so the call has its datagram at once.
    expect((await call("recv", () => receiver.recv(1))).toString()).toBe("c");
    await call("close", () => receiver.close());
  } finally {
    unsubscribe("datagram:dropped", noted);
  }
  expect(told).toEqual([
    ["truncated", ""],
    ["dropped", ""],
    ["channel", ""],
  ]);
});

// semantics: close-counted
contract(
  "if unread datagrams wait in the process, close() counts them",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const losses: Loss[] = [];
    receiver.on("dropped", (loss) => losses.push(loss));
    await sender.sendMany(numbered(5), receiver.getsockname());
    await turn(receiver);
    await receiver.close();
    expect(receiver.stats().droppedQueue).toBe(5);
    expect(losses).toEqual([{ cause: "close", datagrams: 5, bytes: 5 }]);
  },
  "no kernelQueue",
);

// semantics: unread
contract(
  "if unread datagrams wait in the process, their memory is limited: the newest are dropped and counted",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const losses: Loss[] = [];
    receiver.on("dropped", (loss) => losses.push(loss));
    const payload = Buffer.alloc(60_000);
    for (let count = 0; count < 100; count++) {
      await sender.sendto(payload.fill(count), receiver.getsockname());
      await turn(receiver);
    }
    const { droppedQueue } = receiver.stats();
    expect(droppedQueue).toBeGreaterThan(0);
    expect(losses).toHaveLength(droppedQueue);
    expect(losses.every(({ datagrams, bytes }) => datagrams === 1 && bytes === 60_000)).toBe(true);
    for (let count = 0; count < 100 - droppedQueue; count++)
      expect((await receiver.recv(1, soon))[0]).toBe(count);
    await expect(failure(receiver.recv(1, { timeoutMs: 0 }))).resolves.toMatchObject({ code: "EAGAIN" });
  },
  "no kernelQueue",
);

// semantics: stats-drops
contract(
  "drops of a full receive buffer are counted: received plus dropped is the number sent",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound(undefined, { receiveBuffer: 65_536 })];
    const payload = Buffer.alloc(10_000);
    for (let count = 0; count < 100; count++)
      await sender.sendto(payload.fill(count), receiver.getsockname());
    const { droppedKernel = 0 } = receiver.stats();
    expect(droppedKernel).toBeGreaterThan(0);
    for (let count = 0; count < 100 - droppedKernel; count++)
      expect((await receiver.recv(1, soon))[0]).toBe(count);
    await expect(failure(receiver.recv(1, { timeoutMs: 0 }))).resolves.toMatchObject({ code: "EAGAIN" });
    await receiver.close();
    expect(receiver.stats().droppedKernel).toBe(droppedKernel);
  },
  "kernelDropCount",
);

// semantics: stats-drops
contract(
  "if drops of the kernel cannot be counted, the count is undefined and not 0",
  async ({ bound }) => {
    expect((await bound()).stats().droppedKernel).toBeUndefined();
  },
  "no kernelDropCount",
);

// semantics: unread
contract(
  "unread datagrams wait in the kernel's buffer, not in this process",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    await sender.sendMany(numbered(50), receiver.getsockname());
    await turn(receiver);
    await receiver.close();
    expect(receiver.stats()).toMatchObject({ received: { datagrams: 0 }, droppedQueue: 0 });
  },
  "kernelQueue",
);
