import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IP_MULTICAST_IF,
  IP_TTL,
  SOL_SOCKET,
  SO_BROADCAST,
  SO_TYPE,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { contract, numbered, texts } from "./world.js";

/** Options that have no name in the package (asm-generic/socket.h). */
const [SO_RCVLOWAT, SO_RCVTIMEO, SO_ATTACH_FILTER] = [18, 20, 26];

const osError = (code: string, syscall: string, message: RegExp): Error =>
  expect.objectContaining({
    name: "OSError",
    code,
    syscall,
    message: expect.stringMatching(message) as string,
  }) as Error;

const range = expect.objectContaining({ name: "RangeError", code: "ERR_OUT_OF_RANGE" }) as Error;
const type = expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" }) as Error;

/** `struct timeval` of 64-bit machines. */
function timeval(seconds: bigint): Buffer {
  const little = Buffer.alloc(16);
  new BigInt64Array(little.buffer, little.byteOffset, 1)[0] = seconds;
  return little;
}

// semantics: option-raw
contract(
  "an option without a name is set and read by its numbers, as a number or as bytes",
  async ({ bound }) => {
    const s = await bound();
    s.setsockopt(SOL_SOCKET, SO_RCVLOWAT, 7);
    expect(s.getsockopt(SOL_SOCKET, SO_RCVLOWAT)).toBe(7);
    const bytes = s.getsockopt(SOL_SOCKET, SO_RCVLOWAT, 4);
    expect(Buffer.isBuffer(bytes)).toBe(true);
    expect(new Int32Array(Uint8Array.from(bytes).buffer)[0]).toBe(7);
    expect(s.getsockopt(SOL_SOCKET, SO_RCVLOWAT, 2)).toEqual(bytes.subarray(0, 2));
    s.setsockopt(SOL_SOCKET, SO_RCVLOWAT, true);
    expect(s.getsockopt(SOL_SOCKET, SO_RCVLOWAT)).toBe(1);
    s.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval(3n));
    expect(s.getsockopt(SOL_SOCKET, SO_RCVTIMEO, 4096)).toEqual(timeval(3n));
    await s.sendto("hello", s.getsockname());
    expect(await texts(s, 1)).toEqual(["hello"]);
  },
  "kernelOptions",
);

// semantics: option-raw
contract(
  "an option that the kernel does not know is ENOPROTOOPT, bytes that it refuses are EINVAL, and the error names the option",
  ({ socket }) => {
    const s = socket();
    expect(() => s.setsockopt(SOL_SOCKET, 9999, 1)).toThrow(
      osError("ENOPROTOOPT", "setsockopt", /9999.*level 1/),
    );
    expect(() => s.getsockopt(SOL_SOCKET, 9999)).toThrow(
      osError("ENOPROTOOPT", "getsockopt", /9999.*level 1/),
    );
    expect(() => s.getsockopt(77, 1)).toThrow(/^getsockopt: .*option 1 at level 77/);
    const short = new Uint8Array(3);
    expect(() => s.setsockopt(SOL_SOCKET, SO_RCVTIMEO, short)).toThrow(
      osError("EINVAL", "setsockopt", /3 bytes.*20/),
    );
    // A pointer that points to no memory.
    const filter = Buffer.alloc(16, 0xff);
    expect(() => s.setsockopt(SOL_SOCKET, SO_ATTACH_FILTER, filter)).toThrow(/option 26/);
  },
  "kernelOptions",
);

// semantics: option-reserved
contract(
  "an option that the package needs can be read by its numbers and not set: EPERM says why",
  async ({ bound }) => {
    const receiver = await bound();
    const sender = await bound();
    const v6 = await bound(AF_INET6);
    for (const [s, level, option, name] of [
      [receiver, IPPROTO_UDP, 104, "UDP_GRO"],
      [sender, IPPROTO_UDP, 103, "UDP_SEGMENT"],
      [sender, IPPROTO_UDP, 1, "UDP_CORK"],
      [receiver, SOL_SOCKET, 29, "SO_TIMESTAMP"],
      [receiver, SOL_SOCKET, 35, "SO_TIMESTAMPNS"],
      [receiver, SOL_SOCKET, 37, "SO_TIMESTAMPING"],
      [receiver, SOL_SOCKET, 40, "SO_RXQ_OVFL"],
      [receiver, SOL_SOCKET, 45, "SO_SELECT_ERR_QUEUE"],
      [receiver, IPPROTO_IP, 8, "IP_PKTINFO"],
      [receiver, IPPROTO_IP, 11, "IP_RECVERR"],
      [v6, IPPROTO_IPV6, 1, "IPV6_ADDRFORM"],
      [v6, IPPROTO_IPV6, 25, "IPV6_RECVERR"],
      [v6, IPPROTO_IPV6, 49, "IPV6_RECVPKTINFO"],
    ] as const) {
      for (const value of [0, 1, new Uint8Array(4)]) {
        expect(() => s.setsockopt(level, option, value), name).toThrow(
          osError("EPERM", "setsockopt", new RegExp(`${name} is set by this package itself: .{10}`)),
        );
      }
    }
    expect(receiver.getsockopt(SOL_SOCKET, 45)).toBe(1);
    const sent = numbered(50, "of the same length ".slice(0, 10)).map((each) => each.padEnd(16));
    await sender.sendMany(sent, receiver.getsockname());
    expect(await texts(receiver, 50)).toEqual(sent);
  },
  "kernelOptions",
);

// semantics: option-reserved
contract(
  "options whose bytes hold pointers or other units are refused",
  ({ socket }) => {
    const [v4, v6] = [socket(), socket(AF_INET6)];
    const table = Buffer.alloc(96);
    for (const option of [64, 65, 66, 1152])
      expect(() => v4.setsockopt(IPPROTO_IP, option, table)).toThrow(
        osError("EPERM", "setsockopt", /netfilter/),
      );
    expect(() => v4.getsockopt(IPPROTO_IP, 64, 84)).toThrow(osError("EPERM", "getsockopt", /netfilter/));
    expect(() => v6.setsockopt(IPPROTO_IPV6, 64, table)).toThrow(osError("EPERM", "setsockopt", /netfilter/));
    expect(() => v4.getsockopt(SOL_SOCKET, SO_ATTACH_FILTER, 8)).toThrow(
      osError("EPERM", "getsockopt", /instructions/),
    );
  },
  "kernelOptions",
);

// semantics: option-raw
contract(
  "without the feature, an option without a name is ENOTSUP, and the error names its numbers and a driver that can",
  ({ socket }) => {
    const s = socket();
    const told = /option 18 at level 1.*native/;
    expect(() => s.setsockopt(SOL_SOCKET, SO_RCVLOWAT, 1)).toThrow(osError("ENOTSUP", "setsockopt", told));
    expect(() => s.setsockopt(SOL_SOCKET, SO_RCVLOWAT, new Uint8Array(4))).toThrow(told);
    expect(() => s.getsockopt(SOL_SOCKET, SO_RCVLOWAT)).toThrow(osError("ENOTSUP", "getsockopt", told));
    expect(() => s.getsockopt(SOL_SOCKET, SO_RCVLOWAT, 4)).toThrow(osError("ENOTSUP", "getsockopt", told));
  },
  "no kernelOptions",
);

// semantics: option-raw
contract("values and lengths of no option are refused before any system call", ({ socket }) => {
  const s = socket();
  for (const value of [1.5, NaN, Infinity, 2 ** 32, -(2 ** 31) - 1, new Uint8Array(0), new Uint8Array(4097)])
    expect(() => s.setsockopt(SOL_SOCKET, SO_RCVLOWAT, value)).toThrow(range);
  for (const value of ["1", null, undefined, {}, [1], 1n, new ArrayBuffer(4)])
    expect(() => s.setsockopt(SOL_SOCKET, SO_RCVLOWAT, value as never)).toThrow(type);
  for (const length of [0, -1, 1.5, 4097, NaN]) {
    expect(() => s.getsockopt(SOL_SOCKET, SO_RCVLOWAT, length)).toThrow(range);
    expect(() => s.getsockopt(SOL_SOCKET, SO_BROADCAST, length)).toThrow(range);
  }
  expect(() => s.getsockopt(SOL_SOCKET, SO_RCVLOWAT, "4" as never)).toThrow(type);
  for (const number of [-1, 1.5, NaN, 2 ** 31])
    expect(() => s.setsockopt(number, SO_RCVLOWAT, 1)).toThrow(
      osError("ENOPROTOOPT", "setsockopt", /no option/),
    );
});

// semantics: option-bytes
contract(
  "an option with a name can be set and read as bytes too, with the same meaning",
  async ({ bound }) => {
    const s = await bound();
    const int = (value: number): Buffer => Buffer.from(Int32Array.of(value).buffer);
    s.setsockopt(IPPROTO_IP, IP_TTL, int(9));
    expect(s.getsockopt(IPPROTO_IP, IP_TTL)).toBe(9);
    expect(s.getsockopt(IPPROTO_IP, IP_TTL, 4)).toEqual(int(9));
    expect(s.getsockopt(IPPROTO_IP, IP_TTL, 100)).toEqual(int(9));
    s.setsockopt(SOL_SOCKET, SO_BROADCAST, int(1));
    expect(s.getsockopt(SOL_SOCKET, SO_BROADCAST)).toBe(1);
    expect(() => s.setsockopt(IPPROTO_IP, IP_TTL, int(256))).toThrow(range);
    for (const bytes of [1, 3, 5, 8]) {
      const wrong = (): void => s.setsockopt(IPPROTO_IP, IP_TTL, new Uint8Array(bytes));
      expect(wrong).toThrow(/bytes of IP_TTL must be 4/);
    }
    expect(() => s.setsockopt(SOL_SOCKET, SO_TYPE, int(1))).toThrow(
      osError("ENOPROTOOPT", "setsockopt", /read only/),
    );
    expect(() => s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, int(1))).toThrow(type);
  },
);

// semantics: closed
contract("after close(), options by numbers are EBADF", async ({ socket }) => {
  const s: Socket = socket(AF_INET);
  await s.close();
  expect(() => s.setsockopt(SOL_SOCKET, SO_RCVLOWAT, 1)).toThrow(osError("EBADF", "setsockopt", /closed/));
  expect(() => s.getsockopt(SOL_SOCKET, SO_RCVLOWAT, 4)).toThrow(osError("EBADF", "getsockopt", /closed/));
});
