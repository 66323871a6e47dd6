/** Sockets in worker threads. A thread can end in more ways than a process. */

import { type TestContext, expect, test } from "vitest";

import { whyNoFaults } from "./faults.js";
import {
  type DriverName,
  cleanEnding,
  inEmptyNetwork,
  inOpenNetwork,
  needNamespaces,
  overDrivers,
  start,
} from "./programs.js";

/** Ends busy workers several times, in the given way, and expects `ending` of all of them. */
async function endWorkers(
  context: TestContext,
  driver: DriverName,
  doing: string,
  by: "terminate" | "itself",
  ending: string,
  within: readonly string[] = [],
): Promise<void> {
  const { lines, ...rest } = await start(context, driver, "workers", [doing, by], { within }).ended;
  expect(rest).toEqual(cleanEnding);
  expect(JSON.parse(lines[0]!)).toEqual({ endings: [ending], descriptorsMore: 0, then: "hello" });
}

overDrivers((driver) => {
  const busy = ["idle", "waiting", "sending", "sending by name", "closing", "in a listener"];
  // `node:dgram` itself aborts the process if a thread is terminated between two datagrams of a burst (`AddressToJS` in
  // `UDPWrap::OnRecv`, seen on Node 20.20).
  if (driver === "native") busy.push("receiving");

  // semantics: close-while-sending
  test.for(busy)("a worker is terminated: %s", async (doing, context) => {
    await endWorkers(context, driver, doing, "terminate", "1");
  });

  if (driver === "native") {
    const backingOff = `backing off${whyNoFaults === undefined ? "" : ` (${whyNoFaults})`}`;
    // semantics: close-while-sending
    test.skipIf(whyNoFaults !== undefined)(`a worker is terminated: ${backingOff}`, async (context) => {
      await endWorkers(context, driver, "backing off", "terminate", "1");
    });
  }

  test("a worker is terminated: waiting for room", async (context) => {
    needNamespaces(context);
    await endWorkers(context, driver, "waiting for room", "terminate", "1", inEmptyNetwork);
  });

  // An unconnected socket of `node:dgram` gets no ICMP errors.
  if (driver === "native") {
    // semantics: unreachable-close
    test("a worker is terminated: sending to nobody", async (context) => {
      needNamespaces(context);
      await endWorkers(context, driver, "sending to nobody", "terminate", "1", inOpenNetwork);
    });
  }

  test.for([
    ["calls process.exit", "3"],
    ["throws", "1 the worker's own"],
    ["throws in a tap", "1 the worker's own"],
    ["ends", "0"],
    ["ends, unreferenced", "0"],
  ] as const)("a worker ends: %s", async ([doing, ending], context) => {
    await endWorkers(context, driver, doing, "itself", ending);
  });

  test("many sockets in many workers reach each other and are closed with them", async (context) => {
    const { lines, ...ending } = await start(context, driver, "many-workers").ended;
    expect(ending).toEqual(cleanEnding);
    expect(JSON.parse(lines[0]!)).toEqual({ counts: Array<number>(6).fill(100), descriptorsMore: 0 });
  });
});
