/** One host sends to another, and the test compares what was sent with what arrived. */

import { type TestContext, expect } from "vitest";

import { type DriverName, Program, cleanEnding, home, withDriver } from "../process/programs.js";
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
  readonly program: Program;
  readonly port: number;
}

/** A receiver in Python, without this library. With `gro` it lets the kernel merge the packets that arrive. */
export async function witness(test: TestContext, at: Host, address: string, gro = false): Promise<Receiver> {
  const path = `${home}test/netns/python/witness.py`;
  return listening(new Program(test, [...at.within, "python3", "-u", path, address, String(Number(gro))]));
}

/** A receiver that uses this library. */
export async function receiver(
  test: TestContext,
  driver: DriverName,
  at: Host,
  address: string,
  how: Reading,
): Promise<Receiver> {
  const command = [...at.within, process.execPath, fixture("receiver"), address, how];
  return listening(new Program(test, command, withDriver(driver)));
}

/** Sends the datagrams of a plan to a receiver, and returns what both of them saw. */
export async function exchange(
  test: TestContext,
  driver: DriverName,
  from: Host,
  to: Receiver,
  plan: Omit<Plan, "port">,
): Promise<{ sent: Sent; came: Came }> {
  const full: Plan = { ...plan, port: to.port };
  const command = [...from.withinOneCpu, process.execPath, fixture("sender"), JSON.stringify(full)];
  const sender = new Program(test, command, withDriver(driver));
  const sent = JSON.parse(await sender.line()) as Sent;
  const came = JSON.parse(await to.program.line()) as Came;
  expect(await sender.ended).toMatchObject(cleanEnding);
  expect(await to.program.ended).toMatchObject(cleanEnding);
  return { sent, came };
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

async function listening(program: Program): Promise<Receiver> {
  return { program, port: Number(await program.line()) };
}

function fixture(name: string): string {
  return `${home}build/test/netns/fixtures/${name}.js`;
}
