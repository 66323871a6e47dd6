/** Requests of one datagram to any peer. */

import { AF_INET6, type Datagram, type Socket, SO_BROADCAST, SOL_SOCKET } from "datagram";
import { collect, request } from "datagram/message";
import { expect } from "vitest";

import { compute, contract, event, failure, families, numbered, pause, soon, texts, turn } from "./world.js";

/** Answers each datagram with its text after `prefix`, until the socket is closed. */
function answering(s: Socket, prefix = "ack: "): void {
  void (async () => {
    for await (const datagram of s) await datagram.reply([prefix, datagram.data]);
  })();
}

/** Short waits, for requests whose datagrams are lost. */
const quick = { ackTimeoutMs: 20, ackRandomFactor: 1 } as const;

for (const [ip, family] of families) {
  // semantics: request
  contract(
    `request returns the first datagram from its destination over ${ip}`,
    async ({ bound, socket }) => {
      const peer = await bound(family);
      answering(peer);
      const s = socket(family);
      const answer = await request(s, "ping", peer.getsockname());
      expect(answer.data.toString()).toBe("ack: ping");
      expect(answer.source.equals(peer.getsockname())).toBe(true);
      expect(s.stats().received).toEqual({ datagrams: 1, bytes: 9 });
      const { host, port } = peer.getsockname();
      expect((await request(s, ["pi", "ng"], { host, port })).data.toString()).toBe("ack: ping");
    },
  );
}

// semantics: request
contract("request takes a name, and the data may change after the call", async ({ bound }) => {
  const peer = await bound();
  answering(peer);
  const s = await bound();
  const data = Buffer.from("before");
  const answer = request(s, data, ["localhost", peer.getsockname().port]);
  data.fill("x");
  expect((await answer).data.toString()).toBe("ack: before");
});

// semantics: request-resend
contract("a request is sent again until it is answered", async ({ bound }) => {
  const [peer, s] = [await bound(), await bound()];
  void (async () => {
    let count = 0;
    for await (const datagram of peer) if (++count === 4) await datagram.reply("fourth");
  })();
  const answer = await request(s, "x", peer.getsockname(), quick);
  expect(answer.data.toString()).toBe("fourth");
  expect(s.stats().sent.datagrams).toBe(4);
});

// semantics: request-timeout
contract("a request without an answer rejects with a TimeoutError after its last wait", async ({ bound }) => {
  const [peer, s] = [await bound(), await bound()];
  const to = peer.getsockname();
  const error = await failure(request(s, "x", to, { ...quick, maxRetransmit: 2 }));
  expect(error).toMatchObject({ name: "TimeoutError", code: "ETIMEDOUT", address: to.host, port: to.port });
  expect(error.message).toMatch(/^request \S+: no answer in \d+ ms, it was sent 3 times \(ETIMEDOUT\)$/);
  expect(s.stats().sent.datagrams).toBe(3);
  const limited = await failure(request(s, "x", to, { timeoutMs: 5 }));
  expect(limited.message).toMatch(/it was sent once/);
  await peer.sendto("late", s.getsockname());
  expect(await texts(s, 1)).toEqual(["late"]);
});

// semantics: request-in-time
contract(
  "an answer that came in time is the result, although the program was busy until after the timeout",
  async ({ bound }) => {
    const [peer, s] = [await bound(), await bound()];
    const answer = request(s, "x", peer.getsockname(), { timeoutMs: 50 });
    const answers = collect(s, "x", peer.getsockname(), { timeoutMs: 50, anyPort: true });
    // Both wait, and the event loop has not turned since.
    for (let step = 0; step < 100; step++) await Promise.resolve();
    const sending = peer.sendMany(["in time", "in time too"], s.getsockname());
    await Promise.resolve();
    compute(s, 100);
    expect((await answer).data.toString()).toBe("in time");
    expect((await answers).map(({ data }) => data.toString())).toEqual(["in time too"]);
    await sending;
  },
);

// semantics: request-unreachable
contract(
  "a request fails at once if nobody is listening",
  async ({ socket, nobody }) => {
    const to = await nobody();
    const error = await failure(request(socket(), "x", to));
    expect(error).toMatchObject({
      code: "ECONNREFUSED",
      syscall: "request",
      address: to.host,
      port: to.port,
    });
    expect(error.message).toContain("nobody is listening there");
  },
  "icmpErrors",
);

// semantics: request-unreachable
contract(
  "a request on a connected socket fails at once if nobody is listening",
  async ({ socket, nobody }) => {
    const s = socket();
    const to = await nobody();
    await s.connect(to);
    expect(await failure(request(s, "x", to))).toMatchObject({ code: "ECONNREFUSED" });
  },
);

// semantics: request-unreachable
contract(
  "nobody at one address does not fail a request to another one",
  async ({ bound, nobody }) => {
    const [peer, s] = [await bound(), await bound()];
    answering(peer);
    const outcomes = await Promise.allSettled([
      request(s, "x", await nobody()),
      request(s, "y", peer.getsockname()),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
  },
  "icmpErrors",
);

// semantics: request-beside-reader
contract("an iteration runs beside requests, and does not get their answers", async ({ bound }) => {
  const [peer, other, s] = [await bound(), await bound(), await bound()];
  answering(peer);
  const found: string[] = [];
  const reading = (async () => {
    for await (const { data } of s) {
      found.push(data.toString());
      if (data.toString() === "last") return;
    }
  })();
  for (const text of numbered(20)) {
    await other.sendto(text, s.getsockname());
    expect((await request(s, text, peer.getsockname())).data.toString()).toBe(`ack: ${text}`);
  }
  await other.sendto("last", s.getsockname());
  await reading;
  expect(found).toEqual([...numbered(20), "last"]);
});

// semantics: request-beside-reader
contract("an iteration can make requests on its own socket", async ({ bound }) => {
  const [peer, other, s] = [await bound(), await bound(), await bound()];
  answering(peer);
  void (async () => {
    for await (const datagram of s) {
      const { data } = await request(s, datagram.data, peer.getsockname());
      await datagram.reply(data);
    }
  })();
  for (const text of numbered(50)) await other.sendto(text, s.getsockname());
  expect((await texts(other, 50)).sort()).toEqual(numbered(50, "ack: ").sort());
});

// semantics: request-beside-reader
contract("datagrams that arrive while only a request reads are received later", async ({ bound }) => {
  const [peer, other, s] = [await bound(), await bound(), await bound()];
  const asked = request(s, "x", peer.getsockname());
  for (const text of numbered(200)) await other.sendto(text, s.getsockname());
  const question = await peer.recvmsg(soon);
  await pause(s, 5);
  await question.reply("answer");
  expect((await asked).data.toString()).toBe("answer");
  expect(await texts(s, 200)).toEqual(numbered(200));
  expect(s.stats().droppedQueue).toBe(0);
});

// semantics: request-overflow
contract(
  "datagrams that nobody takes meanwhile are dropped above a limit, and counted",
  async ({ bound }) => {
    const [peer, other, s] = [await bound(), await bound(), await bound()];
    const lost = event(s, "dropped");
    const asked = request(s, "x", peer.getsockname());
    const question = await peer.recvmsg(soon);
    let sent = 0;
    while (s.stats().droppedQueue === 0) {
      sent += await other.sendMany(numbered(100), s.getsockname());
      await turn(s);
      await turn(s);
      expect(sent).toBeLessThan(100_000);
    }
    expect((await lost).cause).toBe("queue");
    await question.reply("answer");
    expect((await asked).data.toString()).toBe("answer");
    expect((await s.recvMany(4096)).length).toBeLessThanOrEqual(1024);
  },
);

// semantics: request-many
contract("many requests to many peers wait at the same time", async ({ bound }) => {
  const s = await bound();
  const peers = await Promise.all(numbered(20).map(() => bound()));
  for (const [index, peer] of peers.entries()) answering(peer, `${index}: `);
  const answers = await Promise.all(
    peers.flatMap((peer) => numbered(10).map((text) => request(s, text, peer.getsockname()))),
  );
  const expected = peers.flatMap((_, index) => numbered(10, `${index}: `));
  expect(answers.map(({ data }) => data.toString())).toEqual(expected);
});

// semantics: request-many
contract("requests to one address take turns, unless they tell their answers apart", async ({ bound }) => {
  const [peer, s] = [await bound(), await bound()];
  const to = peer.getsockname();
  const first = request(s, "a", to);
  const second = request(s, "b", to);
  const question = await peer.recvmsg(soon);
  expect(question.data.toString()).toBe("a");
  const third = request(s, "c", to, { accept: ({ data }) => data.toString() === "C" });
  expect(await texts(peer, 1)).toEqual(["c"]);
  await question.reply("C");
  expect((await third).data.toString()).toBe("C");
  await question.reply("A");
  expect((await first).data.toString()).toBe("A");
  expect(await texts(peer, 1)).toEqual(["b"]);
  await question.reply("B");
  expect((await second).data.toString()).toBe("B");
});

// semantics: request-many
contract("a request that is given up leaves its turn to the next one", async ({ bound }) => {
  const [peer, s] = [await bound(), await bound()];
  const to = peer.getsockname();
  const [running, waiting] = [new AbortController(), new AbortController()];
  const outcomes = [
    request(s, "a", to, { signal: running.signal }),
    request(s, "b", to, { signal: waiting.signal }),
    request(s, "c", to, { timeoutMs: 5_000 }),
  ].map((each) =>
    each.then(
      ({ data }) => data.toString(),
      (error: unknown) => error,
    ),
  );
  expect(await texts(peer, 1)).toEqual(["a"]);
  waiting.abort("no longer");
  running.abort("neither");
  const question = await peer.recvmsg(soon);
  expect(question.data.toString()).toBe("c");
  await question.reply("C");
  expect(await Promise.all(outcomes)).toEqual(["neither", "no longer", "C"]);
});

// semantics: request-accept
contract("accept refuses datagrams, which the receive calls get", async ({ bound }) => {
  const [peer, s] = [await bound(), await bound()];
  const accept = ({ data }: Datagram): boolean => data.toString() === "yes";
  const asked = request(s, "x", peer.getsockname(), { accept });
  const question = await peer.recvmsg(soon);
  for (const text of ["no", "yes"]) await question.reply(text);
  expect((await asked).data.toString()).toBe("yes");
  expect(await texts(s, 1)).toEqual(["no"]);
  const failed = request(s, "x", peer.getsockname(), {
    accept: () => {
      throw new Error("mine");
    },
  });
  await (await peer.recvmsg(soon)).reply("kept");
  await expect(failed).rejects.toThrow("mine");
  expect(await texts(s, 1)).toEqual(["kept"]);
});

// semantics: request-end
contract("a signal and close() end requests that wait", async ({ bound }) => {
  const [peer, s] = [await bound(), await bound()];
  const to = peer.getsockname();
  await expect(request(s, "x", to, { signal: AbortSignal.abort("before") })).rejects.toBe("before");
  const control = new AbortController();
  const aborted = request(s, "x", to, { signal: control.signal });
  control.abort("reason");
  await expect(aborted).rejects.toBe("reason");
  const waiting = [request(s, "x", to), request(s, "y", to), collect(s, "z", to)].map(failure);
  await peer.recvmsg(soon);
  await s.close();
  for (const error of await Promise.all(waiting)) expect(error.code).toBe("ECANCELED");
  expect(await failure(request(s, "x", to))).toMatchObject({ code: "EBADF", syscall: "request" });
});

// semantics: request-end
contract("close() ends a request that waits for its turn with ECANCELED", async ({ bound }) => {
  const [peer, s] = [await bound(), await bound()];
  const waiting = ["x", "y"].map((text) => failure(request(s, text, peer.getsockname())));
  expect(await texts(peer, 1)).toEqual(["x"]);
  await s.close();
  for (const error of await Promise.all(waiting)) {
    expect(error).toMatchObject({ code: "ECANCELED", syscall: "request" });
  }
});

// semantics: request-end
contract(
  "a signal that ends requests in a row sends none of those that wait for their turn",
  async ({ bound }) => {
    const [peer, s] = [await bound(), await bound()];
    const control = new AbortController();
    const options = { signal: control.signal, ackTimeoutMs: 60_000 };
    const outcomes = numbered(10).map((text) =>
      request(s, text, peer.getsockname(), options).catch((error: unknown) => error),
    );
    expect(await texts(peer, 1)).toEqual(["0"]);
    control.abort("enough");
    expect(await Promise.all(outcomes)).toEqual(outcomes.map(() => "enough"));
    await s.sendto("next", peer.getsockname());
    expect(await texts(peer, 1)).toEqual(["next"]);
  },
);

// semantics: request-limit
contract("more than 1,024 requests on one socket are ENOBUFS", async ({ bound }) => {
  const [peer, s] = [await bound(), await bound()];
  const control = new AbortController();
  const { signal } = control;
  const outcomes = numbered(1025).map((text) =>
    request(s, text, peer.getsockname(), { signal }).catch((error: unknown) => error),
  );
  expect(await outcomes[1024]).toMatchObject({ code: "ENOBUFS" });
  control.abort("enough");
  expect((await Promise.all(outcomes)).filter((each) => each === "enough").length).toBe(1024);
});

// semantics: request-bad
contract("request and collect refuse wrong arguments", async ({ bound, localhost }) => {
  const s = await bound();
  const to = s.getsockname();
  const outcomes: [Promise<unknown>, object][] = [
    [request({} as never, "x", to), { code: "ERR_INVALID_ARG_TYPE" }],
    [request(s, 1 as never, to), { code: "ERR_INVALID_ARG_TYPE" }],
    [request(s, "x", [localhost(), 0]), { code: "EINVAL" }],
    [request(s, "x", [localhost(AF_INET6), 9]), { code: "EAFNOSUPPORT" }],
    [request(s, "x", ["239.1.2.3", 9]), { code: "EINVAL", message: /collect\(\)/ }],
    [request(s, "x", ["<broadcast>", 9]), { code: "EINVAL" }],
    [request(s, "x", to, null as never), { code: "ERR_INVALID_ARG_TYPE" }],
    [request(s, "x", to, { timeout: 1 } as never), { code: "ERR_OUT_OF_RANGE", message: /timeoutMs/ }],
    [request(s, "x", to, { ackTimeoutMs: 0 }), { code: "ERR_OUT_OF_RANGE" }],
    [request(s, "x", to, { ackRandomFactor: 0.5 }), { code: "ERR_OUT_OF_RANGE" }],
    [request(s, "x", to, { maxRetransmit: 21 }), { code: "ERR_OUT_OF_RANGE" }],
    [request(s, "x", to, { timeoutMs: Infinity }), { code: "ERR_OUT_OF_RANGE" }],
    [request(s, "x", to, { accept: 1 as never }), { code: "ERR_INVALID_ARG_TYPE" }],
    [request(s, "x", to, { signal: 1 as never }), { code: "ERR_INVALID_ARG_TYPE" }],
    [request(s, Buffer.alloc(65_508), to), { code: "EMSGSIZE", limit: 65_507 }],
    [collect(s, "x", to, { sends: 0 }), { code: "ERR_OUT_OF_RANGE" }],
    [collect(s, "x", to, { max: 0 }), { code: "ERR_OUT_OF_RANGE" }],
    [collect(s, "x", to, { anyPort: 1 as never }), { code: "ERR_INVALID_ARG_TYPE" }],
    [collect(s, "x", to, { anyport: true } as never), { code: "ERR_OUT_OF_RANGE", message: /anyPort/ }],
  ];
  for (const [index, [call, { message, ...fields }]] of (
    outcomes as [Promise<unknown>, { message?: RegExp }][]
  ).entries()) {
    const error: unknown = await call.then(
      () => "it succeeded",
      (reason: unknown) => reason,
    );
    expect(error, `${index}`).toMatchObject(fields);
    if (message) expect((error as Error).message).toMatch(message);
  }
});

// semantics: collect
contract("collect returns one answer from each host that answers a broadcast", async (world) => {
  const s = world.socket();
  s.setsockopt(SOL_SOCKET, SO_BROADCAST, true);
  await s.bind([world.localhost(), 0]);
  const device = world.socket();
  await device.bind(["", 0]);
  answering(device, "device ");
  const heard: string[] = [];
  const options = { timeoutMs: 300, onAnswer: ({ data }: Datagram) => void heard.push(data.toString()) };
  const answers = await collect(s, "who?", [world.broadcast, device.getsockname().port], options);
  expect(answers.map(({ data }) => data.toString())).toEqual(["device who?"]);
  expect(heard).toEqual(["device who?"]);
  expect(s.stats().sent.datagrams).toBe(3);
});

// semantics: collect
contract("collect ends at its largest number of answers, and leaves other datagrams", async (world) => {
  const [s, first, second] = [await world.bound(), await world.bound(), await world.bound()];
  const asked = collect(s, "who?", first.getsockname(), { anyPort: true, max: 2 });
  await second.sendto("second", s.getsockname());
  const question = await first.recvmsg(soon);
  await question.reply("first");
  expect((await asked).map(({ data }) => data.toString()).sort()).toEqual(["first", "second"]);
  const strict = collect(s, "who?", first.getsockname(), { max: 1 });
  await second.sendto("another port", s.getsockname());
  await (await first.recvmsg(soon)).reply("first");
  expect((await strict).map(({ data }) => data.toString())).toEqual(["first"]);
  expect(await texts(s, 1)).toEqual(["another port"]);
});

// semantics: collect
contract("collect without an answer returns none", async ({ bound }) => {
  const [s, silent] = [await bound(), await bound()];
  expect(await collect(s, "who?", silent.getsockname(), { timeoutMs: 20, sends: 2 })).toEqual([]);
  expect(s.stats().sent.datagrams).toBe(2);
});
