import { expect } from "vitest";

import { closed, event, row, sent, thrown, type World } from "./worlds.js";

type AnySocket = Awaited<ReturnType<World["bound"]>>;

const setters: [string, (s: AnySocket) => unknown][] = [
  ["setBroadcast", (s) => s.setBroadcast(true)],
  ["setTTL", (s) => s.setTTL(4)],
  ["setMulticastTTL", (s) => s.setMulticastTTL(4)],
  ["setMulticastLoopback", (s) => s.setMulticastLoopback(true)],
  ["setMulticastInterface", (s) => s.setMulticastInterface("127.0.0.1")],
];
for (const [name, set] of setters) {
  row(`${name} before bind is EBADF`, ({ socket }) => {
    expect(thrown(() => set(socket()))).toMatchObject({
      message: `${name} EBADF`,
      code: "EBADF",
      errno: -9,
      syscall: name,
    });
  });

  row(`${name} works on a bound socket`, async ({ bound }) => {
    const s = await bound();
    expect(() => set(s)).not.toThrow();
  });
}

for (const name of ["setTTL", "setMulticastTTL"] as const) {
  row(`${name} returns its argument, refuses other types, and is EINVAL out of range`, async ({ bound }) => {
    const s = await bound();
    for (const ttl of [1, 128, 255]) expect(s[name](ttl)).toBe(ttl);
    for (const ttl of [256, 1000, -1])
      expect(thrown(() => s[name](ttl))).toMatchObject({ message: `${name} EINVAL`, errno: -22 });
    for (const ttl of ["1", undefined, null])
      expect(thrown(() => s[name](ttl as unknown as number))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
  });
}

row("setTTL(0) is EINVAL, and setMulticastTTL(0) is not", async ({ bound }) => {
  const s = await bound();
  expect(thrown(() => s.setTTL(0))).toMatchObject({ code: "EINVAL" });
  expect(s.setMulticastTTL(0)).toBe(0);
});

row("the setters work over udp6", async ({ bound }) => {
  const s = await bound("udp6");
  expect([s.setTTL(9), s.setMulticastTTL(9)]).toEqual([9, 9]);
  expect(s.setMulticastLoopback(false)).toBe(false);
});

row("setMulticastLoopback returns its argument, of any type", async ({ bound }) => {
  const s = await bound();
  const set = s.setMulticastLoopback.bind(s) as (on: unknown) => unknown;
  for (const on of [0, 16, true, "x"]) expect(set(on)).toBe(on);
});

row(
  "setMulticastInterface: EINVAL for no address, EADDRNOTAVAIL for another host's, types are checked",
  async ({ bound }) => {
    const s = await bound();
    expect(thrown(() => s.setMulticastInterface("x"))).toMatchObject({ code: "EINVAL" });
    expect(thrown(() => s.setMulticastInterface("198.51.100.1"))).toMatchObject({
      code: "EADDRNOTAVAIL",
      errno: -99,
    });
    expect(thrown(() => s.setMulticastInterface(undefined as never))).toMatchObject({
      code: "ERR_INVALID_ARG_TYPE",
    });
    expect(() => s.setMulticastInterface("0.0.0.0")).not.toThrow();
  },
);

for (const which of ["Recv", "Send"] as const) {
  const [set, get] = [`set${which}BufferSize`, `get${which}BufferSize`] as const;
  row(`${set} sets a size, and ${get} returns the double that Linux reserves`, async ({ bound }) => {
    const s = await bound();
    s[set](10_000);
    expect(s[get]()).toBe(20_000);
  });

  row(`${get} and ${set} before bind are ERR_SOCKET_BUFFER_SIZE with EBADF`, ({ socket }) => {
    const error = {
      code: "ERR_SOCKET_BUFFER_SIZE",
      errno: -9,
      syscall: `uv_${which.toLowerCase()}_buffer_size`,
    };
    expect(thrown(() => socket()[get]())).toMatchObject(error);
    expect(thrown(() => socket()[set](8192))).toMatchObject({
      ...error,
      message: `Could not get or set buffer size: ${error.syscall} returned EBADF (bad file descriptor)`,
    });
  });

  row(`${set} refuses sizes that are no positive integer`, async ({ bound }) => {
    const s = await bound();
    for (const size of [-1, Infinity, NaN, 1.5, "x"])
      expect(thrown(() => s[set](size as number))).toMatchObject({
        code: "ERR_SOCKET_BAD_BUFFER_SIZE",
        message: "Buffer size must be a positive integer",
      });
  });
}

row(
  "the options recvBufferSize and sendBufferSize set the buffers, and other types are refused",
  async ({ bound, dgram }) => {
    const s = await bound({ type: "udp4", recvBufferSize: 10_000, sendBufferSize: 15_000 });
    expect([s.getRecvBufferSize(), s.getSendBufferSize()]).toEqual([20_000, 30_000]);
    const large = await bound({ type: "udp4", recvBufferSize: 0x7fff_ffff, sendBufferSize: 0x7fff_ffff });
    expect(large.getRecvBufferSize()).toBeGreaterThan(0);
    for (const options of [{ recvBufferSize: "x" }, { sendBufferSize: "x" }])
      expect(thrown(() => dgram.createSocket({ type: "udp4", ...(options as object) }))).toMatchObject({
        code: "ERR_INVALID_ARG_TYPE",
      });
    expect(thrown(() => dgram.createSocket({ type: "udp4", recvBufferSize: -1 }))).toMatchObject({
      code: "ERR_OUT_OF_RANGE",
    });
  },
);

row("addMembership and dropMembership need a group", async ({ bound }) => {
  const s = await bound();
  for (const call of ["addMembership", "dropMembership"] as const)
    expect(thrown(() => s[call](undefined as never))).toMatchObject({
      code: "ERR_MISSING_ARGS",
      message: 'The "multicastAddress" argument must be specified',
    });
});

const badGroups: [string, [string, string?], string][] = [
  ["a text", ["x"], "EINVAL"],
  ["a unicast address", ["10.0.0.1"], "EINVAL"],
  ["an interface of another host", ["239.255.1.1", "198.51.100.1"], "ENODEV"],
  ["the name of an interface", ["239.255.1.1", "lo"], "EINVAL"],
];
for (const [name, given, code] of badGroups) {
  row(`addMembership with ${name} is ${code}`, async ({ bound }) => {
    const s = await bound();
    expect(thrown(() => s.addMembership(...given))).toMatchObject({
      message: `addMembership ${code}`,
      code,
      syscall: "addMembership",
    });
  });
}

row("a group is joined once and left once", async ({ socket }) => {
  const s = socket();
  s.bind(0);
  await event(s, "listening");
  s.addMembership("239.255.1.1", "127.0.0.1");
  expect(thrown(() => s.addMembership("239.255.1.1", "127.0.0.1"))).toMatchObject({
    message: "addMembership EADDRINUSE",
    errno: -98,
  });
  s.dropMembership("239.255.1.1", "127.0.0.1");
  expect(thrown(() => s.dropMembership("239.255.1.1", "127.0.0.1"))).toMatchObject({
    message: "dropMembership EADDRNOTAVAIL",
    errno: -99,
  });
});

row("a datagram to a group arrives at each member", async ({ socket }) => {
  const members = [socket({ type: "udp4", reuseAddr: true }), socket({ type: "udp4", reuseAddr: true })];
  let port = 0;
  for (const each of members) {
    each.bind(port, "0.0.0.0");
    await event(each, "listening");
    ({ port } = each.address());
    each.addMembership("239.255.1.1", "127.0.0.1");
  }
  const heard = Promise.all(members.map((each) => event(each, "message")));
  const s = socket();
  s.bind(0, "127.0.0.1");
  await event(s, "listening");
  s.setMulticastInterface("127.0.0.1");
  await sent(s, "x", port, "239.255.1.1");
  expect((await heard).map(([data]) => String(data))).toEqual(["x", "x"]);
});

row("source-specific membership: types, errors, and one source heard", async ({ socket }) => {
  const s = socket();
  s.bind(0);
  await event(s, "listening");
  const add = s.addSourceSpecificMembership.bind(s) as (...given: unknown[]) => void;
  const drop = s.dropSourceSpecificMembership.bind(s) as (...given: unknown[]) => void;
  for (const call of [add, drop]) {
    expect(thrown(() => call(1, "232.1.1.1"))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
    expect(thrown(() => call("127.0.0.1"))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
  }
  expect(thrown(() => add("127.0.0.1", "10.0.0.1", "127.0.0.1"))).toMatchObject({
    message: "addSourceSpecificMembership EINVAL",
  });
  add("127.0.0.1", "232.1.1.1", "127.0.0.1");
  const sender = socket();
  sender.bind(0, "127.0.0.1");
  await event(sender, "listening");
  sender.setMulticastInterface("127.0.0.1");
  const got = event(s, "message");
  await sent(sender, "x", s.address().port, "232.1.1.1");
  expect(String((await got)[0])).toBe("x");
  drop("127.0.0.1", "232.1.1.1", "127.0.0.1");
  expect(thrown(() => drop("127.0.0.1", "232.1.1.1", "127.0.0.1"))).toMatchObject({ code: "EINVAL" });
});

row("memberships of a closed socket are ERR_SOCKET_DGRAM_NOT_RUNNING", async ({ bound }) => {
  const s = await bound();
  await closed(s);
  for (const call of ["addMembership", "dropMembership", "setMulticastInterface"] as const)
    expect(thrown(() => s[call]("239.255.1.1"))).toMatchObject({ code: "ERR_SOCKET_DGRAM_NOT_RUNNING" });
});

row("broadcast without setBroadcast is EACCES", async ({ bound }) => {
  const s = await bound();
  const error = await new Promise((resolve) => s.send("x", 9000, "255.255.255.255", resolve));
  expect((error as { code: string }).code).toMatch(/^(EACCES|ENETUNREACH)$/);
});
