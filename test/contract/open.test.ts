import {
  AF_INET,
  AF_INET6,
  type Family,
  OSError,
  SOCK_DGRAM,
  SOCK_STREAM,
  type Socket,
  socket,
} from "datagram";
import { expect } from "vitest";

import { contract, families, soon, texts } from "./world.js";

for (const [ip, family] of families) {
  // semantics: boundaries
  contract(`a datagram arrives over ${ip} as it was sent, with its sender's address`, async ({ bound }) => {
    const [sender, receiver] = [await bound(family), await bound(family)];
    await expect(sender.sendto("hello", receiver.getsockname())).resolves.toBe(5);
    const [data, source] = await receiver.recvfrom(64, soon);
    expect(data.toString()).toBe("hello");
    expect(`${source}`).toBe(`${sender.getsockname()}`);
  });
}

// semantics: default-socket
contract("socket() alone is a datagram socket over IPv4, open and unbound", async () => {
  const plain = socket();
  expect([plain.family, plain.type, plain.closed]).toEqual([AF_INET, SOCK_DGRAM, false]);
  expect(plain.getsockname().port).toBe(0);
  await plain.close();
});

// semantics: stream-socket
contract("SOCK_STREAM is refused with EPROTONOSUPPORT, and the message names node:net", () => {
  expect(() => socket(AF_INET, SOCK_STREAM as never)).toThrow(
    expect.objectContaining({
      name: "OSError",
      code: "EPROTONOSUPPORT",
      syscall: "socket",
      message: expect.stringContaining("node:net") as string,
    }),
  );
});

// semantics: bad-socket-arguments
contract("another type is refused with EPROTONOSUPPORT, another family with EAFNOSUPPORT", () => {
  expect(() => socket(AF_INET, 3 as never)).toThrow(expect.objectContaining({ code: "EPROTONOSUPPORT" }));
  for (const family of [0, 1, 17, -1, NaN]) {
    expect(() => socket(family as Family)).toThrow(expect.objectContaining({ code: "EAFNOSUPPORT" }));
  }
  expect(() => socket(17 as Family)).toThrow(OSError);
});

// semantics: bad-socket-arguments
contract("socket() refuses arguments of a wrong type with ERR_INVALID_ARG_TYPE", () => {
  const wrong = { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" };
  expect(() => socket("udp4" as never)).toThrow(expect.objectContaining(wrong));
  expect(() => socket("udp4" as never)).toThrow('family must be AF_INET or AF_INET6, not "udp4"');
  expect(() => socket(AF_INET, "dgram" as never)).toThrow(expect.objectContaining(wrong));
  expect(() => socket(AF_INET, SOCK_DGRAM, null as never)).toThrow(expect.objectContaining(wrong));
  for (const option of ["receiveBuffer", "sendBuffer", "sendQueue"]) {
    const options = { [option]: "1024" } as never;
    expect(() => socket(AF_INET, SOCK_DGRAM, options)).toThrow(expect.objectContaining(wrong));
  }
  for (const option of ["strict", "dontFragment", "metadata"]) {
    for (const value of [1, "yes", null, {}]) {
      const options = { [option]: value } as never;
      expect(() => socket(AF_INET, SOCK_DGRAM, options), option).toThrow(expect.objectContaining(wrong));
    }
  }
});

// semantics: bad-socket-arguments
contract("socket() refuses sizes out of range with ERR_OUT_OF_RANGE", () => {
  const wrong = { name: "RangeError", code: "ERR_OUT_OF_RANGE" };
  expect(() => socket(AF_INET, SOCK_DGRAM, { busyPoll: 1001 })).toThrow(expect.objectContaining(wrong));
  for (const option of ["receiveBuffer", "sendBuffer", "sendQueue"]) {
    for (const size of [-1, 1.5, NaN, Infinity]) {
      const options = { [option]: size };
      expect(() => socket(AF_INET, SOCK_DGRAM, options)).toThrow(expect.objectContaining(wrong));
    }
  }
});

// semantics: capabilities
contract("every capability is available, or has a reason", ({ socket }) => {
  const capabilities = Object.entries(socket().capabilities);
  expect(capabilities.map(([feature]) => feature)).toEqual(
    expect.arrayContaining(["batching", "kernelQueue", "sendtoWhileConnected", "reusePort", "allOptions"]),
  );
  for (const [feature, capability] of capabilities) {
    const reason = capability.available ? feature : capability.reason;
    expect(reason, feature).toMatch(/\w/);
  }
});

// semantics: process-lifetime
contract("ref() and unref() return the socket, and do not change what it receives", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  expect(receiver.unref()).toBe(receiver);
  const waiting = texts(receiver, 1);
  expect(receiver.ref()).toBe(receiver);
  receiver.unref().ref();
  await sender.sendto("hello", receiver.getsockname());
  await expect(waiting).resolves.toEqual(["hello"]);
});

// semantics: close-using
contract(
  "await using closes the socket at the end of its block, also if the block throws",
  async ({ bound }) => {
    const opened: Socket[] = [];
    const block = async (): Promise<void> => {
      await using inner = await bound();
      opened.push(inner);
      throw new Error("the block fails");
    };
    await expect(block()).rejects.toThrow("the block fails");
    expect(opened.map(({ closed }) => closed)).toEqual([true]);
  },
);

// semantics: close-using
contract("using closes the socket too", async ({ bound }) => {
  const opened: Socket[] = [];
  for (let count = 0; count < 2; count++) {
    using inner = await bound();
    opened.push(inner);
  }
  expect(opened.map(({ closed }) => closed)).toEqual([true, true]);
});

// semantics: clock-wall
contract("a socket has the clock and the random numbers of its stack", ({ socket }) => {
  const { clock } = socket();
  const [before, after] = [clock.now(), clock.now()];
  expect(after).toBeGreaterThanOrEqual(before);
  expect(clock.wall()).toBeTypeOf("bigint");
  const drawn = Array.from({ length: 64 }, () => socket(AF_INET6).random());
  expect(drawn.every((each) => Number.isInteger(each) && each >= 0 && each < 2 ** 32)).toBe(true);
  expect(new Set(drawn).size).toBeGreaterThan(32);
});
