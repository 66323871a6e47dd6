import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { EventEmitter } from "node:events";
import { inherits } from "node:util";

import { expect } from "vitest";

import { closed, event, row, sent, soon, thrown } from "./worlds.js";

row("close(callback) calls back in a later tick, emits close, and returns the socket", async ({ bound }) => {
  const s = await bound();
  const order: string[] = [];
  const done = event(s, "close");
  expect(s.close(() => order.push("callback"))).toBe(s);
  order.push("call");
  process.nextTick(() => order.push("tick"));
  await done;
  await soon();
  expect(order).toEqual(["call", "callback", "tick"]);
});

row("close() of a socket that was never bound emits close", async ({ socket }) => {
  const s = socket();
  s.close();
  await event(s, "close");
  expect(thrown(() => s.address())).toMatchObject({ code: "ERR_SOCKET_DGRAM_NOT_RUNNING" });
});

row("close() twice throws ERR_SOCKET_DGRAM_NOT_RUNNING", async ({ bound }) => {
  const s = await bound();
  s.close();
  expect(thrown(() => s.close())).toMatchObject({ code: "ERR_SOCKET_DGRAM_NOT_RUNNING" });
});

row("close() while binding: listening never comes", async ({ socket }) => {
  const s = socket();
  let listening = false;
  s.bind(0, "127.0.0.1", () => (listening = true));
  s.close();
  await event(s, "close");
  await soon();
  expect(listening).toBe(false);
});

row(
  "close() after sends: they are sent, then it closes",
  async ({ bound, socket }) => {
    for (const s of [socket(), await bound()]) {
      const peer = await bound();
      const got = event(peer, "message");
      s.send("x", peer.address().port, "127.0.0.1");
      s.close();
      await event(s, "close");
      expect(String((await got)[0])).toBe("x");
    }
  },
  { not: { "node:dgram": "it drops datagrams whose address is looked up at close(), also literals" } },
);

row("close() in a message listener: the next datagrams are not emitted", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  let heard = 0;
  const done = event(b, "close");
  b.on("message", () => {
    if (++heard === 3) b.close();
  });
  for (let index = 0; index < 20; index++) a.send("x", b.address().port, "127.0.0.1");
  await done;
  await soon();
  expect(heard).toBe(3);
});

row("Symbol.asyncDispose closes, and does nothing on a closed socket", async ({ bound }) => {
  const s = await bound();
  let closes = 0;
  s.on("close", () => closes++);
  await s[Symbol.asyncDispose]();
  await s[Symbol.asyncDispose]();
  expect(closes).toBe(1);
});

row("the option signal closes the socket", async ({ socket }) => {
  const stop = new AbortController();
  const s = socket({ type: "udp4", signal: stop.signal });
  s.bind(0, "127.0.0.1");
  await event(s, "listening");
  const done = event(s, "close");
  stop.abort();
  await done;
  expect(thrown(() => s.address())).toMatchObject({ code: "ERR_SOCKET_DGRAM_NOT_RUNNING" });
});

row(
  "a signal that is aborted already closes the socket, and another value is refused",
  async ({ socket }) => {
    const s = socket({ type: "udp4", signal: AbortSignal.abort() });
    await event(s, "close");
    expect(thrown(() => socket({ type: "udp4", signal: {} as AbortSignal }))).toMatchObject({
      code: "ERR_INVALID_ARG_TYPE",
    });
  },
);

row(
  "createSocket(type, listener) adds a message listener, with the socket as this",
  async ({ bound, dgram }) => {
    const a = await bound();
    const heard: unknown[] = [];
    const s = dgram.createSocket("udp4", function (this: unknown, data) {
      heard.push(this === s, data.toString());
    });
    s.bind(0, "127.0.0.1");
    await event(s, "listening");
    const got = event(s, "message");
    await sent(a, "x", s.address().port, "127.0.0.1");
    await got;
    await closed(s);
    expect(heard).toEqual([true, "x"]);
  },
);

row("Socket is an EventEmitter for instanceof, extends, util.inherits and new", async ({ dgram }) => {
  class Child extends dgram.Socket {}
  const Made = dgram.Socket as unknown as new (type: string) => InstanceType<typeof dgram.Socket>;
  function Old(this: object): void {
    (dgram.Socket as unknown as { call(self: object, type: string): void }).call(this, "udp4");
  }
  inherits(Old, dgram.Socket);
  const ChildOf = Child as unknown as new (type: string) => InstanceType<typeof dgram.Socket>;
  const OldOf = Old as unknown as new () => InstanceType<typeof dgram.Socket>;
  for (const s of [new Made("udp4"), new ChildOf("udp4"), new OldOf()]) {
    expect(s).toBeInstanceOf(dgram.Socket);
    expect(s).toBeInstanceOf(EventEmitter);
    s.bind(0, "127.0.0.1");
    await event(s as never, "listening");
    expect(s.address().port).toBeGreaterThan(0);
    await closed(s as never);
  }
});

row("a program may replace a method of the prototype", ({ dgram, socket }) => {
  const { prototype } = dgram.Socket as unknown as { prototype: { ref: () => unknown } };
  const before = prototype.ref;
  prototype.ref = () => "mine";
  try {
    expect(socket().ref()).toBe("mine");
  } finally {
    prototype.ref = before;
  }
});

row("ref and unref return the socket, also before bind and after close", async ({ bound, socket }) => {
  const [s, unbound] = [await bound(), socket()];
  for (const each of [s, unbound]) expect([each.ref(), each.unref()]).toEqual([each, each]);
  await closed(s);
  expect([s.ref(), s.unref()]).toEqual([s, s]);
});

row("ticks, then microtasks of a listener run before the next message", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  const order: string[] = [];
  const done = new Promise<void>((resolve) => {
    b.on("message", (data) => {
      const text = data.toString();
      order.push(text);
      void Promise.resolve().then(() => order.push(`${text} microtask`));
      process.nextTick(() => order.push(`${text} tick`));
      if (text === "2") setImmediate(resolve);
    });
  });
  for (const text of ["1", "2"]) a.send(text, b.address().port, "127.0.0.1");
  await done;
  expect(order).toEqual(["1", "1 tick", "1 microtask", "2", "2 tick", "2 microtask"]);
});

row("a message is emitted from a tick, not from a promise", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  const order: string[] = [];
  const done = new Promise<void>((resolve) =>
    b.on("message", () => {
      void Promise.resolve().then(() => {
        order.push("microtask");
        resolve();
      });
      process.nextTick(() => order.push("tick"));
    }),
  );
  await sent(a, "x", b.address().port, "127.0.0.1");
  await done;
  expect(order).toEqual(["tick", "microtask"]);
});

row("the channel udp.socket publishes each new socket", ({ socket }) => {
  const found: unknown[] = [];
  const listen = (message: unknown): void => void found.push((message as { socket: unknown }).socket);
  subscribe("udp.socket", listen);
  try {
    const s = socket();
    expect(found).toContain(s);
  } finally {
    unsubscribe("udp.socket", listen);
  }
});

row("datagrams without a message listener are gone when one is added", async ({ bound }) => {
  const [a, b] = [await bound(), await bound()];
  await sent(a, "early", b.address().port, "127.0.0.1");
  await new Promise((resolve) => setTimeout(resolve, 20));
  const got = event(b, "message");
  await sent(a, "late", b.address().port, "127.0.0.1");
  expect(String((await got)[0])).toBe("late");
});
