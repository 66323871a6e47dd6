import { getEventListeners } from "node:events";

import { expect } from "vitest";

import { contract, numbered, texts, turn } from "./world.js";

// semantics: signal
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

// semantics: signal
contract(
  "a signal that fired before the call ends it at once, and no datagram is lost",
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

// semantics: signal
contract("an aborted recvfrom loses no datagram, in any order of signal and datagram", async ({ bound }) => {
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
});

// semantics: signal-shared
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

// semantics: signal-shared
contract("a thousand waits on one signal, one after the other, add one listener", async ({ bound }) => {
  const [sender, receiver] = [await bound(), await bound()];
  const { signal } = new AbortController();
  for (const text of numbered(1000)) {
    const waiting = receiver.recv(64, { signal });
    await sender.sendto(text, receiver.getsockname());
    expect((await waiting).toString()).toBe(text);
  }
  expect(getEventListeners(signal, "abort").length).toBeLessThanOrEqual(1);
});

// semantics: signal
contract("a signal that fires after its call was served has no effect", async ({ bound }) => {
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
