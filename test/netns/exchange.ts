/** One host sends to another: what left, and what came. */

import { type TestContext, expect } from "vitest";

import { type DriverName, Program, cleanEnding, home, withDriver } from "../process/programs.js";
import type { Plan, Sent } from "./fixtures/sender.js";
import type { Host } from "./network.js";

/** What a receiver had when it was told that nothing more comes. */
export interface Came {
  /** Fingerprints, in the order of arrival. */
  readonly datagrams: readonly string[];
  /** The witness alone: packets that the kernel had made of several. */
  readonly merged?: number;
}

/** How a receiver of this library's takes what comes. */
export type Reading = "for await" | "recvMany" | "recvfrom";

/** A receiver that listens. */
interface Receiver {
  readonly program: Program;
  readonly port: number;
}

/** A receiver in Python, which knows nothing of this library. With `gro` it lets the kernel merge what comes. */
export async function witness(test: TestContext, at: Host, address: string, gro = false): Promise<Receiver> {
  const path = `${home}test/netns/python/witness.py`;
  return listening(new Program(test, [...at.within, "python3", "-u", path, address, String(Number(gro))]));
}

/** A receiver of this library's. */
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

/** Sends what the plan says to a receiver, and gives what both of them saw. */
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

/** Everything came once, with its own content, in the order in which it was sent. */
export function expectInOrder({ datagrams }: Came, sent: Sent): void {
  expect(sent.refused).toEqual([]);
  // Compared so that a failure is readable: some lists are very long.
  const wrong = sent.datagrams.findIndex((each, index) => each !== datagrams[index]);
  expect({ count: datagrams.length, wrong, came: datagrams[wrong] }).toEqual({
    count: sent.datagrams.length,
    wrong: -1,
    came: undefined,
  });
}

/** Everything came once, with its own content. */
export function expectAll({ datagrams }: Came, sent: Sent): void {
  expectInOrder({ datagrams: [...datagrams].sort() }, { ...sent, datagrams: [...sent.datagrams].sort() });
}

async function listening(program: Program): Promise<Receiver> {
  return { program, port: Number(await program.line()) };
}

function fixture(name: string): string {
  return `${home}build/test/netns/fixtures/${name}.js`;
}
