import { OSError, type Socket } from "datagram";
import { expect } from "vitest";

import { contract, failure, soon, texts } from "./world.js";

const busy = { busyPoll: 1000 };
/** More receive calls that find nothing than it takes until looking does not pay. */
const emptyWaits = 10;

/** The system calls of five receive calls that find nothing. */
async function callsOfEmptyWaits(receiver: Socket): Promise<number> {
  const before = receiver.stats().systemCalls?.receive ?? 0;
  for (let wait = 0; wait < 5; wait++)
    expect(await failure(receiver.recvfrom(64, { timeoutMs: 5 }))).toBeInstanceOf(OSError);
  return (receiver.stats().systemCalls?.receive ?? 0) - before;
}

// semantics: busy-poll
contract(
  "with busyPoll, datagrams arrive in their order, sent before a call or while it waits",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound(undefined, busy)];
    const to = receiver.getsockname();
    await sender.sendto("first", to);
    expect(await texts(receiver, 1)).toEqual(["first"]);
    const waiting = receiver.recvfrom(64, soon);
    await sender.sendMany(["second", "third"], to);
    expect(String((await waiting)[0])).toBe("second");
    expect(await texts(receiver, 1)).toEqual(["third"]);
  },
);

// semantics: busy-poll
contract(
  "with busyPoll, a datagram that was sent in the same tick leaves before the call looks",
  async ({ bound }) => {
    const [sender, receiver] = [await bound(), await bound(undefined, busy)];
    const sent = receiver.sendto("ping", sender.getsockname());
    const answer = receiver.recvfrom(64, soon);
    await sent;
    const [, from] = await sender.recvfrom(64, soon);
    await sender.sendto("pong", from);
    expect(String((await answer)[0])).toBe("pong");
  },
);

// semantics: busy-poll
contract(
  "with busyPoll, a call looks again and again before it waits, and stops when that finds nothing",
  async ({ bound }) => {
    const receiver = await bound(undefined, busy);
    const first = await callsOfEmptyWaits(receiver);
    for (let wait = 0; wait < emptyWaits; wait++) await failure(receiver.recvfrom(64, { timeoutMs: 5 }));
    expect(await callsOfEmptyWaits(receiver)).toBeLessThan(first);
  },
  "busyPoll",
);

// semantics: busy-poll
contract(
  "without the feature, a call with busyPoll waits at once",
  async ({ bound }) => {
    const receiver = await bound(undefined, busy);
    expect(await callsOfEmptyWaits(receiver)).toBeLessThan(11);
  },
  "no busyPoll",
);
