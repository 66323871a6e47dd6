/** Sockets in worker threads. A thread can end in more ways than a process. */

import { type TestContext, afterAll, beforeAll, expect, test } from "vitest";

import { whyNoFaults } from "./faults.js";
import type { Case } from "./fixtures/workers.js";
import {
  type DriverName,
  type Lifetime,
  type Program,
  cleanEnding,
  inEmptyNetwork,
  inOpenNetwork,
  needNamespaces,
  overDrivers,
  sharedLifetime,
  start,
} from "./programs.js";

/** Runs cases of `fixtures/workers.ts` in one process. */
class Runner {
  readonly #program: Program;

  constructor(life: Lifetime, driver: DriverName, within: readonly string[] = []) {
    this.#program = start(life, driver, "workers", [], { within, input: "pipe" });
  }

  /** Ends busy workers several times, and expects `ending` of all of them. */
  async expectEndings(each: Case, ending: string): Promise<void> {
    this.#program.write(JSON.stringify(each));
    expect(JSON.parse(await this.#program.line())).toEqual({
      endings: [ending],
      descriptorsMore: 0,
      then: "hello",
    });
  }

  /** Nothing keeps the process alive after the last case. */
  async expectClean(): Promise<void> {
    this.#program.endInput();
    expect(await this.#program.ended).toMatchObject(cleanEnding);
  }
}

overDrivers((driver) => {
  const life = sharedLifetime();
  let runner: Runner;

  beforeAll(() => {
    runner = new Runner(life, driver);
  });

  afterAll(() => runner.expectClean());

  /** Runs a case in a network of its own. */
  async function endIn(context: TestContext, within: readonly string[], doing: string): Promise<void> {
    needNamespaces(context);
    const inNetwork = new Runner(context, driver, within);
    await inNetwork.expectEndings([doing, "terminate"], "1");
    await inNetwork.expectClean();
  }

  const busy = ["idle", "waiting", "sending", "sending by name", "closing", "in a listener"];
  // `node:dgram` itself aborts the process if a thread is terminated between two datagrams of a burst (`AddressToJS` in
  // `UDPWrap::OnRecv`, seen on Node 20.20).
  if (driver === "native") busy.push("receiving");

  // semantics: close-while-sending
  test.for(busy)("a worker is terminated: %s", async (doing) => {
    await runner.expectEndings([doing, "terminate"], "1");
  });

  if (driver === "native") {
    const backingOff = `backing off${whyNoFaults === undefined ? "" : ` (${whyNoFaults})`}`;
    // semantics: close-while-sending
    test.skipIf(whyNoFaults !== undefined)(`a worker is terminated: ${backingOff}`, async () => {
      await runner.expectEndings(["backing off", "terminate"], "1");
    });
  }

  test("a worker is terminated: waiting for room", async (context) => {
    await endIn(context, inEmptyNetwork, "waiting for room");
  });

  // An unconnected socket of `node:dgram` gets no ICMP errors.
  if (driver === "native") {
    // semantics: unreachable-close
    test("a worker is terminated: sending to nobody", async (context) => {
      await endIn(context, inOpenNetwork, "sending to nobody");
    });
  }

  test.for([
    ["calls process.exit", "3"],
    ["throws", "1 the worker's own"],
    ["throws in a tap", "1 the worker's own"],
    ["ends", "0"],
    ["ends, unreferenced", "0"],
  ] as const)("a worker ends: %s", async ([doing, ending]) => {
    await runner.expectEndings([doing, "itself"], ending);
  });

  test("many sockets in many workers reach each other and are closed with them", async (context) => {
    const { lines, ...ending } = await start(context, driver, "many-workers").ended;
    expect(ending).toEqual(cleanEnding);
    expect(JSON.parse(lines[0]!)).toEqual({ counts: Array<number>(6).fill(100), descriptorsMore: 0 });
  });
});
