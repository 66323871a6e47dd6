/** With any fault of a driver, every call of its socket settles, `close()` ends, and the program can run in between. */

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { AF_INET, SOL_SOCKET, SO_RCVBUF } from "../../src/core/constants.js";
import { OSError } from "../../src/core/errors/errors.js";
import { Socket } from "../../src/core/socket/socket.js";
import { request } from "../../src/message/any-peer/request.js";
import { Random } from "../../src/sim/random.js";
import { HostileStack, type Method, type Mood, type Sending, methods } from "./fixtures/hostile.js";

const peer = ["127.0.0.1", 4000] as const;
/** How long `close()` waits at most for datagrams that were sent before, in milliseconds. */
const lingerMs = 5000;
/** A thrown value that is no error. */
const noError = "a string";

/** Errors that nothing caught. */
const uncaught: unknown[] = [];
const note = (error: unknown): void => void uncaught.push(error);

beforeEach(() => {
  uncaught.length = 0;
  process.on("unhandledRejection", note);
});

afterEach(() => {
  process.off("unhandledRejection", note);
  expect(uncaught).toEqual([]);
});

/** A socket over such a driver; `undefined` if it cannot be opened. */
function opened(stack: HostileStack): Socket | undefined {
  for (let tries = 0; tries < 3; tries++) {
    try {
      return new Socket(stack, AF_INET);
    } catch (error) {
      if (error !== noError) expect(error).toBeInstanceOf(Error);
    }
  }
  return undefined;
}

/** Lets the program and the driver run for some turns, while the clock stands still. */
async function turns(count = 4): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The number of calls that have not returned. */
function stackDepth(): number {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = Infinity;
  const depth = new Error().stack!.split("\n").length;
  Error.stackTraceLimit = limit;
  return depth;
}

/** The outcome of a call. `settled` is missing until the call has settled. */
interface Outcome {
  readonly name: string;
  settled?: unknown;
}

/** Makes every kind of call at once. If `iterates` is true, an iteration keeps other calls from reading. */
function everyCall(s: Socket, iterates: boolean): Outcome[] {
  const signal = AbortSignal.abort(new OSError("ECANCELED"));
  const long = Buffer.alloc(2000);
  const calls: Record<string, () => unknown> = {
    iterate: async () => {
      for await (const datagram of s) if (datagram.size === 0) break;
    },
    bind: () => s.bind(["127.0.0.1", 4000]),
    sendto: () => s.sendto("a", peer),
    "sendto, a long one": () => s.sendto(long, peer),
    "sendto, a name": () => s.sendto("b", ["a.test", 4000]),
    connect: () => s.connect(peer),
    send: () => s.send("c"),
    sendMany: () => s.sendMany(["d", "e", long], peer),
    "sendMany, to several": () =>
      s.sendMany(["f", "g"].map((data, index) => ({ data, address: ["127.0.0.1", 4000 + index] as const }))),
    "connect, a name": () => s.connect(["b.test", 4000]),
    recvfrom: () => s.recvfrom(10),
    recvMany: () => s.recvMany(3, { timeoutMs: 50 }),
    recvmsg: () => s.recvmsg({ timeoutMs: 0 }),
    "recv, aborted": () => s.recv(10, { signal }),
    "connect, null": () => s.connect(null),
    "sendto, at last": () => s.sendto("", peer),
    getsockname: () => s.getsockname(),
    getpeername: () => s.getpeername(),
    setsockopt: () => s.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096),
    getsockopt: () => s.getsockopt(SOL_SOCKET, SO_RCVBUF),
    "setsockopt, bytes": () => s.setsockopt(SOL_SOCKET, 1234, Buffer.alloc(4)),
    "getsockopt, bytes": () => s.getsockopt(SOL_SOCKET, 1234, 4),
    addMembership: () => s.addMembership("239.1.1.1"),
    pathMtu: () => s.pathMtu(peer),
    maxPayload: () => s.maxPayload(peer),
    stats: () => s.stats(),
    random: () => s.random(),
    "unref, ref": () => s.unref().ref(),
  };
  if (!iterates) delete calls.iterate;
  return Object.entries(calls).map(([name, call]) => {
    const outcome: Outcome = { name };
    // For this test it makes no difference whether a call throws or rejects.
    void (async () => call())().then(
      () => (outcome.settled = true),
      (error: unknown) => (outcome.settled = error),
    );
    return outcome;
  });
}

/** Makes every call on a socket of such a driver, and closes it. Expects that all of them settle in time. */
async function expectAllSettle(mood: Mood, about: string): Promise<HostileStack> {
  const stack = new HostileStack(mood);
  const s = opened(stack);
  if (!s) return stack;
  const endTap = s.tap(() => undefined);
  const outcomes = everyCall(s, false);
  await turns();
  stack.clock.advance(100);
  await turns();
  outcomes.push(...everyCall(s, true));
  await turns();
  endTap();
  const closing: Outcome = { name: "close" };
  void s.close().then(
    () => (closing.settled = true),
    (error: unknown) => (closing.settled = error),
  );
  await turns();
  stack.clock.advance(lingerMs);
  await turns();
  stack.clock.advance(60_000);
  await turns();
  expect(closing, about).toEqual({ name: "close", settled: true });
  const hanging = outcomes.filter(({ settled }) => settled === undefined).map(({ name }) => name);
  expect(hanging, about).toEqual([]);
  for (const { name, settled } of outcomes) {
    if (settled !== true && settled !== noError) expect(settled, `${about}: ${name}`).toBeInstanceOf(Error);
  }
  await expect(s.sendto("x", peer), about).rejects.toMatchObject({ code: "EBADF" });
  expect(s.stats(), about).toBeDefined();
  return stack;
}

/** The values that a driver may throw. */
const failures = {
  "an OSError": new OSError("ENOMEM"),
  "no error": noError,
} as const;

describe.each([true, false])("if a driver throws and batches is %s", (batches) => {
  // semantics: driver-fault
  test.each(methods)(
    "every call settles and close() returns if %s throws, once or always",
    async (method) => {
      for (const [what, failure] of Object.entries(failures)) {
        for (const times of [1, Infinity]) {
          let left = times;
          const before = (called: Method): void => {
            // oxlint-disable-next-line typescript/only-throw-error -- a driver may throw anything
            if (called === method && left-- > 0) throw failure;
          };
          const stack = await expectAllSettle({ before, batches }, `${method} throws ${what} ${times} times`);
          expect(stack.calls.get(method), method).toBeGreaterThan(0);
        }
      }
    },
  );
});

// semantics: driver-fault
test("if the driver throws for one send, only that send fails, with the driver's error, and later ones are sent", async () => {
  let left = 1;
  const before = (method: Method): void => {
    if (method === "send" && left-- > 0) throw new TypeError("a mistake");
  };
  const s = opened(new HostileStack({ before }))!;
  const sends = await Promise.allSettled(["a", "b", "c"].map((data) => s.sendto(data, peer)));
  expect(sends.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
  expect(sends[0]).toMatchObject({
    reason: {
      message: "sendto 127.0.0.1:4000: the driver failed: a mistake (EIO)",
      address: "127.0.0.1",
      cause: new TypeError("a mistake"),
    },
  });
  expect(s.stats().sendErrors).toEqual({ EIO: 1 });
  await expect(s.sendto("d", peer)).resolves.toBe(1);
  await s.close();
});

// semantics: driver-fault
test("a request fails if the driver throws when it starts to wait, and the next request is answered", async () => {
  let left = 1;
  const before = (method: Method): void => {
    if (method === "keepAlive" && left-- > 0) throw new OSError("ENOMEM");
  };
  const s = opened(new HostileStack({ before }))!;
  await s.bind(peer);
  await expect(request(s, "a", peer)).rejects.toMatchObject({ code: "ENOMEM" });
  expect((await request(s, "b", peer)).data.toString()).toBe("b");
  await s.close();
});

// semantics: driver-fault
test("a request fails at once if the driver throws when it reads, and the next request is answered", async () => {
  let fails = true;
  const before = (method: Method): void => {
    if (method === "receive" && fails) throw new OSError("ENOMEM");
  };
  const s = opened(new HostileStack({ before }))!;
  await s.bind(peer);
  await expect(request(s, "a", peer)).rejects.toMatchObject({ code: "ENOMEM" });
  fails = false;
  // The host echoes each datagram, so the earlier one may be the answer.
  expect((await request(s, "b", peer)).size).toBe(1);
  await s.close();
});

// semantics: driver-fault
test("requests that wait for their turn fail one after the other if the driver cannot read, and not inside of each other", async () => {
  let fails = false;
  let deepest = 0;
  const before = (method: Method): void => {
    if (method !== "wantReadable" || !fails) return;
    deepest = Math.max(deepest, stackDepth());
    throw new OSError("ENOMEM");
  };
  const stack = new HostileStack({ before, sending: () => "never" });
  const s = opened(stack)!;
  await s.bind(peer);
  const first = new AbortController();
  const asked = Array.from({ length: 50 }, (_, at) =>
    request(s, "a", peer, at === 0 ? { signal: first.signal } : {}),
  );
  const outcomes = Promise.allSettled(asked);
  await turns();
  fails = true;
  first.abort();
  const failed = (await outcomes).slice(1);
  expect(failed).toEqual(Array(49).fill({ status: "rejected", reason: new OSError("ENOMEM") }));
  expect(deepest).toBeGreaterThan(0);
  expect(deepest).toBeLessThan(100);
  const closed = s.close();
  await turns();
  stack.clock.advance(lingerMs);
  await closed;
});

const sendings: Sending[] = ["now", "later", "never", "too many", "none of it", "late", "from inside"];

test.each(sendings)("every call settles if the driver settles a batch in this way: %s", async (how) => {
  for (const batches of [true, false]) {
    const stack = await expectAllSettle({ sending: () => how, batches, afterClose: true }, how);
    const said = stack.objections.map((each) => (each as Error).message);
    const wanted = {
      "too many": /^the driver broke its contract: it settled \d+ datagrams, and has \d+$/,
      "from inside": /^the driver broke its contract: it settled datagrams during a call$/,
    }[how as string];
    if (!wanted) expect(said).toEqual([]);
    else expect(said.filter((each) => !wanted.test(each))).toEqual([]);
    expect(said.length > 0).toBe(wanted !== undefined);
  }
});

test.each(methods)("every call settles if a driver calls its events during %s", async (method) => {
  await expectAllSettle({ eager: (called) => called === method }, method);
});

test("every call settles if the driver's bind, connect and lookups never settle", async () => {
  await expectAllSettle({ neverDone: () => true }, "never");
});

test("every call settles with random faults of a driver (50 runs, seeded)", async () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = new Random(seed, "hostile");
    const next = (): number => random.fraction();
    const share = next();
    await expectAllSettle(
      {
        before: () => {
          if (next() < share) throw next() < 0.5 ? new OSError("ENOMEM") : new TypeError("at random");
        },
        sending: () => sendings[Math.floor(next() * sendings.length)]!,
        neverDone: () => next() < share / 4,
        eager: () => next() < share / 4,
        afterClose: next() < 0.5,
        batches: next() < 0.5,
      },
      `seed ${seed}`,
    );
  }
});

describe("if receive of a driver fails again and again", () => {
  /** A socket whose driver fails that many receives, and the deepest nesting of its calls. */
  function failing(code: string, times: number): { s: Socket; seen: { depth: number; left: number } } {
    const seen = { depth: 0, left: times };
    const before = (method: Method): void => {
      if (method !== "receive" || seen.left === 0) return;
      seen.left--;
      if (seen.left % 100 === 0) seen.depth = Math.max(seen.depth, depth());
      throw new OSError(code, { syscall: "recvfrom" });
    };
    const stack = new HostileStack({ before });
    return { s: opened(stack)!, seen };
  }

  // semantics: receive-failures
  test("an iteration continues after 5,000 ICMP errors, without nested calls, and the program can run in between", async () => {
    const { s, seen } = failing("ECONNREFUSED", 5000);
    let turned = 0;
    const turn = (): void => {
      turned++;
      if (seen.left > 0) setImmediate(turn);
    };
    setImmediate(turn);
    await s.sendto("after all", peer);
    for await (const { data } of s) {
      expect(data.toString()).toBe("after all");
      break;
    }
    expect(seen.left).toBe(0);
    expect(seen.depth).toBeLessThan(40);
    expect(turned).toBeGreaterThan(2);
    await s.close();
  });

  // semantics: receive-failures
  test("an iteration ends with ENOMEM, and the socket can still be read", async () => {
    const { s } = failing("ENOMEM", 1);
    await s.sendto("still there", peer);
    const read = async (): Promise<string> => {
      for await (const { data } of s) return data.toString();
      return "the end";
    };
    await expect(read()).rejects.toMatchObject({ code: "ENOMEM" });
    await expect(read()).resolves.toBe("still there");
    await s.close();
  });

  test.each(["ENOMEM", "ECONNREFUSED"])(
    "a loop that calls again after each %s lets the program run in between",
    async (code) => {
      const { s } = failing(code, Infinity);
      let [over, tries] = [false, 0];
      setImmediate(() => setImmediate(() => (over = true)));
      await s.sendto("x", peer);
      const codes = new Set<unknown>();
      for (; !over && tries < 1e6; tries++) {
        await s.recvfrom(10).catch((error: unknown) => codes.add((error as OSError).code));
      }
      expect({ over, codes: [...codes] }).toEqual({ over: true, codes: [code] });
      await s.close();
    },
  );

  test("an error while recvMany reads more is the error of the next call, and of no later one", async () => {
    let calls = 0;
    const before = (method: Method): void => {
      if (method === "receive" && ++calls === 2) throw new OSError("ECONNREFUSED", { syscall: "recvfrom" });
    };
    const s = opened(new HostileStack({ before, more: true }))!;
    await s.connect(peer);
    await s.send("first");
    await turns();
    expect((await s.recvMany(2)).map(({ data }) => data.toString())).toEqual(["first"]);
    expect(s.stats().unreachable).toEqual({ ECONNREFUSED: 1 });
    await expect(s.recv(10)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await expect(s.recv(10, { timeoutMs: 0 })).rejects.toMatchObject({ code: "EAGAIN" });
    expect(s.stats().unreachable).toEqual({ ECONNREFUSED: 1 });
    await s.close();
  });
});

/** The number of calls on the stack. */
function depth(): number {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = Infinity;
  const lines = new Error().stack!.split("\n").length;
  Error.stackTraceLimit = stackTraceLimit;
  return lines;
}
