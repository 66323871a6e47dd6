import { gzip } from "node:zlib";
import { promisify } from "node:util";

import { AF_INET6, OSError, SOL_SOCKET, SO_BROADCAST } from "datagram";
import { Network, StuckError } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { chain, failure, heard, pause, textsOf } from "./tools.js";

const camera = ["10.9.0.2", 9000] as const;

describe("the error of a program that fails", () => {
  const line = (ms: number): string =>
    `(at ${ms} ms of virtual time; seed 815: new Network({ seed: 815 }) repeats this run)`;

  for (const [what, error] of [
    ["an Error", () => new Error("it went wrong")],
    ["an OSError", () => new OSError("ECONNREFUSED", { text: "it went wrong" })],
    [
      "a DOMException, the reason of an aborted signal",
      () => new DOMException("it went wrong", "AbortError"),
    ],
    ["an Error with an empty message", () => new Error("")],
  ] as const) {
    test(`${what} stays the same error, with the seed and the line that repeats the run in its message and its stack`, async () => {
      const { network } = chain(4, {});
      const thrown = error();
      const { message } = thrown;
      const caught = await failure(
        network.run(async () => {
          await pause(250);
          throw thrown;
        }),
      );
      expect(caught).toBe(thrown);
      expect((caught as Error).message).toBe(`${message}\n${line(250)}`);
      expect((caught as Error).stack).toContain(line(250));
    });
  }

  test("the seed is added once, even through several runs, and a value that is no Error is not changed", async () => {
    const { network } = chain(4, {});
    const error = new Error("it went wrong");
    for (let round = 0; round < 2; round++) await failure(network.run(() => Promise.reject(error)));
    expect(error.message).toBe(`it went wrong\n${line(0)}`);
    expect(
      await failure(
        network.run(() => {
          // oxlint-disable-next-line typescript/only-throw-error -- programs do
          throw "text";
        }),
      ),
    ).toBe("text");
    const frozen = Object.freeze(new Error("cold"));
    expect(await failure(network.run(() => Promise.reject(frozen)))).toBe(frozen);
  });

  test("the timeout of a receive call has the call's message too", async () => {
    const { network, desk } = chain(4, {});
    const caught = await failure(network.run(() => desk.socket().recv(10, { timeoutMs: 100 })));
    expect(caught).toMatchObject({
      code: "ETIMEDOUT",
      message: expect.stringMatching(
        /no datagram in 100 ms.*\n\(at 100(\.1)? ms of virtual time; seed 815/,
      ) as string,
    });
  });
});

describe("a program that waits for something that can never happen", () => {
  test("such a program ends with an error that names each host and socket", async () => {
    const { network, desk, camera: host } = chain(4, {});
    const error = await failure(
      network.run(async () => {
        const r = host.socket();
        await r.bind(["0.0.0.0", 9000]);
        const s = desk.socket();
        await s.connect(camera);
        await Promise.all([r.recv(10), s.recv(10), desk.socket(AF_INET6).recv(10)]);
      }),
    );
    expect(error).toBeInstanceOf(StuckError);
    expect(error).toMatchObject({ code: "ERR_SIM_DEADLOCK" });
    const { message, waiting } = error as StuckError;
    expect(waiting).toEqual([
      expect.stringMatching(/^desk waits for a datagram on 10\.0\.0\.1:\d+$/),
      "desk waits for a datagram on a socket that is not bound",
      "camera waits for a datagram on 0.0.0.0:9000",
    ]);
    for (const each of waiting) expect(message).toContain(each);
    expect(message).toContain("seed 815");
  });

  test("a receive call with a timeout is no such wait", async () => {
    const { network, desk } = chain(4, {});
    await network.run(async () => {
      expect(await failure(desk.socket().recv(10, { timeoutMs: 3_500_000 }))).toMatchObject({
        code: "ETIMEDOUT",
      });
    });
    expect(Math.floor(network.clock.now())).toBe(3_500_000);
  });

  test("a program that sets timers for ever ends at the limit", async () => {
    const { network, desk } = chain(4, {});
    const error = await failure(
      network.run(
        async () => {
          setInterval(() => undefined, 1000);
          await desk.socket().recv(10);
        },
        { limitMs: 60_000 },
      ),
    );
    expect(error).toMatchObject({
      code: "ERR_SIM_TIME_LIMIT",
      waiting: [expect.stringMatching(/^desk waits/)],
    });
  });
});

test("a broadcast that circulates between switches for ever ends the run with an error that names the links", async () => {
  const network = new Network();
  const a = network.host("a", { address: "10.0.0.1" });
  const [x, y, z] = [network.switch("x"), network.switch("y"), network.switch("z")];
  network.link(a, x);
  for (const [from, to] of [
    [x, y],
    [y, z],
    [z, x],
  ] as const) {
    network.link(from, to);
  }
  const error = await failure(
    network.run(async () => {
      const s = a.socket();
      s.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
      await s.sendto("x", ["255.255.255.255", 9000]);
      await pause(10);
    }),
  );
  expect(error).toMatchObject({ code: "ERR_SIM_LIVELOCK" });
  for (const name of ["x→y", "y→z", "z→x"]) expect((error as Error).message).toContain(`on ${name}`);
});

test("sockets are closed when the run settles, with success or failure, and every later call fails", async () => {
  for (const fails of [false, true]) {
    const { network, desk } = chain(4, {});
    const [s, other] = [desk.socket(), desk.socket()];
    let iteration: Promise<string> | undefined;
    const run = network.run(async () => {
      await s.bind(["0.0.0.0", 9000]);
      // The loop of the page, which nothing ends: nobody would handle a rejection here, and the process would end.
      void (async () => {
        for (;;) await s.recvfrom(64);
      })();
      iteration = (async () => {
        for await (const { source } of other) expect.unreachable(`from ${source}`);
        return "it ended";
      })();
      await pause(10);
      if (fails) throw new Error("it went wrong");
    });
    await run.catch(() => undefined);
    expect(await iteration).toBe("it ended");
    for (const each of [s, other]) expect(await failure(each.recv(10))).toMatchObject({ code: "EBADF" });
  }
});

test("two runs on one network follow each other: time continues, ports are free again, the trace has both", async () => {
  const { network, desk, camera: host } = chain(4, { latencyMs: 10 });
  for (const round of [1, 2]) {
    const got = await network.run(async () => {
      const r = host.socket();
      await r.bind(["0.0.0.0", 9000]);
      await desk.socket().sendto(`round ${round}`, camera);
      return (await r.recv(100)).toString();
    });
    expect([got, network.clock.now(), network.trace.packets.length]).toEqual([
      `round ${round}`,
      10 * round,
      round,
    ]);
  }
});

test("packets in flight at the end of a run arrive in the next", async () => {
  const { network, desk, camera: host } = chain(4, { latencyMs: 10 });
  await network.run(() => desk.socket().sendto("late", camera));
  await network.run(async () => {
    const r = host.socket();
    await r.bind(["0.0.0.0", 9000]);
    expect([(await r.recv(100)).toString(), network.clock.now()]).toEqual(["late", 10]);
  });
});

test("network.real holds the clock during work that virtual time cannot see", async () => {
  const { network } = chain(4, {});
  await network.run(async () => {
    const timeout = pause(1).then(() => "timer");
    const work = network.real(promisify(gzip)(Buffer.alloc(1 << 20))).then(() => "work");
    expect(await Promise.race([timeout, work])).toBe("work");
    expect(network.clock.now()).toBe(0);
    expect(await failure(network.real(Promise.reject(new Error("it went wrong"))))).toMatchObject({
      message: "it went wrong",
    });
  });
  expect(await network.real(Promise.resolve(5))).toBe(5);
});

test("network.eventually waits in virtual time until a check passes, or its error says which check failed", async () => {
  const { network, desk, camera: host } = chain(4, { latencyMs: 500 });
  await network.run(async () => {
    const r = host.socket();
    await r.bind(["0.0.0.0", 9000]);
    const all = heard(r);
    await desk.socket().sendto("x", camera);
    await network.eventually(() => expect(textsOf(all)).toEqual(["x"]));
    expect(network.clock.now()).toBe(500);
    await network.eventually(() => network.clock.now() >= 700);
    const error = await failure(network.eventually(() => expect(all).toHaveLength(2), { timeoutMs: 300 }));
    expect(error).toMatchObject({
      message: expect.stringMatching(/^the check still fails after 300 ms of virtual time: /) as string,
    });
    expect((error as Error).cause).toMatchObject({ name: "AssertionError" });
    expect(network.clock.now()).toBe(1000);
  });
});

test("hosts can look up each other's names, in the family that is asked for", async () => {
  const network = new Network();
  const a = network.host("a", { address: "10.0.0.1" });
  const b = network.host("b", { addresses: ["10.0.0.2", "fd00::2"] });
  network.link(a, b);
  await network.run(async () => {
    const r = b.socket();
    await r.bind(["b", 9000]);
    expect(r.getsockname().host).toBe("10.0.0.2");
    await a.socket().sendto("x", ["b", 9000]);
    expect((await r.recvmsg()).source.host).toBe("10.0.0.1");
    // A name with an IPv4 address only, on an IPv6 socket.
    const v6 = b.socket(AF_INET6);
    await v6.connect(["a", 9000]);
    expect(v6.getpeername().host).toBe("::ffff:10.0.0.1");
    expect(await failure(v6.sendto("x", ["nobody", 9000]))).toMatchObject({ code: "ENOTFOUND" });
  });
});

test("if a program awaits one send after another, time continues, and other parts of it run", async () => {
  const { network, desk } = chain(4, {});
  await network.run(async () => {
    const s = desk.socket();
    let done = false;
    setTimeout(() => (done = true), 5);
    let sent = 0;
    while (!done && sent < 1_000_000) sent += await s.sendto("x", camera);
    expect(done).toBe(true);
    // About ten million for each second of virtual time.
    expect(sent).toBeLessThan(100_000);
  });
});

test("a signal ends a run with its reason, in the middle of any call, and the next run works", async () => {
  const { network } = chain(4, {});
  const controller = new AbortController();
  let ticks = 0;
  const run = network.run(
    async () => {
      setInterval(() => {
        if (++ticks === 100) controller.abort(new Error("the test's time is over"));
      }, 1);
      await new Promise(() => undefined);
    },
    { signal: controller.signal },
  );
  expect(String(await failure(run))).toMatch(/^Error: the test's time is over\n/);
  expect(ticks).toBeLessThan(110);
  expect(await network.run(() => "the next")).toBe("the next");
});

test("eventually() outside of a run is refused, since time stands still there", async () => {
  const { network } = chain(4, {});
  expect(String(await failure(network.eventually(() => true)))).toContain("outside of run()");
});

const realSetImmediate = setImmediate;

test("after a signal has ended a run, the thread is free at once: for the next run, and for real timers", async () => {
  const { network } = chain(4, {});
  const controller = new AbortController();
  const run = failure(
    network.run(() => network.real(new Promise(() => undefined)), { signal: controller.signal }),
  );
  while (setImmediate === realSetImmediate) await new Promise((resolve) => realSetImmediate(resolve));
  // A test framework does the same: it starts the next test without a turn of the loop.
  controller.abort(new Error("time is over"));
  expect(Date.now()).toBeGreaterThan(Date.UTC(2026, 0, 2));
  expect(setImmediate).toBe(realSetImmediate);
  expect(await new Network().run(() => "the next")).toBe("the next");
  expect(String(await run)).toMatch(/^Error: time is over\n/);
});
