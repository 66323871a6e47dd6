/** One host sends to another, and the test compares what was sent with what arrived. */

import { expect } from "vitest";

import { type DriverName, home } from "../process/programs.js";
import { type Agent, agentOn, fixture } from "./agent.js";
import type { Plan, Sent } from "./fixtures/sender.js";
import type { Host } from "./network.js";

/** What a receiver has read when it is told that nothing more follows. */
export interface Came {
  /** Fingerprints, in the order of arrival. */
  readonly datagrams: readonly string[];
  /** Packets that the kernel merged from several. Only the witness counts them. */
  readonly merged?: number;
}

/** How a receiver that uses this library reads datagrams. */
export type Reading = "for await" | "recvMany" | "recvfrom";

/** A receiver that is ready. */
interface Receiver {
  readonly port: number;
  /** Waits for the end of the plan. */
  readonly came: () => Promise<Came>;
}

/** A receiver in Python, without this library. With `gro` it lets the kernel merge the packets that arrive. */
export function witness(at: Host, address: string, gro = false): Promise<Receiver> {
  const path = `${home}test/netns/python/witness.py`;
  return receiving(agentOn(at, [...at.within, "python3", "-S", "-u", path]), { address, gro });
}

/** A receiver that uses this library. */
export function receiver(driver: DriverName, at: Host, address: string, how: Reading): Promise<Receiver> {
  return receiving(agentOn(at, [...at.within, ...fixture("receiver")], driver), { address, how });
}

/** Sends the datagrams of a plan to a receiver, and returns what both of them saw. */
export async function exchange(
  driver: DriverName,
  from: Host,
  to: Receiver,
  plan: Omit<Plan, "port">,
): Promise<{ sent: Sent; came: Came }> {
  const sender = agentOn(from, [...from.withinOneCpu, ...fixture("sender")], driver);
  const sent = (await sender.call({ ...plan, port: to.port } satisfies Plan)) as Sent;
  return { sent, came: await to.came() };
}

/** Every datagram arrived once, unchanged, in the order in which they were sent. */
export function expectInOrder({ datagrams }: Came, sent: Sent): void {
  expect(sent.refused).toEqual([]);
  // Compared by index, so that a failure is readable: some lists are very long.
  const wrong = sent.datagrams.findIndex((each, index) => each !== datagrams[index]);
  expect({ count: datagrams.length, wrong, came: datagrams[wrong] }).toEqual({
    count: sent.datagrams.length,
    wrong: -1,
    came: undefined,
  });
}

/** Every datagram arrived once, unchanged. */
export function expectAll({ datagrams }: Came, sent: Sent): void {
  expectInOrder({ datagrams: [...datagrams].sort() }, { ...sent, datagrams: [...sent.datagrams].sort() });
}

/** @param listening what the agent needs to open its socket. The next call of the agent returns what came. */
async function receiving(agent: Agent, listening: object): Promise<Receiver> {
  const port = (await agent.call(listening)) as number;
  return { port, came: async () => (await agent.call({})) as Came };
}
