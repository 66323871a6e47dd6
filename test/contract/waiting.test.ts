import { OSError, TimeoutError } from "datagram";
import { expect } from "vitest";

import { compute, contract, failure, numbered, soon, texts, turn, withStops } from "./world.js";

// semantics: timeout
contract(
  "a timeout is a TimeoutError ETIMEDOUT, and the datagram that comes later is not lost",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    receiver.settimeout(0.05);
    const started = receiver.clock.now();
    const error = await failure(receiver.recvfrom(64));
    expect(receiver.clock.now() - started).toBeGreaterThanOrEqual(49);
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toBeInstanceOf(OSError);
    expect(error).toMatchObject({ name: "TimeoutError", code: "ETIMEDOUT", syscall: "recvfrom" });
    await sender.sendto("late", receiver.getsockname());
    receiver.settimeout(null);
    expect(await texts(receiver, 1)).toEqual(["late"]);
  },
);

// semantics: timeout
contract("every receive call times out", async ({ bound }) => {
  const receiver = await bound();
  receiver.settimeout(0.01);
  const calls = [receiver.recvfrom(64), receiver.recv(64), receiver.recvmsg(), receiver.recvMany(4)];
  const errors = await Promise.all(calls.map((call) => failure(call)));
  expect(errors.map(({ code }) => code)).toEqual(["ETIMEDOUT", "ETIMEDOUT", "ETIMEDOUT", "ETIMEDOUT"]);
  expect(errors.map(({ syscall }) => syscall)).toEqual(["recvfrom", "recv", "recvmsg", "recvMany"]);
});

// semantics: timeout
contract("a short wait ends although a longer one was called before it", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const long = receiver.recv(64, { timeoutMs: 3_600_000 });
  await expect(failure(receiver.recv(64, { timeoutMs: 20 }))).resolves.toMatchObject({ code: "ETIMEDOUT" });
  await expect(failure(receiver.recv(64, { timeoutMs: 10 }))).resolves.toMatchObject({ code: "ETIMEDOUT" });
  await sender.sendto("hello", receiver.getsockname());
  expect((await long).toString()).toBe("hello");
});

// semantics: timeout
contract("several waits with different times all end", async ({ bound }) => {
  const receiver = await bound();
  const waits = [50, 10, 30].map((timeoutMs) => failure(receiver.recv(64, { timeoutMs })));
  expect((await Promise.all(waits)).map(({ code }) => code)).toEqual(["ETIMEDOUT", "ETIMEDOUT", "ETIMEDOUT"]);
});

// semantics: timeout-zero
contract("a call that does not wait takes no datagram from one that waits", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const waiting = receiver.recv(64, soon);
  await turn(receiver);
  await sender.sendto("1", receiver.getsockname());
  const second = await receiver.recv(64, { timeoutMs: 0 }).catch((error: unknown) => error);
  expect((await waiting).toString()).toBe("1");
  expect(second).toMatchObject({ code: "EAGAIN" });
});

// semantics: timeout-zero
contract("settimeout(0) without a datagram is EAGAIN", async ({ bound }) => {
  const receiver = await bound();
  receiver.settimeout(0);
  const error = await failure(receiver.recvfrom(64));
  expect(error).not.toBeInstanceOf(TimeoutError);
  expect(error).toMatchObject({ code: "EAGAIN", syscall: "recvfrom" });
});

// semantics: timeout-zero
contract("settimeout(0) returns the datagrams that are there, one for each call", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  receiver.settimeout(0);
  await sender.sendMany(numbered(20), receiver.getsockname());
  const found: string[] = [];
  while (found.length < 20) found.push((await receiver.recv(64)).toString());
  expect(found).toEqual(numbered(20));
  await expect(failure(receiver.recv(64))).resolves.toMatchObject({ code: "EAGAIN" });
});

// semantics: timeout-modes
contract("gettimeout, setblocking and getblocking work as in Python", ({ socket }) => {
  const s = socket();
  expect([s.gettimeout(), s.getblocking()]).toEqual([null, true]);
  s.settimeout(2.5);
  expect([s.gettimeout(), s.getblocking()]).toEqual([2.5, true]);
  s.setblocking(false);
  expect([s.gettimeout(), s.getblocking()]).toEqual([0, false]);
  s.setblocking(true);
  expect([s.gettimeout(), s.getblocking()]).toEqual([null, true]);
  s.settimeout(0);
  expect([s.gettimeout(), s.getblocking()]).toEqual([0, false]);
});

// semantics: timeout-bad
contract("settimeout refuses a value that is not a time, and the old timeout stays", ({ socket }) => {
  const s = socket();
  s.settimeout(3);
  for (const seconds of [-1, -0.001, NaN, Infinity]) {
    const wrong = expect.objectContaining({ name: "RangeError", code: "ERR_OUT_OF_RANGE" }) as Error;
    expect(() => s.settimeout(seconds)).toThrow(wrong);
  }
  for (const seconds of ["x", "1", true, undefined, {}, 1n]) {
    const wrong = expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" }) as Error;
    expect(() => s.settimeout(seconds as never)).toThrow(wrong);
    expect(() => s.setblocking((seconds === true ? null : seconds) as never)).toThrow(wrong);
  }
  expect(s.gettimeout()).toBe(3);
});

// semantics: timeout-of-call
contract("timeoutMs takes precedence over settimeout", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await expect(failure(receiver.recvfrom(64, { timeoutMs: 0 }))).resolves.toMatchObject({ code: "EAGAIN" });
  await expect(failure(receiver.recvfrom(64, { timeoutMs: 10 }))).resolves.toMatchObject({
    code: "ETIMEDOUT",
  });
  receiver.settimeout(0);
  const waiting = receiver.recvmsg({ timeoutMs: Infinity });
  await turn(receiver);
  await sender.sendto("hello", receiver.getsockname());
  expect((await waiting).data.toString()).toBe("hello");
});

// semantics: timeout-modes
contract("settimeout applies to later calls", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const waiting = receiver.recv(64);
  receiver.settimeout(0.01);
  await expect(failure(receiver.recv(64))).resolves.toMatchObject({ code: "ETIMEDOUT" });
  await sender.sendto("hello", receiver.getsockname());
  expect((await waiting).toString()).toBe("hello");
});

// semantics: timeout-bad
contract("wait options of a wrong type are refused at once, and no datagram is lost", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendto("kept", receiver.getsockname());
  const refusal = async (options: unknown): Promise<unknown> =>
    receiver.recvfrom(64, options as never).catch((error: unknown) => error);
  for (const timeoutMs of [-1, NaN]) {
    expect(await refusal({ timeoutMs })).toMatchObject({ name: "RangeError", code: "ERR_OUT_OF_RANGE" });
  }
  for (const options of [
    { timeoutMs: "5" },
    { timeoutMs: null },
    { signal: {} },
    { signal: null },
    5,
    null,
  ]) {
    expect(await refusal(options)).toMatchObject({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" });
  }
  expect(await texts(receiver, 1)).toEqual(["kept"]);
});

// semantics: timeout-of-call
contract("a wait that is longer than any timer of Node still waits", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  for (const timeoutMs of [2 ** 31 - 1, 2 ** 31, 2 ** 32, Number.MAX_VALUE, Infinity]) {
    const waiting = receiver.recv(64, { timeoutMs });
    await turn(receiver);
    await sender.sendto(`${timeoutMs}`, receiver.getsockname());
    expect((await waiting).toString()).toBe(`${timeoutMs}`);
  }
});

// semantics: timeout-in-time
contract(
  "a datagram that came in time is returned, although the program was busy until after the timeout",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const waiting = receiver.recv(64, { timeoutMs: 5 });
    await sender.sendto("in time", receiver.getsockname());
    compute(receiver, 20);
    expect((await waiting).toString()).toBe("in time");
  },
);

// semantics: timeout-in-time
contract(
  "calls that waited too long are all served if their datagrams came in time, on a machine of any speed",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const waiting = numbered(270).map(() => receiver.recv(64, { timeoutMs: 50 }));
    const sending = sender.sendMany(numbered(270), receiver.getsockname());
    await withStops(receiver, async () => {
      compute(receiver, 100);
      expect((await Promise.all(waiting)).map(String)).toEqual(numbered(270));
    });
    await sending;
  },
);

// semantics: timeout-modes
contract("gettimeout returns the value of settimeout", ({ socket }) => {
  const s = socket();
  for (const seconds of [1e-9, 0.1, 0.29, 1 / 3, 4.35, 1e9]) {
    s.settimeout(seconds);
    expect(s.gettimeout()).toBe(seconds);
  }
});
