import * as datagram from "datagram";
import {
  AF_INET,
  AF_INET6,
  type Family,
  IPPROTO_IP,
  IPPROTO_IPV6,
  OSError,
  SOL_SOCKET,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { contract, families, numbered, soon, texts } from "./world.js";

type Name = keyof typeof datagram & `${"SO" | "IP" | "IPV6"}_${string}`;

/** Options of real kernels, with values other than the default, and the privilege that some of them need. */
const kernelOnly: readonly (readonly [
  name: Name,
  family: Family,
  level: number,
  values: readonly number[],
  privilege?: RegExp,
])[] = [
  ["SO_NO_CHECK", AF_INET, SOL_SOCKET, [1, 0]],
  ["SO_BUSY_POLL", AF_INET, SOL_SOCKET, [50], /SO_BUSY_POLL.*CAP_NET_ADMIN/],
  ["SO_MAX_PACING_RATE", AF_INET, SOL_SOCKET, [1, 125_000, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, Infinity]],
  ["SO_INCOMING_CPU", AF_INET, SOL_SOCKET, [0, 3]],
  ["IP_TRANSPARENT", AF_INET, IPPROTO_IP, [1], /IP_TRANSPARENT.*CAP_NET_ADMIN/],
  ["IPV6_TRANSPARENT", AF_INET6, IPPROTO_IPV6, [1], /IPV6_TRANSPARENT.*CAP_NET_ADMIN/],
];

/** Whether an option was set. If this process may not set it, the error must say which privilege is missing. */
function isSet(
  s: Socket,
  level: number,
  option: number,
  value: number,
  privilege: RegExp | undefined,
): boolean {
  try {
    s.setsockopt(level, option, value);
    return true;
  } catch (error) {
    if (!(error instanceof OSError) || error.code !== "EPERM" || privilege === undefined) throw error;
    expect(error.message).toMatch(privilege);
    return false;
  }
}

for (const [name, family, level, values, privilege] of kernelOnly) {
  const option = datagram[name] as number;
  // semantics: option-kernel
  contract(
    `${name} is read back as it was set, or its EPERM names the privilege`,
    async ({ bound }) => {
      const s = await bound(family);
      for (const value of values) {
        if (isSet(s, level, option, value, privilege)) expect(s.getsockopt(level, option)).toBe(value);
      }
      await s.sendto("hello", s.getsockname());
      expect(await texts(s, 1)).toEqual(["hello"]);
    },
    "kernelOptions",
  );

  // semantics: option-kernel
  contract(
    `${name} is ENOTSUP, and the error names it and a driver that has it`,
    ({ socket }) => {
      const s = socket(family);
      const told = new RegExp(`${name}.*native`);
      const error = { name: "OSError", code: "ENOTSUP" };
      expect(() => s.setsockopt(level, option, values[0] as number)).toThrow(told);
      expect(() => s.setsockopt(level, option, 1)).toThrow(expect.objectContaining(error));
      expect(() => s.getsockopt(level, option)).toThrow(told);
    },
    "no kernelOptions",
  );
}

// semantics: option-kernel
contract(
  "SO_MAX_PACING_RATE is initially unlimited, and as bytes it is the kernel's unsigned long",
  ({ socket }) => {
    const s = socket();
    const { SO_MAX_PACING_RATE } = datagram;
    expect(s.getsockopt(SOL_SOCKET, SO_MAX_PACING_RATE)).toBe(Infinity);
    s.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, Buffer.from(BigUint64Array.of(5n << 32n).buffer));
    expect(s.getsockopt(SOL_SOCKET, SO_MAX_PACING_RATE)).toBe(5 * 2 ** 32);
    const bytes = s.getsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 8);
    expect(bytes).toEqual(Buffer.from(BigUint64Array.of(5n << 32n).buffer));
    const range = expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }) as Error;
    for (const rate of [0, -1, 1.5, 2 ** 53, NaN])
      expect(() => s.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, rate)).toThrow(range);
  },
  "kernelOptions",
);

// semantics: option-kernel
contract(
  "SO_NO_CHECK: runs of datagrams still arrive, one by one",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    sender.setsockopt(SOL_SOCKET, datagram.SO_NO_CHECK, true);
    const sent = numbered(100).map((text) => text.padEnd(8));
    await sender.sendMany(sent, receiver.getsockname());
    expect(await texts(receiver, 100)).toEqual(sent);
  },
  "kernelOptions",
);

for (const [name, forced, plain] of [
  ["SO_RCVBUFFORCE", datagram.SO_RCVBUFFORCE, datagram.SO_RCVBUF],
  ["SO_SNDBUFFORCE", datagram.SO_SNDBUFFORCE, datagram.SO_SNDBUF],
] as const) {
  // semantics: option-buffer-force
  contract(
    `${name} sets the requested size, also above the system's limit, and cannot be read`,
    ({ socket }) => {
      const s = socket();
      const bytes = 96 << 20;
      if (isSet(s, SOL_SOCKET, forced, bytes, new RegExp(`${name}.*CAP_NET_ADMIN`))) {
        expect(s.getsockopt(SOL_SOCKET, plain)).toBe(2 * bytes);
        if (plain === datagram.SO_RCVBUF)
          expect(s.stats().receiveBuffer).toEqual({ askedBytes: bytes, givenBytes: bytes });
      }
      const told = { code: "ENOPROTOOPT", message: expect.stringMatching(/can only be set: SO_/) as string };
      expect(() => s.getsockopt(SOL_SOCKET, forced)).toThrow(expect.objectContaining(told));
    },
    "allOptions",
  );
}

for (const [name, family] of families) {
  const [level, freebind] =
    family === AF_INET ? [IPPROTO_IP, datagram.IP_FREEBIND] : [IPPROTO_IPV6, datagram.IPV6_FREEBIND];

  // semantics: option-freebind
  contract(
    `FREEBIND over ${name} binds to an address that this host does not have`,
    async ({ elsewhere, socket }) => {
      const s = socket(family);
      await expect(s.bind([elsewhere(family), 0])).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
      s.setsockopt(level, freebind, true);
      expect(s.getsockopt(level, freebind)).toBe(1);
      await s.bind([elsewhere(family), 0]);
      expect(s.getsockname().host).toBe(elsewhere(family));
    },
    "allOptions",
  );
}

// semantics: option-no-port
contract(
  "IP_BIND_ADDRESS_NO_PORT: bind sets the address, and the first send chooses the port",
  async ({ bound, localhost, moreHosts: [host], socket }) => {
    const [s, receiver] = [socket(), await bound()];
    s.setsockopt(IPPROTO_IP, datagram.IP_BIND_ADDRESS_NO_PORT, true);
    expect(s.getsockopt(IPPROTO_IP, datagram.IP_BIND_ADDRESS_NO_PORT)).toBe(1);
    await s.bind([host, 0]);
    expect(`${s.getsockname()}`).toBe(`${host}:0`);
    await s.sendto("hello", [localhost(), receiver.getsockname().port]);
    const { port } = s.getsockname();
    expect(port).toBeGreaterThan(0);
    const { source } = await receiver.recvmsg(soon);
    expect(`${source}`).toBe(`${host}:${port}`);
    await receiver.sendto("back", source);
    expect(await texts(s, 1)).toEqual(["back"]);
  },
  "allOptions",
);

for (const [name, family] of families) {
  const [level, option] =
    family === AF_INET ? [IPPROTO_IP, datagram.IP_UNICAST_IF] : [IPPROTO_IPV6, datagram.IPV6_UNICAST_IF];

  // semantics: option-unicast-interface
  contract(
    `UNICAST_IF over ${name} accepts an interface by name or number, reads as its name, and "" resets it`,
    ({ loopback, socket }) => {
      const s = socket(family);
      const read = (): unknown =>
        s.getsockopt(level as typeof IPPROTO_IP, option as typeof datagram.IP_UNICAST_IF);
      expect(read()).toBe("");
      s.setsockopt(level, option, loopback);
      expect(read()).toBe(loopback);
      s.setsockopt(level, option, "");
      expect(read()).toBe("");
      s.setsockopt(level, option, 1);
      expect(read()).toBe(loopback);
      s.setsockopt(level, option, 0);
      expect(read()).toBe("");
      // Over IPv6 an address does not name an interface.
      const ofAddress = family === AF_INET ? "ENODEV" : "EINVAL";
      for (const [wrong, code] of [
        ["nosuch0", "ENODEV"],
        ["127.0.0.1", ofAddress],
        [999_999, "ENODEV"],
      ] as const) {
        const told = { code, syscall: "setsockopt" };
        expect(() => s.setsockopt(level, option, wrong)).toThrow(expect.objectContaining(told));
      }
    },
    "allOptions",
  );
}
