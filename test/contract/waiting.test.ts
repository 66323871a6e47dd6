import { getEventListeners } from "node:events";

import { OSError, TimeoutError } from "datagram";
import { expect } from "vitest";

import { contract, failure, numbered, pause, texts, turn } from "./world.js";

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

contract("every receive call times out", async ({ bound }) => {
  const receiver = await bound();
  receiver.settimeout(0.01);
  const calls = [receiver.recvfrom(64), receiver.recv(64), receiver.recvmsg(), receiver.recvMany(4)];
  const errors = await Promise.all(calls.map((call) => failure(call)));
  expect(errors.map(({ code }) => code)).toEqual(["ETIMEDOUT", "ETIMEDOUT", "ETIMEDOUT", "ETIMEDOUT"]);
  expect(errors.map(({ syscall }) => syscall)).toEqual(["recvfrom", "recv", "recvmsg", "recvMany"]);
});

contract("a short wait ends though a longer one was called before it", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const long = receiver.recv(64, { timeoutMs: 3_600_000 });
  await expect(failure(receiver.recv(64, { timeoutMs: 20 }))).resolves.toMatchObject({ code: "ETIMEDOUT" });
  await expect(failure(receiver.recv(64, { timeoutMs: 10 }))).resolves.toMatchObject({ code: "ETIMEDOUT" });
  await sender.sendto("hello", receiver.getsockname());
  expect((await long).toString()).toBe("hello");
});

contract("settimeout(0) with nothing there is EAGAIN", async ({ bound }) => {
  const receiver = await bound();
  receiver.settimeout(0);
  const error = await failure(receiver.recvfrom(64));
  expect(error).not.toBeInstanceOf(TimeoutError);
  expect(error).toMatchObject({ code: "EAGAIN", syscall: "recvfrom" });
});

contract("settimeout(0) gives what is there, one call after the other", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  receiver.settimeout(0);
  await sender.sendMany(numbered(20), receiver.getsockname());
  const found: string[] = [];
  while (found.length < 20) found.push((await receiver.recv(64)).toString());
  expect(found).toEqual(numbered(20));
  await expect(failure(receiver.recv(64))).resolves.toMatchObject({ code: "EAGAIN" });
});

contract("gettimeout, setblocking and getblocking are Python's", ({ socket }) => {
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

contract("settimeout refuses what is no time, and keeps the one it has", ({ socket }) => {
  const s = socket();
  s.settimeout(3);
  for (const seconds of [-1, -0.001, NaN, Infinity]) {
    const wrong = expect.objectContaining({ name: "RangeError", code: "ERR_OUT_OF_RANGE" }) as Error;
    expect(() => s.settimeout(seconds)).toThrow(wrong);
  }
  for (const seconds of ["x", "1", true, undefined, {}, 1n]) {
    const wrong = expect.objectContaining({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" }) as Error;
    expect(() => s.settimeout(seconds as never)).toThrow(wrong);
    expect(() => s.setblocking((seconds === true ? 1 : seconds) as never)).toThrow(wrong);
  }
  expect(s.gettimeout()).toBe(3);
});

contract("timeoutMs goes before settimeout", async ({ bound }) => {
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

contract("settimeout is for the calls after it", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const waiting = receiver.recv(64);
  receiver.settimeout(0.01);
  await expect(failure(receiver.recv(64))).resolves.toMatchObject({ code: "ETIMEDOUT" });
  await sender.sendto("hello", receiver.getsockname());
  expect((await waiting).toString()).toBe("hello");
});

contract("wait options of a wrong kind are refused at once, and cost no datagram", async ({ bound }) => {
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

contract("a polling loop with settimeout(0) starves neither timers nor what arrives", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  receiver.setblocking(false);
  let sent = false;
  const sending = pause(sender, 20).then(() => {
    sent = true;
    return sender.sendto("hello", receiver.getsockname());
  });
  let found = "";
  for (let polls = 0; polls < 2_000_000 && found === ""; polls++) {
    found = await receiver
      .recv(64)
      .then(String, (error: OSError) => (error.code === "EAGAIN" ? "" : error.code));
  }
  expect([sent, found]).toEqual([true, "hello"]);
  await sending;
});

contract("a flood read with for await lets a timer fire", async ({ bound }) => {
  const flooded = await bound();
  const [own, sends] = [flooded.getsockname(), [] as Promise<number>[]];
  let fired = false;
  for (let count = 0; count < 100; count++) await flooded.sendto("x", own);
  const timer = pause(flooded, 10).then(() => (fired = true));
  for await (const { data } of flooded) {
    sends.push(flooded.sendto(data, own));
    if (fired || sends.length === 500_000) break;
  }
  expect(fired).toBe(true);
  await Promise.all([...sends, timer]);
});

contract("a signal ends the wait with its reason", async ({ bound }) => {
  const receiver = await bound();
  const [plain, own] = [new AbortController(), new AbortController()];
  const waits = [
    receiver.recvfrom(64, { signal: plain.signal }),
    receiver.recvMany(4, { signal: own.signal }),
  ];
  const [first, second] = waits.map((wait) => wait.catch((error: unknown) => error));
  plain.abort();
  own.abort("enough");
  expect(await first).toBe(plain.signal.reason);
  expect(await first).toMatchObject({ name: "AbortError" });
  expect(await second).toBe("enough");
});

contract(
  "a signal that has fired before the call ends it at once, and no datagram is lost by it",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    await sender.sendto("kept", receiver.getsockname());
    await turn(receiver);
    const signal = AbortSignal.abort();
    await expect(receiver.recvfrom(64, { signal })).rejects.toBe(signal.reason);
    await expect(receiver.recvMany(4, { signal })).rejects.toBe(signal.reason);
    expect(await texts(receiver, 1)).toEqual(["kept"]);
  },
);

contract(
  "an abandoned recvfrom loses nothing, however the signal and the datagram meet",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const found: string[] = [];
    for (const [round, text] of numbered(100).entries()) {
      const abandon = new AbortController();
      const waiting = receiver.recv(64, { signal: abandon.signal }).then(
        (data) => found.push(data.toString()),
        (reason: unknown) => expect(reason).toBe(abandon.signal.reason),
      );
      const sending = sender.sendto(text, receiver.getsockname());
      if (round % 3 > 0) await sending;
      if (round % 3 > 1) await turn(receiver);
      abandon.abort();
      await Promise.all([sending, waiting]);
      if (found.length === round) found.push(...(await texts(receiver, 1)));
    }
    expect(found).toEqual(numbered(100));
  },
);

contract("a thousand waits on one signal add one listener", async ({ bound }) => {
  const [one, other] = [await bound(), await bound()];
  const stop = new AbortController();
  const { signal } = stop;
  const reasons = numbered(1000).map((_, index) =>
    (index % 2 === 0 ? one : other).recvfrom(64, { signal }).catch((reason: unknown) => reason),
  );
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  stop.abort();
  expect(new Set(await Promise.all(reasons))).toEqual(new Set([signal.reason]));
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});

contract(
  "a thousand waits on one signal, each served before the next, add one listener",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const { signal } = new AbortController();
    for (const text of numbered(1000)) {
      const waiting = receiver.recv(64, { signal });
      await sender.sendto(text, receiver.getsockname());
      expect((await waiting).toString()).toBe(text);
    }
    expect(getEventListeners(signal, "abort").length).toBeLessThanOrEqual(1);
  },
);

contract("a signal that fires after its call was served harms nobody", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const late = new AbortController();
  const first = receiver.recv(64, { signal: late.signal });
  const second = receiver.recv(64);
  await sender.sendto("1", receiver.getsockname());
  expect((await first).toString()).toBe("1");
  late.abort();
  await sender.sendto("2", receiver.getsockname());
  expect((await second).toString()).toBe("2");
});
