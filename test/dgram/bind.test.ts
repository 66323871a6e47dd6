import { expect } from "vitest";

import { closed, event, rejected, row, sent, soon, thrown } from "./worlds.js";

row("bind() without arguments chooses a port on every interface", async ({ socket }) => {
  const s = socket();
  s.bind();
  await event(s, "listening");
  expect(s.address()).toMatchObject({ address: "0.0.0.0", family: "IPv4" });
  expect(s.address().port).toBeGreaterThan(0);
});

row("bind(callback) calls back once it listens, with the socket as this", async ({ socket }) => {
  const s = socket();
  const self = await new Promise((resolve) =>
    s.bind(function (this: unknown) {
      resolve(this);
    }),
  );
  expect(self).toBe(s);
});

row("bind(port, callback) and bind(port, address, callback) call back", async ({ socket }) => {
  const [a, b] = [socket(), socket()];
  await new Promise<void>((resolve) => a.bind(0, resolve));
  await new Promise<void>((resolve) => b.bind(0, "127.0.0.1", resolve));
  expect(a.address().address).toBe("0.0.0.0");
  expect(b.address().address).toBe("127.0.0.1");
});

row("bind({ port, address }) binds there and returns the socket", async ({ socket }) => {
  const s = socket();
  expect(s.bind({ port: 0, address: "127.0.0.1" })).toBe(s);
  await event(s, "listening");
  expect(s.address().address).toBe("127.0.0.1");
});

row("bind with a port of digits binds to it", async ({ bound, socket }) => {
  const first = await bound();
  const { port } = first.address();
  await closed(first);
  const s = socket();
  s.bind(String(port) as unknown as number, "127.0.0.1");
  await event(s, "listening");
  expect(s.address().port).toBe(port);
});

row("address() before bind is EBADF, and right after bind() too", ({ socket }) => {
  const s = socket();
  const error = { code: "EBADF", errno: -9, syscall: "getsockname", message: "getsockname EBADF" };
  expect(thrown(() => s.address())).toMatchObject(error);
  s.bind(0, "127.0.0.1");
  expect(thrown(() => s.address())).toMatchObject(error);
});

row("bind twice throws ERR_SOCKET_ALREADY_BOUND, while binding and when bound", async ({ socket }) => {
  const s = socket();
  s.bind(0, "127.0.0.1");
  expect(thrown(() => s.bind())).toMatchObject({ code: "ERR_SOCKET_ALREADY_BOUND" });
  await event(s, "listening");
  expect(thrown(() => s.bind())).toMatchObject({
    code: "ERR_SOCKET_ALREADY_BOUND",
    message: "Socket is already bound",
  });
});

row("bind to a taken port emits EADDRINUSE with address and port", async ({ bound, socket }) => {
  const first = await bound();
  const s = socket();
  const { port } = first.address();
  s.bind(port, "127.0.0.1", () => expect.unreachable("the callback of a failed bind"));
  const [error] = await event(s, "error");
  expect(error).toMatchObject({
    message: `bind EADDRINUSE 127.0.0.1:${port}`,
    code: "EADDRINUSE",
    errno: -98,
    syscall: "bind",
    address: "127.0.0.1",
    port,
  });
});

row("a socket whose bind failed can be bound again", async ({ bound, socket }) => {
  const first = await bound();
  const s = socket();
  s.bind(first.address().port, "127.0.0.1");
  await event(s, "error");
  s.bind(0, "127.0.0.1");
  await event(s, "listening");
  expect(s.address().address).toBe("127.0.0.1");
});

row("bind to an address of another host emits EADDRNOTAVAIL", async ({ socket }) => {
  const s = socket();
  s.bind(0, "198.51.100.1");
  const [error] = await event(s, "error");
  expect(error).toMatchObject({
    message: "bind EADDRNOTAVAIL 198.51.100.1",
    code: "EADDRNOTAVAIL",
    errno: -99,
  });
});

row("bind to an address of the other family emits EINVAL", async ({ socket }) => {
  const s = socket("udp6");
  s.bind(0, "127.0.0.1");
  const [error] = await event(s, "error");
  expect(error).toMatchObject({ message: "bind EINVAL 127.0.0.1", code: "EINVAL", errno: -22 });
});

row("bind to localhost looks the name up", async ({ socket }) => {
  const s = socket();
  s.bind(0, "localhost");
  await event(s, "listening");
  expect(s.address().address).toBe("127.0.0.1");
});

row("bind to an unknown name emits the error of getaddrinfo", async ({ socket }) => {
  const s = socket();
  s.bind(0, "no-such-host.invalid");
  const [error] = (await event(s, "error")) as [Error & { hostname: string; syscall: string; code: string }];
  expect(error).toMatchObject({ syscall: "getaddrinfo", hostname: "no-such-host.invalid" });
  expect(error.message).toBe(`getaddrinfo ${error.code} no-such-host.invalid`);
});

row("the option lookup is asked for each host, with the family as a number", async ({ socket }) => {
  const asked: unknown[] = [];
  const lookup = (
    host: string,
    family: unknown,
    callback: (error: null, address: string, family: number) => void,
  ) => {
    asked.push([host, family]);
    callback(null, "127.0.0.1", 4);
  };
  const s = socket({ type: "udp4", lookup });
  s.bind(0, "a.host");
  await soon();
  expect(asked).toEqual([["a.host", 4]]);
  expect(s.address().address).toBe("127.0.0.1");
});

row("a lookup that answers at once binds at once, and the first send leaves", async ({ socket, bound }) => {
  const lookup = (
    host: string,
    _family: unknown,
    callback: (error: null, address: string, family: number) => void,
  ) => {
    callback(null, host, 4);
  };
  const receiver = await bound();
  const s = socket({ type: "udp4", lookup });
  let isListening = false;
  s.on("listening", () => (isListening = true));
  s.send("hello", receiver.address().port, "127.0.0.1");
  expect(isListening).toBe(true);
  const [data] = (await event(receiver, "message")) as [Buffer];
  expect(data.toString()).toBe("hello");
});

row("a lookup that fails is the error of bind, unchanged", async ({ socket }) => {
  const reason = new Error("no");
  const lookup = (
    _host: string,
    _family: unknown,
    callback: (error: Error, address: string, family: number) => void,
  ) => void setImmediate(callback, reason, "", 4);
  const s = socket({ type: "udp4", lookup });
  s.bind(0, "a.host");
  expect(await event(s, "error")).toEqual([reason]);
});

row("a lookup that is no function is refused", ({ socket }) => {
  for (const lookup of ["x", 1, {}]) {
    const error = thrown(() => socket({ type: "udp4", lookup: lookup as never }));
    expect(error).toMatchObject({ code: "ERR_INVALID_ARG_TYPE", name: "TypeError" });
  }
});

row("a type that is not udp4 or udp6 is refused", ({ dgram }) => {
  for (const type of ["udp5", "", undefined, null, 4, {}, { type: "tcp4" }]) {
    const error = thrown(() => dgram.createSocket(type as never));
    expect(error).toMatchObject({
      code: "ERR_SOCKET_BAD_TYPE",
      name: "TypeError",
      message: "Bad socket type specified. Valid types are: udp4, udp6",
    });
  }
});

row("reuseAddr lets two sockets bind one port", async ({ socket }) => {
  const [a, b] = [socket({ type: "udp4", reuseAddr: true }), socket({ type: "udp4", reuseAddr: true })];
  a.bind(0, "127.0.0.1");
  await event(a, "listening");
  b.bind(a.address().port, "127.0.0.1");
  await event(b, "listening");
  expect(b.address()).toEqual(a.address());
});

row(
  "reusePort lets two sockets bind one port",
  async ({ socket }) => {
    const [a, b] = [socket({ type: "udp4", reusePort: true }), socket({ type: "udp4", reusePort: true })];
    a.bind(0, "127.0.0.1");
    await event(a, "listening");
    b.bind(a.address().port, "127.0.0.1");
    await event(b, "listening");
    expect(b.address()).toEqual(a.address());
  },
  { since: 23, not: Number(process.versions.node.split(".")[0]) < 23 ? { dgram: "needs Node 23" } : {} },
);

row("ipv6Only leaves the port free for IPv4", async ({ socket }) => {
  const a = socket({ type: "udp6", ipv6Only: true });
  a.bind(0, "::");
  await event(a, "listening");
  const b = socket();
  b.bind(a.address().port, "0.0.0.0");
  await event(b, "listening");
  expect(b.address().port).toBe(a.address().port);
});

row("the first send binds to a port of every interface, and emits listening", async ({ bound, socket }) => {
  const [peer, s] = [await bound(), socket()];
  const listening = event(s, "listening");
  const got = event(peer, "message");
  s.send("x", peer.address().port, "127.0.0.1");
  await listening;
  expect(s.address().address).toBe("0.0.0.0");
  expect((await got)[1]).toMatchObject({ port: s.address().port });
});

row("sends before the bind is done are sent in their order", async ({ bound, socket }) => {
  const [peer, s] = [await bound(), socket()];
  const { port } = peer.address();
  const got: string[] = [];
  const all = new Promise<void>((resolve) =>
    peer.on("message", (data) => {
      if (got.push(data.toString()) === 3) resolve();
    }),
  );
  for (const text of ["a", "b", "c"]) s.send(text, port, "127.0.0.1");
  await all;
  expect(got).toEqual(["a", "b", "c"]);
});

row("sends that wait for a bind that fails are forgotten", async ({ bound, socket }) => {
  const [first, s] = [await bound(), socket()];
  s.bind(first.address().port, "127.0.0.1");
  let called = false;
  s.send("x", first.address().port, "127.0.0.1", () => (called = true));
  await event(s, "error");
  await soon();
  expect(called).toBe(false);
});

row("a membership binds the socket, and bind then emits EINVAL", async ({ socket }) => {
  const s = socket();
  s.addMembership("239.255.1.2", "127.0.0.1");
  const { port } = s.address();
  expect(port).toBeGreaterThan(0);
  s.bind(0);
  expect((await event(s, "error"))[0]).toMatchObject({ message: "bind EINVAL 0.0.0.0", errno: -22 });
  expect(s.address().port).toBe(port);
});

row(
  "bindSync binds during the call, and listening comes in a tick",
  async ({ socket }) => {
    const s = socket();
    const listening = event(s, "listening");
    const address = s.bindSync({ address: "127.0.0.1" });
    expect(s.address()).toEqual(address);
    await listening;
    expect(address).toMatchObject({ address: "127.0.0.1", family: "IPv4" });
  },
  { since: 26 },
);

row(
  "bindSync throws what bind emits, and refuses names",
  async ({ bound, socket }) => {
    const { port } = (await bound()).address();
    expect(thrown(() => socket().bindSync({ port, address: "127.0.0.1" }))).toMatchObject({
      message: `bind EADDRINUSE 127.0.0.1:${port}`,
      errno: -98,
    });
    expect(thrown(() => socket().bindSync({ address: "localhost" }))).toMatchObject({
      code: "ERR_INVALID_ARG_VALUE",
    });
    expect(thrown(() => socket().bindSync({ port: 70_000 }))).toMatchObject({ code: "ERR_SOCKET_BAD_PORT" });
  },
  { since: 26 },
);

row("a send to a literal of the other family is EINVAL", async ({ bound }) => {
  const s = await bound();
  expect(await rejected(sent(s, "x", 9000, "::1"))).toMatchObject({
    message: "send EINVAL ::1:9000",
    errno: -22,
    address: "::1",
    port: 9000,
  });
});

row(
  "bind(handle) is refused, and the socket can still be bound",
  async ({ socket }) => {
    const s = socket();
    const handle = { recvStart: () => 0 };
    expect(thrown(() => s.bind(handle as never))).toMatchObject({
      code: "ERR_INVALID_ARG_VALUE",
      message: expect.stringContaining("fd") as string,
    });
    s.bind(0, "127.0.0.1");
    await event(s, "listening");
  },
  { not: { "node:dgram": "it takes over the handle, which only Node has" } },
);
