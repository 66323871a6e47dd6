import { AF_INET6, type Data, IPPROTO_IPV6, IPV6_V6ONLY, SOL_SOCKET, SO_BROADCAST } from "datagram";
import { expect } from "vitest";

import { contract, failure, families, numbered, soon, texts, turn } from "./world.js";

const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** Every kind of `data`, and its bytes. */
const kinds: readonly (readonly [kind: string, data: () => Data, expected: readonly number[]])[] = [
  ["a string, as UTF-8", () => "é€", [0xc3, 0xa9, 0xe2, 0x82, 0xac]],
  ["an empty string", () => "", []],
  ["a Buffer", () => Buffer.from(bytes), [...bytes]],
  ["a Uint8Array", () => bytes, [...bytes]],
  ["a view into the middle of a buffer", () => bytes.subarray(2, 5), [3, 4, 5]],
  ["a Uint16Array", () => new Uint16Array(bytes.buffer, 2, 2), [3, 4, 5, 6]],
  ["a BigInt64Array", () => new BigInt64Array(bytes.buffer), [...bytes]],
  ["a DataView", () => new DataView(bytes.buffer, 1, 3), [2, 3, 4]],
  ["an ArrayBuffer", () => bytes.slice().buffer, [...bytes]],
  ["a SharedArrayBuffer", () => shared().buffer, [...bytes]],
  ["a view on a SharedArrayBuffer", () => shared().subarray(6), [7, 8]],
  ["an array, gathered", () => ["ab", bytes.subarray(0, 2), new ArrayBuffer(1)], [97, 98, 1, 2, 0]],
  ["an empty array", () => [], []],
];

for (const [kind, data, expected] of kinds) {
  // semantics: data-kinds
  contract(`data may be ${kind}`, async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    await expect(sender.sendto(data(), receiver.getsockname())).resolves.toBe(expected.length);
    await sender.connect(receiver.getsockname());
    await expect(sender.send(data())).resolves.toBe(expected.length);
    await expect(sender.sendMany([data()])).resolves.toBe(1);
    for (let count = 0; count < 3; count++) expect([...(await receiver.recv(64, soon))]).toEqual(expected);
  });
}

function shared(): Uint8Array<SharedArrayBuffer> {
  const view = new Uint8Array(new SharedArrayBuffer(bytes.length));
  view.set(bytes);
  return view;
}

// semantics: data-bad
contract("data of another kind is refused with a TypeError, and nothing is sent", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const to = receiver.getsockname();
  await sender.connect(to);
  for (const data of [
    1,
    null,
    undefined,
    true,
    {},
    1n,
    Symbol("x"),
    () => "x",
    [1],
    [["x"]],
    ["x", null],
    new Map(),
  ]) {
    const wrong = { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" };
    await expect(sender.sendto(data as never, to)).rejects.toMatchObject(wrong);
    await expect(sender.send(data as never)).rejects.toMatchObject(wrong);
    await expect(sender.sendMany([data as never])).rejects.toMatchObject(wrong);
  }
  expect(sender.stats().sent.datagrams).toBe(0);
});

// semantics: data-bad
contract("a detached buffer is refused with a TypeError that has a code", async ({ bound, nobody }) => {
  const sender = await bound();
  const to = await nobody();
  const [whole, view] = [new ArrayBuffer(8), new DataView(new ArrayBuffer(8))];
  structuredClone([whole, view.buffer], { transfer: [whole, view.buffer] });
  for (const data of [whole, view]) {
    await expect(sender.sendto(data, to)).rejects.toMatchObject({
      name: "TypeError",
      code: expect.stringMatching(/^ERR_/) as string,
    });
  }
});

// semantics: data-copied
contract("the buffer given to sendto and to send is copied at the call", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.connect(receiver.getsockname());
  const reused = Buffer.alloc(4);
  const sends = numbered(20).map((text, index) => {
    reused.fill(" ").write(text);
    return index % 2 === 0 ? sender.sendto(reused, receiver.getsockname()) : sender.send(reused);
  });
  reused.fill("x");
  await Promise.all(sends);
  expect((await texts(receiver, 20)).map((text) => text.trim())).toEqual(numbered(20));
});

for (const [ip, family] of families) {
  const limit = family === AF_INET6 ? 65_527 : 65_507;

  // semantics: data-empty
  contract(`a zero-length datagram is sent and received as such over ${ip}`, async ({ bound }) => {
    const [sender, receiver] = [await bound(family), await bound(family)];
    const to = receiver.getsockname();
    const sent = await Promise.all(["before", "", "after"].map((text) => sender.sendto(text, to)));
    expect(sent).toEqual([6, 0, 5]);
    expect(await texts(receiver, 3)).toEqual(["before", "", "after"]);
  });

  // semantics: data-limit
  contract(
    `${limit} bytes are sent over ${ip}, and one more is EMSGSIZE with the limit`,
    async ({ bound }) => {
      const [sender, receiver] = [await bound(family), await bound(family)];
      const to = receiver.getsockname();
      const most = Buffer.alloc(limit, "0123456789");
      await expect(sender.sendto(most, to)).resolves.toBe(limit);
      expect((await receiver.recvmsg(soon)).data.equals(most)).toBe(true);
      const error = await failure(sender.sendto(Buffer.alloc(limit + 1), to));
      expect(error).toMatchObject({
        code: "EMSGSIZE",
        syscall: "sendto",
        address: to.host,
        port: to.port,
        limit,
      });
      expect(error.message).toContain(`${limit + 1} bytes`);
      await sender.connect(to);
      await expect(failure(sender.send(Buffer.alloc(limit + 1)))).resolves.toMatchObject({
        code: "EMSGSIZE",
        limit,
      });
      await sender.send("next");
      expect(await texts(receiver, 1)).toEqual(["next"]);
    },
  );
}

// semantics: data-limit
contract("the limit of an IPv6 socket for an IPv4 peer is that of IPv4", async ({ bound, socket }) => {
  const [receiver, sender] = [await bound(), socket(AF_INET6)];
  sender.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, false);
  const to = [`::ffff:${receiver.getsockname().host}`, receiver.getsockname().port] as const;
  await expect(sender.sendto(Buffer.alloc(65_507), to)).resolves.toBe(65_507);
  const error = await failure(sender.sendto(Buffer.alloc(65_508), to));
  expect(error).toMatchObject({ code: "EMSGSIZE", limit: 65_507 });
  expect((await receiver.recvmsg(soon)).size).toBe(65_507);
});

// semantics: send-burst
contract("a burst of 512 sends is complete", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const to = receiver.getsockname();
  const sent = await Promise.all(numbered(512).map((text) => sender.sendto(text, to)));
  expect(sent).toEqual(numbered(512).map(({ length }) => length));
  expect(await texts(receiver, 512)).toEqual(numbered(512));
});

// semantics: send-buffer-full
contract("with a small send buffer, sendto waits for room and drops nothing", async ({ bound }) => {
  const sender = await bound(undefined, { sendBuffer: 4096 });
  const receivers = await Promise.all(numbered(4).map(() => bound()));
  const sends = receivers.flatMap((receiver) =>
    numbered(100).map(() => sender.sendto(Buffer.alloc(1400), receiver.getsockname())),
  );
  expect(new Set(await Promise.all(sends))).toEqual(new Set([1400]));
  expect(sender.stats()).toMatchObject({ sent: { datagrams: 400, bytes: 560_000 }, sendErrors: {} });
  for (const receiver of receivers) expect(await texts(receiver, 100)).toHaveLength(100);
});

// semantics: send-queue
contract(
  "memory of datagrams that wait in the process is limited: ENOBUFS above sendQueue",
  async ({ bound }) => {
    const sender = await bound(undefined, { sendQueue: 1000 });
    const receiver = await bound();
    const to = receiver.getsockname();
    const first = sender.sendto(Buffer.alloc(600), to);
    const error = await failure(sender.sendto(Buffer.alloc(600), to));
    expect(error).toMatchObject({ code: "ENOBUFS", syscall: "sendto", address: to.host, port: to.port });
    await expect(first).resolves.toBe(600);
    await expect(sender.sendto(Buffer.alloc(600), to)).resolves.toBe(600);
  },
);

// semantics: send-queue
contract("a failed datagram frees its room in sendQueue", async ({ bound, broadcast }) => {
  const [sender, receiver] = [await bound(undefined, { sendQueue: 1000 }), await bound()];
  for (const address of [
    ["nosuch-queue.invalid", 9],
    [broadcast, 9],
  ] as const) {
    for (let count = 0; count < 3; count++) {
      const { code } = await failure(sender.sendto(Buffer.alloc(600), address));
      expect(["ENOTFOUND", "EAI_AGAIN", "EACCES"]).toContain(code);
    }
  }
  // Each datagram counts 64 bytes more than its payload.
  await expect(sender.sendto(Buffer.alloc(936), receiver.getsockname())).resolves.toBe(936);
  await expect(sender.sendto(Buffer.alloc(937), receiver.getsockname())).rejects.toMatchObject({
    code: "ENOBUFS",
  });
});

// semantics: send-queue-empty
contract("empty datagrams count towards sendQueue too", async ({ bound }) => {
  const [sender, receiver] = [await bound(undefined, { sendQueue: 640 }), await bound()];
  const sends = Array.from({ length: 11 }, () => sender.sendto("", receiver.getsockname()));
  const ends = await Promise.allSettled(sends);
  expect(ends.map(({ status }) => status)).toEqual([...Array<string>(10).fill("fulfilled"), "rejected"]);
});

// semantics: broadcast-refused
contract(
  "broadcast without SO_BROADCAST is EACCES, and the error names the option",
  async ({ bound, broadcast }) => {
    const sender = await bound();
    const error = await failure(sender.sendto("hello", [broadcast, 9000]));
    expect(error).toMatchObject({ code: "EACCES", syscall: "sendto", address: broadcast, port: 9000 });
    expect(error.message).toContain("SO_BROADCAST");
  },
);

// semantics: broadcast-refused
contract(
  "connect to a broadcast address without SO_BROADCAST is EACCES, and the error names the option",
  async (world) => {
    const error = await failure(world.socket().connect([world.broadcast, 9000]));
    expect(error).toMatchObject({ code: "EACCES", syscall: "connect", address: world.broadcast, port: 9000 });
    expect(error.message).toContain("SO_BROADCAST");
  },
);

// semantics: broadcast-refused
contract("broadcast with SO_BROADCAST arrives", async ({ broadcast, socket }) => {
  const [sender, receiver] = [socket(), socket()];
  await receiver.bind(["", 0]);
  sender.setsockopt(SOL_SOCKET, SO_BROADCAST, true);
  await sender.sendto("hello", [broadcast, receiver.getsockname().port]);
  expect(await texts(receiver, 1)).toEqual(["hello"]);
});

// semantics: broadcast-host
contract("<broadcast> is 255.255.255.255", async ({ socket }) => {
  const error = await failure(socket().sendto("hello", ["<broadcast>", 9000]));
  expect(error.address).toBe("255.255.255.255");
  expect(["EACCES", "ENETUNREACH"]).toContain(error.code);
});

// semantics: unreachable-others-sent
contract(
  "on an unconnected socket, a peer that does not listen fails no other send and no receive call",
  async (world) => {
    const [s, receiver, gone] = [await world.bound(), await world.bound(), await world.nobody()];
    for (let count = 0; count < 5; count++) {
      await expect(s.sendto("lost", gone)).resolves.toBe(4);
      await turn(s);
    }
    await expect(s.sendto("ping", receiver.getsockname())).resolves.toBe(4);
    const request = await receiver.recvmsg(soon);
    await request.reply("pong");
    expect(await texts(s, 1)).toEqual(["pong"]);
  },
);

// semantics: data-false-length
contract("a view with a false length sends its own bytes and no other memory", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendto("a secret that went before", receiver.getsockname());
  await texts(receiver, 1);
  const liar = Object.defineProperty(Buffer.from("abc"), "length", { value: 20 });
  await sender.sendto(liar, receiver.getsockname()).catch(() => 0);
  await sender.sendto("abc", receiver.getsockname());
  expect(await texts(receiver, 1)).toEqual(["abc"]);
});
