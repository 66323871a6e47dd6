import type { Datagram, Socket } from "datagram";
import { expect } from "vitest";

import { contract, failure, numbered, soon, texts, turn } from "./world.js";

const textsOf = (batch: readonly Datagram[] | undefined): string[] =>
  (batch ?? []).map(({ data }) => data.toString());

/** Reads with `batches` until `count` datagrams are there, or the iteration ends. Returns the texts of each batch. */
async function read(from: Socket, count: number, options: Parameters<Socket["batches"]>[0] = soon) {
  const found: string[][] = [];
  for await (const batch of from.batches(options)) {
    found.push(textsOf(batch));
    if (found.flat().length >= count) break;
  }
  return found;
}

// semantics: batches
contract(
  "batches() returns arrays of one datagram or more with their source until close(), a clean end",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    await sender.sendMany(numbered(100), receiver.getsockname());
    const found: string[] = [];
    for await (const batch of receiver.batches()) {
      expect(batch.length).toBeGreaterThan(0);
      for (const { data, source, size } of batch) {
        expect([source.equals(sender.getsockname()), size]).toEqual([true, data.length]);
        found.push(data.toString());
      }
      if (found.length === 100) await receiver.close();
    }
    expect(found).toEqual(numbered(100));
  },
);

// semantics: batches
contract("close() ends batches() that wait", async ({ bound }) => {
  const receiver = await bound();
  const step = receiver.batches().next();
  await turn(receiver);
  await receiver.close();
  await expect(step).resolves.toEqual({ done: true, value: undefined });
});

// semantics: batches-max
contract("a batch has at most max datagrams, and the next one continues there", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendMany(numbered(50), receiver.getsockname());
  const found = await read(receiver, 50, { ...soon, max: 7 });
  expect(found.flat()).toEqual(numbered(50));
  expect(Math.max(...found.map((batch) => batch.length))).toBeLessThanOrEqual(7);
  expect(found.length).toBeGreaterThanOrEqual(8);
});

// semantics: batches-max
contract("without max a batch has at most 1,024 datagrams", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendMany(numbered(2000), receiver.getsockname());
  const found = await read(receiver, 2000);
  expect(found.flat()).toEqual(numbered(2000));
  expect(Math.max(...found.map((batch) => batch.length))).toBeLessThanOrEqual(1024);
});

// semantics: batches-steps
contract("several next() of batches() at once are served in order", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const batches = receiver.batches({ max: 2 });
  const steps = numbered(10).map(() => batches.next());
  for (const text of numbered(20)) await sender.sendto(text, receiver.getsockname());
  const found: string[] = [];
  for (const step of steps) found.push(...textsOf((await step).value));
  await batches.return();
  expect(found).toEqual(numbered(20).slice(0, found.length));
  expect(found.length).toBeGreaterThanOrEqual(10);
  await expect(batches.next()).resolves.toEqual({ done: true, value: undefined });
});

// semantics: batches-break
contract("break neither closes nor loses: other readers continue after the last batch", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendMany(numbered(9), receiver.getsockname());
  const found = (await read(receiver, 1, { max: 3 })).flat();
  expect(receiver.closed).toBe(false);
  found.push(...(await texts(receiver, 1)));
  found.push(...(await read(receiver, 9 - found.length)).flat());
  expect(found).toEqual(numbered(9));
});

// semantics: batches-break
contract("an error in the body of a loop over batches() ends the loop, not the socket", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendMany(["1", "2"], receiver.getsockname());
  const loop = async (): Promise<void> => {
    for await (const batch of receiver.batches({ max: 1 })) throw new Error(`thrown at ${textsOf(batch)[0]}`);
  };
  await expect(loop()).rejects.toThrow("thrown at 1");
  expect(await texts(receiver, 1)).toEqual(["2"]);
});

// semantics: batches-return
contract(
  "return() while a step of batches() waits ends that step, and no datagram is lost",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    const batches = receiver.batches();
    const step = batches.next();
    await batches.return();
    await sender.sendto("for the next reader", receiver.getsockname());
    expect(await texts(receiver, 1)).toEqual(["for the next reader"]);
    expect(await step).toEqual({ done: true, value: undefined });
  },
);

for (const [name, seconds, options] of [
  ["settimeout", 0.05, {}],
  ["timeoutMs, though settimeout waits for ever,", null, { timeoutMs: 50 }],
] as const) {
  // semantics: batches-timeout
  contract(`${name} applies to each step of batches(), and the socket can be read on`, async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound()];
    receiver.settimeout(seconds);
    await sender.sendto("1", receiver.getsockname());
    const found: string[] = [];
    const loop = async (): Promise<void> => {
      for await (const batch of receiver.batches(options)) found.push(...textsOf(batch));
    };
    await expect(failure(loop())).resolves.toMatchObject({ name: "TimeoutError", code: "ETIMEDOUT" });
    await sender.sendto("2", receiver.getsockname());
    found.push(...(await texts(receiver, 1)));
    expect(found).toEqual(["1", "2"]);
  });
}

// semantics: batches-timeout
contract("settimeout(0) ends batches() with EAGAIN when everything is read", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  receiver.settimeout(0);
  await sender.sendMany(numbered(10), receiver.getsockname());
  const found: string[] = [];
  const loop = async (): Promise<void> => {
    for await (const batch of receiver.batches({ max: 4 })) found.push(...textsOf(batch));
  };
  await expect(failure(loop())).resolves.toMatchObject({ code: "EAGAIN", syscall: "batches" });
  expect(found).toEqual(numbered(10));
});

// semantics: batches-signal
contract("a signal ends batches() that wait with its reason, and no datagram is lost", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const stop = new AbortController();
  const step = receiver.batches({ signal: stop.signal }).next();
  await turn(receiver);
  stop.abort(new Error("enough"));
  await expect(step).rejects.toThrow("enough");
  await sender.sendto("kept", receiver.getsockname());
  expect(await texts(receiver, 1)).toEqual(["kept"]);
});

// semantics: batches-signal
contract("a signal that has aborted ends batches() before more is taken", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const stop = new AbortController();
  await sender.sendMany(numbered(6), receiver.getsockname());
  const found: string[] = [];
  const loop = async (): Promise<void> => {
    for await (const batch of receiver.batches({ max: 2, signal: stop.signal })) {
      found.push(...textsOf(batch));
      stop.abort(new Error("enough"));
    }
  };
  await expect(loop()).rejects.toThrow("enough");
  expect(found.length).toBeLessThanOrEqual(2);
  found.push(...(await texts(receiver, 6 - found.length)));
  expect(found).toEqual(numbered(6));
});

// semantics: batches-busy
contract("a second reader while batches() reads is EBUSY, naming who reads", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  await sender.sendto("hello", receiver.getsockname());
  const refused: unknown[] = [];
  for await (const batch of receiver.batches()) {
    expect(textsOf(batch)).toEqual(["hello"]);
    for (const reader of [
      receiver.recvfrom(64),
      receiver.recv(64),
      receiver.recvmsg(),
      receiver.recvMany(4),
      receiver[Symbol.asyncIterator]().next(),
      receiver.batches().next(),
    ]) {
      const { code, message } = await failure(reader);
      refused.push([code, message.includes("batches() reads")]);
    }
    break;
  }
  expect(refused).toEqual(new Array(6).fill(["EBUSY", true]));
});

// semantics: batches-busy
contract("batches() while an iteration reads is EBUSY, naming the iteration", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const step = receiver[Symbol.asyncIterator]().next();
  const error = await failure(receiver.batches().next());
  expect(error).toMatchObject({ code: "EBUSY", syscall: "batches" });
  expect(error.message).toContain("an iteration reads");
  await sender.sendto("hello", receiver.getsockname());
  expect((await step).value?.data.toString()).toBe("hello");
});

// semantics: batches-closed
contract("batches() of a closed socket is EBADF", async ({ bound }) => {
  const receiver = await bound();
  await receiver.close();
  await expect(failure(receiver.batches().next())).resolves.toMatchObject({
    code: "EBADF",
    syscall: "batches",
  });
});

// semantics: batches-bad-arguments
contract(
  "batches() refuses bad values and unknown options at the call, and no datagram is lost",
  async ({ bound }) => {
    const receiver = await bound();
    await receiver.sendto("kept", receiver.getsockname());
    for (const max of [0, -1, 1.5, NaN, Infinity]) {
      expect(() => receiver.batches({ max })).toThrow(/^max must be a whole number from 1/);
    }
    expect(() => receiver.batches({ max: "4" as never })).toThrow(TypeError);
    expect(() => receiver.batches({ timeoutMs: -1 })).toThrow(RangeError);
    expect(() => receiver.batches({ signal: {} as never })).toThrow(TypeError);
    expect(() => receiver.batches(null as never)).toThrow(TypeError);
    expect(() => receiver.batches({ size: 4 } as never)).toThrow(/a field must be one of .*, not "size"/);
    expect((await read(receiver, 1)).flat()).toEqual(["kept"]);
  },
);
