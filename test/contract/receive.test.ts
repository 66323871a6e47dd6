import { SOL_SOCKET, SO_RCVBUF } from "datagram";
import { expect } from "vitest";

import { contract, families, numbered, pause, soon, texts, turn, withStops } from "./world.js";

for (const [ip, family] of families) {
  // semantics: cut-recvfrom
  contract(
    `recvfrom(n) of a longer datagram over ${ip} returns n bytes, and the next call the next datagram`,
    async (world) => {
      const [sender, receiver] = [await world.bound(family), await world.bound(family)];
      const to = receiver.getsockname();
      await sender.sendto("a long datagram", to);
      await sender.sendto("next", to);
      const [cut, source] = await receiver.recvfrom(6, soon);
      expect(cut.toString()).toBe("a long");
      expect(source.equals(sender.getsockname())).toBe(true);
      expect((await receiver.recv(64, soon)).toString()).toBe("next");
    },
  );
}

// semantics: cut-recvmsg
contract("recvmsg says whether a datagram was cut, and how long it was", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const to = receiver.getsockname();
  for (const text of ["0123456789", "0123456789", ""]) await sender.sendto(text, to);
  const cut = await receiver.recvmsg({ bufsize: 4, ...soon });
  expect([cut.data.toString(), cut.truncated, cut.size]).toEqual(["0123", true, 10]);
  const whole = await receiver.recvmsg({ bufsize: 10, ...soon });
  expect([whole.data.toString(), whole.truncated, whole.size]).toEqual(["0123456789", false, 10]);
  const empty = await receiver.recvmsg({ bufsize: 0, ...soon });
  expect([empty.data.length, empty.truncated, empty.size]).toEqual([0, false, 0]);
});

// semantics: recvmsg-whole
contract("recvmsg() without a size returns the whole datagram and its source", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const payload = Buffer.alloc(65_507, "0123456789");
  await sender.sendto(payload, receiver.getsockname());
  const { data, size, truncated, source } = await receiver.recvmsg(soon);
  expect([data.equals(payload), size, truncated]).toEqual([true, 65_507, false]);
  expect(source.equals(sender.getsockname())).toBe(true);
});

// semantics: recvfrom-zero
contract("recvfrom(0) consumes one datagram", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  for (const text of ["first", "second"]) await sender.sendto(text, receiver.getsockname());
  const [data, source] = await receiver.recvfrom(0, soon);
  expect(data).toHaveLength(0);
  expect(source.equals(sender.getsockname())).toBe(true);
  expect(await texts(receiver, 1)).toEqual(["second"]);
});

// semantics: recvfrom-bad-size
contract(
  "a negative or fractional size is a RangeError at once, and no datagram is lost",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const wrong = { name: "RangeError", code: "ERR_OUT_OF_RANGE" };
    for (const size of [-1, NaN, 1.5, Infinity, 2 ** 53]) {
      // Nothing has been sent yet, so only a check at the call can end these.
      await expect(receiver.recvfrom(size)).rejects.toMatchObject(wrong);
      await expect(receiver.recv(size)).rejects.toMatchObject(wrong);
      await expect(receiver.recvmsg({ bufsize: size })).rejects.toMatchObject(wrong);
    }
    for (const max of [0, -1, NaN, 1.5, Infinity])
      await expect(receiver.recvMany(max)).rejects.toMatchObject(wrong);
    await sender.sendto("kept", receiver.getsockname());
    await expect(receiver.recvfrom(-1)).rejects.toMatchObject(wrong);
    expect(await texts(receiver, 1)).toEqual(["kept"]);
  },
);

// semantics: recvfrom-bad-size
contract("a size that is not a number is a TypeError at once", async ({ bound }) => {
  const receiver = await bound();
  const wrong = { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" };
  for (const size of ["64", null, {}, 64n, true] as never[]) {
    await expect(receiver.recvfrom(size)).rejects.toMatchObject(wrong);
    await expect(receiver.recv(size)).rejects.toMatchObject(wrong);
    await expect(receiver.recvMany(size)).rejects.toMatchObject(wrong);
    await expect(receiver.recvmsg({ bufsize: size })).rejects.toMatchObject(wrong);
  }
  await expect(receiver.recvfrom(undefined as never)).rejects.toMatchObject(wrong);
});

// semantics: receive-order
contract("two recvfrom are served in the order of the calls", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const [first, second] = [receiver.recvfrom(64, soon), receiver.recvfrom(64, soon)];
  await sender.sendto("1", receiver.getsockname());
  await sender.sendto("2", receiver.getsockname());
  expect((await second)[0].toString()).toBe("2");
  expect((await first)[0].toString()).toBe("1");
});

// semantics: receive-order
contract("all kinds of receive calls share one order", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const waiting: Promise<string>[] = [];
  for (let count = 0; count < 25; count++) {
    waiting.push(
      receiver.recvfrom(64, soon).then(([data]) => data.toString()),
      receiver.recv(64, soon).then((data) => data.toString()),
      receiver.recvmsg(soon).then(({ data }) => data.toString()),
      receiver.recvMany(1, soon).then((datagrams) => datagrams.map(({ data }) => data.toString()).join()),
    );
  }
  await sender.sendMany(numbered(100), receiver.getsockname());
  expect(await Promise.all(waiting)).toEqual(numbered(100));
});

// semantics: recvmany
contract("recvMany waits for one datagram, then returns up to max that are there", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const waiting = receiver.recvMany(10, soon);
  await sender.sendto("alone", receiver.getsockname());
  expect((await waiting).map(({ data }) => data.toString())).toEqual(["alone"]);
  await sender.sendMany(numbered(100), receiver.getsockname());
  const found: string[] = [];
  while (found.length < 100) {
    const datagrams = await receiver.recvMany(30, soon);
    expect(datagrams.length).toBeGreaterThan(0);
    expect(datagrams.length).toBeLessThanOrEqual(30);
    expect(datagrams.every(({ source }) => source.equals(sender.getsockname()))).toBe(true);
    found.push(...datagrams.map(({ data }) => data.toString()));
  }
  expect(found).toEqual(numbered(100));
});

// semantics: recvmany
contract("recvMany returns all earlier datagrams in one call, on a machine of any speed", async (world) => {
  const [sender, receiver] = [await world.bound(), await world.bound()];
  // As many as the smallest default buffer holds (net.core.rmem_default), read from the driver in several steps.
  await sender.sendMany(numbered(270), receiver.getsockname());
  await pause(receiver, 50);
  for (let turns = 0; turns < 20; turns++) await turn(receiver);
  await withStops(receiver, async () => {
    const datagrams = await receiver.recvMany(1000, soon);
    expect(datagrams.map(({ data }) => data.toString())).toEqual(numbered(270));
  });
});

// semantics: unread
contract("2,000 unread datagrams are later read in order", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  for (const text of numbered(2000)) await sender.sendto(text, receiver.getsockname());
  await sender.sendto("end", receiver.getsockname());
  const found: string[] = [];
  for (let text = ""; text !== "end"; found.push(text)) {
    text = await receiver.recv(64, soon).then(String, () => "end");
  }
  const all = [...numbered(2000), "end"];
  // A kernel that gives a smaller buffer than requested may drop the newest. They are counted if the driver can count.
  if (receiver.getsockopt(SOL_SOCKET, SO_RCVBUF) >= 4 << 20) expect(found).toEqual(all);
  else expect(found.slice(0, -1)).toEqual(all.slice(0, found.length - 1));
  const { received, droppedKernel, droppedQueue } = receiver.stats();
  const unknown = all.length - received.datagrams - droppedQueue;
  expect(droppedKernel ?? unknown).toBe(unknown);
});

// semantics: data-owned
contract("the bytes of a datagram are the program's own", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendMany(numbered(100, "old"), receiver.getsockname());
  const kept = [];
  for (let count = 0; count < 100; count++) kept.push((await receiver.recvmsg(soon)).data);
  await sender.sendMany(numbered(100, "new"), receiver.getsockname());
  for (let count = 0; count < 100; count++) (await receiver.recv(64, soon)).fill("x");
  expect(kept.map(String)).toEqual(numbered(100, "old"));
  kept[50]?.fill("x");
  expect([kept[49], kept[51]].map(String)).toEqual(["old49", "old51"]);
});

// semantics: reply
contract("reply sends to the sender", async ({ bound, socket }) => {
  const [server, client, other] = [await bound(), socket(), await bound()];
  await client.sendto("ping", server.getsockname());
  await other.sendto("other", server.getsockname());
  const [first, second] = [await server.recvmsg(soon), await server.recvmsg(soon)];
  await expect(second.reply(["to ", second.data])).resolves.toBe(8);
  await expect(first.reply("pong")).resolves.toBe(4);
  expect(await texts(client, 1)).toEqual(["pong"]);
  expect(await texts(other, 1)).toEqual(["to other"]);
});

// semantics: recvmany
contract("repeated recvMany calls return all datagrams in order, each up to max", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendMany(numbered(385), receiver.getsockname());
  const found: string[] = [];
  while (found.length < 385) {
    const datagrams = await receiver.recvMany(100, soon);
    expect(datagrams.length).toBeGreaterThan(0);
    expect(datagrams.length).toBeLessThanOrEqual(100);
    found.push(...datagrams.map(({ data }) => data.toString()));
  }
  expect(found).toEqual(numbered(385));
});
