import {
  AF_INET,
  AF_INET6,
  type Family,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_LOOP,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_TOS,
  IP_TTL,
  SOCK_DGRAM,
  SOL_SOCKET,
  SO_BROADCAST,
  SO_DOMAIN,
  SO_ERROR,
  SO_PRIORITY,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_TYPE,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { contract, failure, numbered, soon, texts } from "./world.js";

/** Options that every driver can set, with a value that is not the default. */
const settable: readonly (readonly [
  name: string,
  family: Family,
  level: number,
  option: number,
  value: number,
])[] = [
  ["SO_BROADCAST", AF_INET, SOL_SOCKET, SO_BROADCAST, 1],
  ["SO_REUSEADDR", AF_INET, SOL_SOCKET, SO_REUSEADDR, 1],
  ["IP_TTL", AF_INET, IPPROTO_IP, IP_TTL, 3],
  ["IP_MULTICAST_TTL", AF_INET, IPPROTO_IP, IP_MULTICAST_TTL, 5],
  ["IP_MULTICAST_LOOP", AF_INET, IPPROTO_IP, IP_MULTICAST_LOOP, 0],
  ["IPV6_UNICAST_HOPS", AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 3],
  ["IPV6_MULTICAST_HOPS", AF_INET6, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 5],
  ["IPV6_MULTICAST_LOOP", AF_INET6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0],
  ["IPV6_V6ONLY", AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, 1],
];

/** Options that only some drivers can set. */
const rare: typeof settable = [
  ["IP_TOS", AF_INET, IPPROTO_IP, IP_TOS, 0x10],
  ["IPV6_TCLASS", AF_INET6, IPPROTO_IPV6, IPV6_TCLASS, 0x10],
  ["SO_PRIORITY", AF_INET, SOL_SOCKET, SO_PRIORITY, 3],
];

for (const [name, family, level, option, value] of settable) {
  // semantics: option
  contract(`${name} is read back as it was set, before bind and after`, async ({ localhost, socket }) => {
    const s = socket(family);
    s.setsockopt(level, option, value);
    expect(s.getsockopt(level, option)).toBe(value);
    await s.bind([localhost(family), 0]);
    expect(s.getsockopt(level, option)).toBe(value);
    await s.sendto("hello", s.getsockname());
    expect(await texts(s, 1)).toEqual(["hello"]);
  });
}

for (const [name, family, level, option, value] of settable.filter(([each]) => !/REUSE|V6ONLY/.test(each))) {
  // semantics: option
  contract(`${name} can be set after bind`, async ({ bound }) => {
    const s = await bound(family);
    s.setsockopt(level, option, value);
    expect(s.getsockopt(level, option)).toBe(value);
    s.setsockopt(level, option, 1);
    expect(s.getsockopt(level, option)).toBe(1);
  });
}

for (const [name, family, level, option, value] of rare) {
  // semantics: option-native
  contract(
    `${name} is read back as it was set`,
    async ({ bound }) => {
      const s = await bound(family);
      s.setsockopt(level, option, value);
      expect(s.getsockopt(level, option)).toBe(value);
    },
    "allOptions",
  );

  // semantics: option-native
  contract(
    `${name} is ENOTSUP, and the error names the option and a driver that has it`,
    async ({ bound }) => {
      const s = await bound(family);
      const error = { name: "OSError", code: "ENOTSUP", syscall: "setsockopt" };
      expect(() => s.setsockopt(level, option, value)).toThrow(expect.objectContaining(error));
      expect(() => s.setsockopt(level, option, value)).toThrow(new RegExp(`${name}.*native`));
    },
    "no allOptions",
  );
}

// semantics: option
contract("flags accept booleans, 0 and 1, and read as 0 and 1", ({ socket }) => {
  const s = socket();
  for (const [given, read] of [
    [true, 1],
    [false, 0],
    [1, 1],
    [0, 0],
  ] as const) {
    s.setsockopt(SOL_SOCKET, SO_BROADCAST, given);
    expect(s.getsockopt(SOL_SOCKET, SO_BROADCAST)).toBe(read);
  }
  const wrong = { name: "RangeError", code: "ERR_OUT_OF_RANGE" };
  expect(() => s.setsockopt(SOL_SOCKET, SO_BROADCAST, 2)).toThrow(expect.objectContaining(wrong));
});

// semantics: option
contract("SO_TYPE and similar options can be read, and not set", ({ socket }) => {
  for (const family of [AF_INET, AF_INET6] as const) {
    const s = socket(family);
    const read = [SO_TYPE, SO_PROTOCOL, SO_DOMAIN, SO_ERROR].map((option) =>
      s.getsockopt(SOL_SOCKET, option),
    );
    expect(read).toEqual([SOCK_DGRAM, IPPROTO_UDP, family, 0]);
    const readOnly = expect.objectContaining({ name: "OSError", code: "ENOPROTOOPT" }) as Error;
    expect(() => s.setsockopt(SOL_SOCKET, SO_TYPE, 1)).toThrow(readOnly);
  }
});

for (const [name, option] of [
  ["SO_RCVBUF", SO_RCVBUF],
  ["SO_SNDBUF", SO_SNDBUF],
] as const) {
  // semantics: option
  contract(
    `${name} reads the size that the kernel gave, for the size at creation and for a later one`,
    async (world) => {
      const sizes = { receiveBuffer: 65_536, sendBuffer: 65_536 };
      const s = await world.bound(AF_INET, sizes);
      const small = s.getsockopt(SOL_SOCKET, option);
      expect(small).toBeGreaterThanOrEqual(65_536);
      s.setsockopt(SOL_SOCKET, option, 131_072);
      const large = s.getsockopt(SOL_SOCKET, option);
      expect(large / small).toBe(2);
      // No kernel allows this much for every process: the value that is read is the actual size, not the requested one.
      s.setsockopt(SOL_SOCKET, option, 0x3fff_ffff);
      expect(s.getsockopt(SOL_SOCKET, option)).not.toBe(0x3fff_ffff);
    },
  );
}

// semantics: option-unknown
contract("an IPv6 option on an IPv4 socket is ENOPROTOOPT, and so are numbers of no option", ({ socket }) => {
  const v4 = socket(AF_INET);
  const set = { name: "OSError", code: "ENOPROTOOPT", syscall: "setsockopt" };
  const get = { ...set, syscall: "getsockopt" };
  expect(() => v4.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)).toThrow(expect.objectContaining(set));
  expect(() => v4.getsockopt(IPPROTO_IPV6, IPV6_V6ONLY)).toThrow(expect.objectContaining(get));
  expect(() => v4.getsockopt(IPPROTO_IPV6, IPV6_V6ONLY)).toThrow(/IPV6_V6ONLY.*AF_INET6/);
  expect(() => v4.setsockopt(SOL_SOCKET, -1, 1)).toThrow(expect.objectContaining(set));
  expect(() => v4.getsockopt(-1, SO_TYPE)).toThrow(expect.objectContaining(get));
});

// semantics: option-bad-value
contract("values that an option cannot hold are refused before any system call", ({ socket }) => {
  const s = socket();
  const range = expect.objectContaining({ name: "RangeError", code: "ERR_OUT_OF_RANGE" }) as Error;
  const type = expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" }) as Error;
  for (const ttl of [0, 256, -1, 1.5, NaN])
    expect(() => s.setsockopt(IPPROTO_IP, IP_TTL, ttl)).toThrow(range);
  for (const ttl of ["1", true, null, undefined, {}]) {
    expect(() => s.setsockopt(IPPROTO_IP, IP_TTL, ttl as never)).toThrow(type);
  }
  for (const flag of ["1", null, undefined, {}]) {
    expect(() => s.setsockopt(SOL_SOCKET, SO_BROADCAST, flag as never)).toThrow(type);
  }
  expect(() => s.setsockopt("1" as never, SO_BROADCAST, 1)).toThrow(type);
  expect(() => s.getsockopt(SOL_SOCKET, null as never)).toThrow(type);
});

// semantics: option-reuse
contract(
  "SO_REUSEADDR on both: two sockets bind one address; on one: EADDRINUSE",
  async ({ bound, localhost, socket }) => {
    const [one, other] = [socket(), socket()];
    for (const s of [one, other]) s.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
    await one.bind([localhost(), 0]);
    await other.bind(one.getsockname());
    expect(other.getsockname().equals(one.getsockname())).toBe(true);
    const [plain, late] = [await bound(), socket()];
    late.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
    await expect(failure(late.bind(plain.getsockname()))).resolves.toMatchObject({ code: "EADDRINUSE" });
  },
);

// semantics: option-reuse
contract(
  "SO_REUSEPORT: sockets share a port, and each datagram reaches one of them",
  async ({ bound, localhost, socket }) => {
    const [one, other] = [socket(), socket()];
    for (const s of [one, other]) s.setsockopt(SOL_SOCKET, SO_REUSEPORT, true);
    await one.bind([localhost(), 0]);
    await other.bind(one.getsockname());
    const found: string[] = [];
    const reading = [one, other].map(async (s) => {
      for await (const { data } of s)
        if (found.push(data.toString()) === 20) await Promise.all([one.close(), other.close()]);
    });
    const to = one.getsockname();
    for (const text of numbered(20)) await (await bound()).sendto(text, to);
    await Promise.all(reading);
    expect(new Set(found)).toEqual(new Set(numbered(20)));
  },
  "reusePort",
);

// semantics: option-reuse
contract(
  "without the feature, setting SO_REUSEPORT is ENOTSUP",
  ({ socket }) => {
    const s = socket();
    const error = { name: "OSError", code: "ENOTSUP", syscall: "setsockopt" };
    expect(() => s.setsockopt(SOL_SOCKET, SO_REUSEPORT, true)).toThrow(expect.objectContaining(error));
  },
  "no reusePort",
);

// semantics: dual-stack-listen
contract(
  "an IPv6 socket on every interface receives IPv4 too, as ::ffff:, and answers it",
  async ({ bound, localhost, socket }) => {
    const [dual, v4, v6] = [socket(AF_INET6), await bound(AF_INET), await bound(AF_INET6)];
    dual.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, false);
    await dual.bind(["", 0]);
    const { port } = dual.getsockname();
    await v4.sendto("from v4", [localhost(AF_INET), port]);
    const first = await dual.recvmsg(soon);
    expect(`${first.source}`).toBe(`[::ffff:${localhost(AF_INET)}]:${v4.getsockname().port}`);
    await first.reply("to v4");
    expect(await texts(v4, 1)).toEqual(["to v4"]);
    await v6.sendto("from v6", [localhost(AF_INET6), port]);
    expect((await dual.recvmsg(soon)).source.equals(v6.getsockname())).toBe(true);
  },
);

// semantics: dual-stack-listen
contract("IPV6_V6ONLY leaves the same port to an IPv4 socket", async ({ bound, localhost, socket }) => {
  const [v4, sender] = [socket(AF_INET), await bound(AF_INET)];
  const free = async (tries: number): Promise<Socket> => {
    const v6 = socket(AF_INET6);
    v6.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, true);
    await v6.bind(["", 0]);
    try {
      await v4.bind(["", v6.getsockname().port]);
      return v6;
    } catch (error) {
      // An IPv4 socket of another program may use the port.
      if (tries === 0) throw error;
      return free(tries - 1);
    }
  };
  const v6 = await free(10);
  const { port } = v6.getsockname();
  await sender.sendto("hello", [localhost(AF_INET), port]);
  expect(await texts(v4, 1)).toEqual(["hello"]);
  await expect(failure(v6.recv(64, { timeoutMs: 0 }))).resolves.toMatchObject({ code: "EAGAIN" });
});

// semantics: dual-stack-listen
contract("IPV6_V6ONLY cannot change once the socket is bound", async ({ bound }) => {
  const s = await bound(AF_INET6);
  const refused = await failure(Promise.resolve().then(() => s.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, true)));
  expect(["EINVAL", "ENOTSUP"]).toContain(refused.code);
});

// semantics: option
contract("a request for the smallest buffer gets the kernel's minimum", async ({ bound }) => {
  const s = await bound();
  s.setsockopt(SOL_SOCKET, SO_RCVBUF, 10_000);
  s.setsockopt(SOL_SOCKET, SO_RCVBUF, 0);
  expect(s.getsockopt(SOL_SOCKET, SO_RCVBUF)).toBeLessThan(20_000);
});
