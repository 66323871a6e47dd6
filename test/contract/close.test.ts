import { IPPROTO_IP, IP_TTL, type Socket } from "datagram";
import { expect } from "vitest";

import { contract, failure, numbered, soon, texts, turn } from "./world.js";

/** Every call that needs an open socket. */
const calls: readonly (readonly [name: string, call: (s: Socket) => unknown])[] = [
  ["bind", (s) => s.bind(["127.0.0.1", 0])],
  ["connect", (s) => s.connect(["127.0.0.1", 9000])],
  ["connect(null)", (s) => s.connect(null)],
  ["sendto", (s) => s.sendto("x", ["127.0.0.1", 9000])],
  ["send", (s) => s.send("x")],
  ["sendMany", (s) => s.sendMany(["x"], ["127.0.0.1", 9000])],
  ["recvfrom", (s) => s.recvfrom(64)],
  ["recv", (s) => s.recv(64)],
  ["recvmsg", (s) => s.recvmsg()],
  ["recvMany", (s) => s.recvMany(4)],
  ["iteration", (s) => s[Symbol.asyncIterator]().next()],
  ["getsockname", (s) => s.getsockname()],
  ["getpeername", (s) => s.getpeername()],
  ["setsockopt", (s) => s.setsockopt(IPPROTO_IP, IP_TTL, 9)],
  ["getsockopt", (s) => s.getsockopt(IPPROTO_IP, IP_TTL)],
  ["addMembership", (s) => s.addMembership("239.255.0.1", "127.0.0.1")],
  ["dropMembership", (s) => s.dropMembership("239.255.0.1", "127.0.0.1")],
];

for (const [name, call] of calls) {
  // semantics: closed
  contract(`${name} after close() is EBADF`, async ({ bound }) => {
    const closed = await bound();
    await closed.close();
    const error = await failure(Promise.resolve().then(() => call(closed)));
    expect(error).toMatchObject({ code: "EBADF" });
    expect(error.syscall).toMatch(/^(for )?\w+$/);
    expect(error.message).toContain("closed");
  });
}

// semantics: closed
contract("close() twice does no harm, and closed is true", async ({ bound, socket }) => {
  for (const opened of [await bound(), socket()]) {
    expect(opened.closed).toBe(false);
    const closing = [opened.close(), opened.close()];
    expect(opened.closed).toBe(true);
    await expect(Promise.all(closing)).resolves.toEqual([undefined, undefined]);
    await expect(opened.close()).resolves.toBeUndefined();
  }
});

// semantics: close-receives
contract("close() while receive calls wait: each rejects with ECANCELED", async ({ bound, socket }) => {
  for (const receiver of [await bound(), socket()]) {
    const waits = [receiver.recvfrom(64), receiver.recv(64), receiver.recvmsg(), receiver.recvMany(4)];
    const errors = Promise.all(waits.map((wait) => failure(wait)));
    await turn(receiver);
    await receiver.close();
    expect((await errors).map(({ code }) => code)).toEqual([
      "ECANCELED",
      "ECANCELED",
      "ECANCELED",
      "ECANCELED",
    ]);
    expect((await errors).map(({ syscall }) => syscall)).toEqual(["recvfrom", "recv", "recvmsg", "recvMany"]);
  }
});

// semantics: close-receives
contract(
  "close() while receive calls wait with a timeout or a signal: each rejects with ECANCELED, once",
  async ({ bound }) => {
    const receiver = await bound();
    const abort = new AbortController();
    const waits = [receiver.recv(64, { timeoutMs: 0 }), receiver.recv(64, soon), receiver.recv(64, abort)];
    const errors = Promise.all(waits.map((wait) => failure(wait)));
    await receiver.close();
    abort.abort();
    expect((await errors).map(({ code }) => code)).toEqual(["ECANCELED", "ECANCELED", "ECANCELED"]);
  },
);

// semantics: close-anywhere
contract("close() during a bind: the bind succeeds, or is ECANCELED", async ({ localhost, socket }) => {
  const opened = socket();
  const binding = opened.bind([localhost(), 0]).then(
    () => "bound",
    ({ code }: { code: string }) => code,
  );
  await opened.close();
  expect(["bound", "ECANCELED"]).toContain(await binding);
  await expect(failure(opened.bind([localhost(), 0]))).resolves.toMatchObject({ code: "EBADF" });
});

// semantics: close-anywhere
contract("close() cancels a bind, a connect or a send that waits for a name: ECANCELED", async (world) => {
  const calls = [
    (s: Socket) => s.bind(["localhost", 0]),
    (s: Socket) => s.connect(["localhost", 9000]),
    (s: Socket) => s.sendto("x", ["localhost", 9000]),
    (s: Socket) => s.sendMany(["x"], ["localhost", 9000]),
  ];
  for (const call of calls) {
    const opened = world.socket();
    const pending = failure(call(opened));
    await opened.close();
    await expect(pending).resolves.toMatchObject({ code: "ECANCELED" });
  }
});

// semantics: close-sends
contract(
  "close() during a batch: queued datagrams are sent, and those that wait for a name are not",
  async (world) => {
    const [sender, receiver] = [world.socket(), await world.bound()];
    const to = receiver.getsockname();
    const many = sender.sendMany(numbered(300), to);
    const named = failure(sender.sendto("named", ["localhost", to.port]));
    const single = sender.sendto("single", to);
    await sender.close();
    await expect(many).resolves.toBe(300);
    await expect(single).resolves.toBe(6);
    await expect(named).resolves.toMatchObject({ code: "ECANCELED" });
    expect(await texts(receiver, 301)).toEqual([...numbered(300), "single"]);
  },
);

// semantics: close-anywhere
contract("close() may be called from inside a receive call, a tap or an event", async ({ bound }) => {
  const sender = await bound();
  const closers = [
    // A tap runs while datagrams are read, before any call has its datagram. An event comes after the calls have theirs.
    { close: (s: Socket) => s.tap(() => void s.close()), others: "rejected" },
    { close: (s: Socket) => s.once("truncated", () => void s.close()), others: "fulfilled" },
  ];
  for (const { close, others } of closers) {
    const receiver = await bound();
    close(receiver);
    const waits = [receiver.recv(2), receiver.recv(2), receiver.recvMany(8)];
    const outcomes = Promise.allSettled(waits);
    await sender.sendMany(numbered(20, "long"), receiver.getsockname());
    for (const outcome of (await outcomes).slice(1)) {
      expect(outcome.status).toBe(others);
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "ECANCELED" });
    }
    expect(receiver.closed).toBe(true);
    await expect(receiver.recv(2)).rejects.toMatchObject({ code: "EBADF" });
  }
});

// semantics: close-anywhere
contract("close() may be called from inside an abort listener", async ({ bound }) => {
  const receiver = await bound();
  const abort = new AbortController();
  abort.signal.addEventListener("abort", () => void receiver.close());
  const [first, second] = [receiver.recv(64, abort), receiver.recv(64)];
  const outcomes = Promise.allSettled([first, second]);
  abort.abort();
  const [, other] = await outcomes;
  expect(other).toMatchObject({ status: "rejected", reason: { code: "ECANCELED" } });
});

// semantics: closed
contract(
  "after close() the ledger can still be read, and timeout and blocking can still be set",
  async ({ bound, socket }) => {
    const [sender, receiver] = [socket(), await bound()];
    await sender.sendto("hello", receiver.getsockname());
    await sender.close();
    expect(sender.stats().sent).toEqual({ datagrams: 1, bytes: 5 });
    sender.unref().ref().settimeout(1);
    expect(sender.gettimeout()).toBe(1);
    expect(sender.capabilities).toBeTypeOf("object");
  },
);

// semantics: close-frees-port
contract("many sockets open and close at once", async ({ bound }) => {
  const receiver = await bound();
  const senders = await Promise.all(numbered(100).map(() => bound()));
  await Promise.all(senders.map((each, index) => each.sendto(`${index}`, receiver.getsockname())));
  await Promise.all(senders.map((each) => each.close()));
  expect(senders.every(({ closed }) => closed)).toBe(true);
  const found = await texts(receiver, 100);
  expect(new Set(found)).toEqual(new Set(numbered(100)));
});

// semantics: close-anywhere
contract("close() from inside a getter of an argument: the call is EBADF", async ({ bound, localhost }) => {
  const closing = <T>(s: Socket, value: T): T => {
    void s.close();
    return value;
  };
  const address = (s: Socket) => ({
    get address() {
      return closing(s, localhost());
    },
    port: 9000,
  });
  const options = (s: Socket) => ({
    get timeoutMs() {
      return closing(s, 5);
    },
  });
  const calls = [
    (s: Socket) => s.bind(address(s)),
    (s: Socket) => s.connect(address(s)),
    (s: Socket) => s.sendto("x", address(s)),
    (s: Socket) => s.sendMany(["x"], address(s)),
    (s: Socket) => s.recvfrom(64, options(s)),
    (s: Socket) => s.recv(64, options(s)),
    (s: Socket) => s.recvmsg(options(s)),
    (s: Socket) => s.recvMany(4, options(s)),
  ];
  for (const call of calls) {
    await expect(failure(call(await bound()))).resolves.toMatchObject({ code: "EBADF" });
  }
});

// semantics: close-anywhere
contract("close() while calls with names wait for each other: each is ECANCELED", async ({ socket }) => {
  const s = socket();
  const calls = [s.connect(["localhost", 9]), s.connect(["localhost", 10]), s.bind(["localhost", 0])].map(
    failure,
  );
  await s.close();
  expect((await Promise.all(calls)).map(({ code }) => code)).toEqual(["ECANCELED", "ECANCELED", "ECANCELED"]);
});
