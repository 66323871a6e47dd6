import { expect } from "vitest";

import { closed, event, rejected, row, sent, soon, thrown } from "./worlds.js";

row(
  "send(string, port, address, callback): null and the bytes; the message has the address and the size",
  async ({ bound }) => {
    const [a, b] = [await bound(), await bound()];
    const got = event(b, "message");
    expect(await sent(a, "grüß", b.address().port, "127.0.0.1")).toBe(6);
    const [data, info] = await got;
    expect(String(data)).toBe("grüß");
    expect(Buffer.isBuffer(data)).toBe(true);
    expect(info).toEqual({ address: "127.0.0.1", family: "IPv4", port: a.address().port, size: 6 });
  },
);

row("over udp6 the family is IPv6", async ({ bound }) => {
  const [a, b] = [await bound("udp6"), await bound("udp6")];
  const got = event(b, "message");
  await sent(a, "x", b.address().port, "::1");
  expect((await got)[1]).toEqual({ address: "::1", family: "IPv6", port: a.address().port, size: 1 });
});

const payloads: [string, unknown[], string][] = [
  ["a Buffer", [Buffer.from("abc")], "abc"],
  ["a Uint16Array", [new Uint16Array([0x6261, 0x6463])], "abcd"],
  ["a DataView", [new DataView(Buffer.from("xyz").buffer.slice(0, 0))], ""],
  ["an array of strings and Buffers", [["a", Buffer.from("b"), new Uint8Array([99])]], "abc"],
  ["an empty array", [[]], ""],
  ["an empty string", [""], ""],
  ["offset and length", [Buffer.from("abcdef"), 2, 3], "cde"],
  ["offset and length of a string", ["abcdef", 1, 2], "bc"],
];
for (const [name, given, text] of payloads) {
  row(`the payload is ${name}`, async ({ bound }) => {
    const [a, b] = [await bound(), await bound()];
    const got = event(b, "message");
    expect(await sent(a, ...given, b.address().port, "127.0.0.1")).toBe(text.length);
    expect(String((await got)[0])).toBe(text);
  });
}

row("without an address it goes to this host", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  const got = event(b, "message");
  await sent(a, "x", b.address().port);
  expect(String((await got)[0])).toBe("x");
});

row("without a callback it arrives too, and the port may be a string", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  const got = event(b, "message");
  a.send("x", String(b.address().port) as unknown as number, "127.0.0.1");
  expect(String((await got)[0])).toBe("x");
});

row("sendto(buffer, offset, length, port, address) sends, and refuses other forms", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  const got = event(b, "message");
  const old = a as unknown as { sendto: (...given: unknown[]) => void };
  old.sendto(Buffer.from("abcdef"), 1, 2, b.address().port, "127.0.0.1");
  expect(String((await got)[0])).toBe("bc");
  const wrongs = [
    ["x", "0", 1, 9, "127.0.0.1"],
    ["x", 0, "1", 9, "127.0.0.1"],
    ["x", 0, 1, "9", "127.0.0.1"],
    ["x", 0, 1, 9],
  ];
  for (const given of wrongs)
    expect(thrown(() => old.sendto(...given))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
});

const refused: [string, unknown[], string][] = [
  ["no payload", [undefined, 9000, "127.0.0.1"], "ERR_INVALID_ARG_TYPE"],
  ["a number", [23, 9000, "127.0.0.1"], "ERR_INVALID_ARG_TYPE"],
  ["an object", [{}, 9000, "127.0.0.1"], "ERR_INVALID_ARG_TYPE"],
  ["an array with a number", [["a", 1], 9000, "127.0.0.1"], "ERR_INVALID_ARG_TYPE"],
  ["port 0", ["x", 0, "127.0.0.1"], "ERR_SOCKET_BAD_PORT"],
  ["port 65536", ["x", 65_536, "127.0.0.1"], "ERR_SOCKET_BAD_PORT"],
  ["port -1", ["x", -1, "127.0.0.1"], "ERR_SOCKET_BAD_PORT"],
  ["port 1.5", ["x", 1.5, "127.0.0.1"], "ERR_SOCKET_BAD_PORT"],
  ["no port", ["x"], "ERR_SOCKET_BAD_PORT"],
  ["an address that is a number", ["x", 9000, 5], "ERR_INVALID_ARG_TYPE"],
  ["an offset outside", [Buffer.alloc(4), 5, 1, 9000, "127.0.0.1"], "ERR_BUFFER_OUT_OF_BOUNDS"],
  ["a length outside", [Buffer.alloc(4), 2, 3, 9000, "127.0.0.1"], "ERR_BUFFER_OUT_OF_BOUNDS"],
];
for (const [name, given, code] of refused) {
  row(`send throws ${code} for ${name}`, async ({ bound }) => {
    const s = await bound();
    const send = s.send.bind(s) as (...all: unknown[]) => void;
    expect(thrown(() => send(...given))).toMatchObject({ code });
  });
}

row("a payload above the limit is EMSGSIZE in the callback", async ({ bound }) => {
  const s = await bound();
  expect(await rejected(sent(s, Buffer.alloc(65_508), 9000, "127.0.0.1"))).toMatchObject({
    message: "send EMSGSIZE 127.0.0.1:9000",
    code: "EMSGSIZE",
    errno: -90,
    syscall: "send",
    address: "127.0.0.1",
    port: 9000,
  });
});

row("a send that fails without a callback is silent", async ({ bound }) => {
  const s = await bound();
  let failed = false;
  s.on("error", () => (failed = true));
  s.send(Buffer.alloc(65_508), 9000, "127.0.0.1");
  await soon();
  expect(failed).toBe(false);
});

row(
  "a name that does not resolve fails the callback, and without one it is an error event",
  async ({ bound }) => {
    const s = await bound();
    const error = { syscall: "getaddrinfo", hostname: "no-such-host.invalid" };
    expect(await rejected(sent(s, "x", 9000, "no-such-host.invalid"))).toMatchObject(error);
    s.send("x", 9000, "no-such-host.invalid");
    expect((await event(s, "error"))[0]).toMatchObject(error);
  },
);

row("send to localhost arrives", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  const got = event(b, "message");
  await sent(a, "x", b.address().port, "localhost");
  expect(String((await got)[0])).toBe("x");
});

row("send after close() throws ERR_SOCKET_DGRAM_NOT_RUNNING", async ({ bound }) => {
  const s = await bound();
  await closed(s);
  expect(thrown(() => s.send("x", 9000, "127.0.0.1"))).toMatchObject({
    code: "ERR_SOCKET_DGRAM_NOT_RUNNING",
    message: "Not running",
  });
});

row("the callback comes in a later tick, after ticks that are queued", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  const order: string[] = [];
  const done = new Promise<void>((resolve) =>
    a.send("x", b.address().port, "127.0.0.1", () => {
      order.push("callback");
      resolve();
    }),
  );
  order.push("call");
  process.nextTick(() => order.push("tick"));
  await done;
  expect(order).toEqual(["call", "tick", "callback"]);
});

row("the counts of the send queue are numbers, and 0 when all is sent", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  await sent(a, "hello", b.address().port, "127.0.0.1");
  expect([a.getSendQueueSize(), a.getSendQueueCount()]).toEqual([0, 0]);
});

row("a thousand sends arrive in their order, each with its callback", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  const { port } = b.address();
  const got: number[] = [];
  b.on("message", (data) => got.push(data.readUInt32BE()));
  let called = 0;
  for (let index = 0; index < 1000; index += 50) {
    const burst = Array.from({ length: 50 }, (_, each) => {
      const data = Buffer.alloc(4);
      data.writeUInt32BE(index + each);
      return sent(a, data, port, "127.0.0.1").then(() => called++);
    });
    await Promise.all(burst);
    while (got.length < index + 50) await event(b, "message");
  }
  expect(called).toBe(1000);
  expect(got).toEqual(Array.from({ length: 1000 }, (_, index) => index));
});

row(
  "a block list for sends fails the callback with ERR_IP_BLOCKED",
  async ({ socket }) => {
    const { BlockList } = await import("node:net");
    const sendBlockList = new BlockList();
    sendBlockList.addAddress("127.0.0.1");
    const s = socket({ type: "udp4", sendBlockList });
    expect(await rejected(sent(s, "x", 9000, "127.0.0.1"))).toMatchObject({ code: "ERR_IP_BLOCKED" });
  },
  { since: 23 },
);

row(
  "a block list for receiving drops the datagrams of an address",
  async ({ bound, socket }) => {
    const { BlockList } = await import("node:net");
    const receiveBlockList = new BlockList();
    receiveBlockList.addAddress("127.0.0.2");
    const b = socket({ type: "udp4", receiveBlockList });
    b.bind(0, "127.0.0.1");
    await event(b, "listening");
    const [blocked, allowed] = [socket(), await bound()];
    blocked.bind(0, "127.0.0.2");
    await event(blocked, "listening");
    const got = event(b, "message");
    await sent(blocked, "no", b.address().port, "127.0.0.1");
    await sent(allowed, "yes", b.address().port, "127.0.0.1");
    expect(String((await got)[0])).toBe("yes");
  },
  { since: 23 },
);
