import { expect } from "vitest";

import { event, rejected, row, sent, soon, thrown } from "./worlds.js";

row("connect(port, address, callback) binds, emits connect and calls back", async ({ bound, socket }) => {
  const [peer, s] = [await bound(), socket()];
  const { port } = peer.address();
  const connected = event(s, "connect");
  await new Promise<void>((resolve) => s.connect(port, "127.0.0.1", resolve));
  await connected;
  expect(s.remoteAddress()).toEqual({ address: "127.0.0.1", family: "IPv4", port });
  expect(s.address().address).toBe("127.0.0.1");
});

row("connect(port) and connect(port, callback) mean this host", async ({ bound, socket }) => {
  const [peer, a, b] = [await bound(), socket(), socket()];
  const { port } = peer.address();
  a.connect(port);
  await event(a, "connect");
  await new Promise<void>((resolve) => b.connect(port, resolve));
  expect([a.remoteAddress().address, b.remoteAddress().address]).toEqual(["127.0.0.1", "127.0.0.1"]);
});

row(
  "connect while connecting or connected throws ERR_SOCKET_DGRAM_IS_CONNECTED",
  async ({ bound, socket }) => {
    const [peer, s] = [await bound(), socket()];
    const { port } = peer.address();
    s.connect(port);
    const error = { code: "ERR_SOCKET_DGRAM_IS_CONNECTED", message: "Already connected" };
    expect(thrown(() => s.connect(port))).toMatchObject(error);
    await event(s, "connect");
    expect(thrown(() => s.connect(port))).toMatchObject(error);
  },
);

row(
  "disconnect and remoteAddress without a peer throw ERR_SOCKET_DGRAM_NOT_CONNECTED",
  async ({ bound, socket }) => {
    const error = { code: "ERR_SOCKET_DGRAM_NOT_CONNECTED", message: "Not connected" };
    for (const s of [socket(), await bound()]) {
      expect(thrown(() => s.disconnect())).toMatchObject(error);
      expect(thrown(() => s.remoteAddress())).toMatchObject(error);
    }
  },
);

row("connect refuses port 0, ports out of range and addresses of other types", ({ socket }) => {
  const s = socket();
  for (const port of [0, 65_536, -1, undefined])
    expect(thrown(() => s.connect(port as number))).toMatchObject({ code: "ERR_SOCKET_BAD_PORT" });
  for (const address of [1, null, {}])
    expect(thrown(() => s.connect(9000, address as never))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
});

row("after disconnect() the socket can connect again", async ({ bound, socket }) => {
  const [peer, s] = [await bound(), socket()];
  const { port } = peer.address();
  for (let round = 0; round < 2; round++) {
    s.connect(port, "127.0.0.1");
    await event(s, "connect");
    s.disconnect();
    expect(thrown(() => s.remoteAddress())).toMatchObject({ code: "ERR_SOCKET_DGRAM_NOT_CONNECTED" });
  }
});

row("send on a connected socket takes no address", async ({ bound, socket }) => {
  const [peer, s] = [await bound(), socket()];
  const { port } = peer.address();
  s.connect(port, "127.0.0.1");
  await event(s, "connect");
  const send = s.send.bind(s) as (...all: unknown[]) => void;
  for (const given of [
    [Buffer.from("x"), 0, 1, port],
    [Buffer.from("x"), 0, 1, port, "127.0.0.1"],
  ])
    expect(thrown(() => send(...given))).toMatchObject({ code: "ERR_SOCKET_DGRAM_IS_CONNECTED" });
  const got = event(peer, "message");
  expect(await sent(s, Buffer.from("abcd"), 1, 2)).toBe(2);
  expect(String((await got)[0])).toBe("bc");
});

row("after disconnect() send needs a port again", async ({ bound, socket }) => {
  const [peer, s] = [await bound(), socket()];
  s.connect(peer.address().port, "127.0.0.1");
  await event(s, "connect");
  s.disconnect();
  const send = s.send.bind(s) as (...all: unknown[]) => void;
  expect(thrown(() => send("x"))).toMatchObject({ code: "ERR_SOCKET_BAD_PORT" });
});

row("a connected socket hears its peer alone", async ({ bound, socket }) => {
  const [peer, other, s] = [await bound(), await bound(), socket()];
  s.connect(peer.address().port, "127.0.0.1");
  await event(s, "connect");
  const got = event(s, "message");
  await sent(other, "no", s.address().port, "127.0.0.1");
  await sent(peer, "yes", s.address().port, "127.0.0.1");
  expect(String((await got)[0])).toBe("yes");
});

row("nobody at the peer: a refusal is an error event or the error of a send", async ({ nobody, socket }) => {
  const s = socket();
  s.connect(await nobody(), "127.0.0.1");
  await event(s, "connect");
  const refused = event(s, "error").then(([error]) => error as Record<string, unknown>);
  s.send("x");
  const error = await refused;
  expect(error).toMatchObject({
    code: "ECONNREFUSED",
    errno: -111,
    syscall: "recvmsg",
    message: "recvmsg ECONNREFUSED",
  });
});

row(
  "a connect that fails calls back with the error, or emits it, and may be tried again",
  async ({ bound, socket }) => {
    const [peer, s] = [await bound(), socket()];
    const error = {
      message: "connect EINVAL ::1:9000",
      code: "EINVAL",
      errno: -22,
      address: "::1",
      port: 9000,
    };
    const failed = new Promise((resolve) => s.connect(9000, "::1", resolve as () => void));
    expect(await failed).toMatchObject(error);
    s.connect(9000, "::1");
    expect((await event(s, "error"))[0]).toMatchObject(error);
    s.connect(peer.address().port, "127.0.0.1");
    await event(s, "connect");
  },
);

row("connect to an unknown name fails with the error of getaddrinfo", async ({ socket }) => {
  const s = socket();
  const failed = new Promise((resolve) => s.connect(9000, "no-such-host.invalid", resolve as () => void));
  expect(await failed).toMatchObject({ syscall: "getaddrinfo", hostname: "no-such-host.invalid" });
});

row(
  "connectSync connects during the call",
  async ({ bound, socket }) => {
    const [peer, s] = [await bound(), socket()];
    const { port } = peer.address();
    const connected = event(s, "connect");
    s.connectSync(port, "127.0.0.1");
    expect(s.remoteAddress().port).toBe(port);
    await connected;
    expect(thrown(() => socket().connectSync(port, "localhost"))).toMatchObject({
      code: "ERR_INVALID_ARG_VALUE",
    });
  },
  { since: 26 },
);

row("sends that wait for connect keep their order", async ({ bound, socket }) => {
  const [peer, s] = [await bound(), socket()];
  const got: string[] = [];
  peer.on("message", (data) => got.push(data.toString()));
  s.connect(peer.address().port, "127.0.0.1", () => {
    s.send("a");
    s.send("b");
  });
  while (got.length < 2) await event(peer, "message");
  expect(got).toEqual(["a", "b"]);
});

row("close() while connecting emits close, and connect never", async ({ bound, socket }) => {
  const [peer, s] = [await bound(), await (async () => socket())()];
  let connected = false;
  s.on("connect", () => (connected = true));
  s.bind(0, "127.0.0.1");
  await event(s, "listening");
  s.connect(peer.address().port, "127.0.0.1");
  s.close();
  await event(s, "close");
  await soon();
  expect(connected).toBe(false);
  expect(await rejected(sent(s, "x", 9, "127.0.0.1"))).toMatchObject({
    code: "ERR_SOCKET_DGRAM_NOT_RUNNING",
  });
});
