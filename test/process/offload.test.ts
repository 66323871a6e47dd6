/** Environment variables switch segmentation offload off, for each direction, and a wrong value is an error. */

import { type TestContext, describe, expect, test } from "vitest";

import { cleanEnding, start, whySkipped } from "./programs.js";

const on = { available: true };

async function said(test: TestContext, driver: string | undefined, settings: string[]): Promise<unknown> {
  const { lines, ...ending } = await start(test, driver, "offload", [], { within: ["env", ...settings] })
    .ended;
  expect(ending).toEqual(cleanEnding);
  return JSON.parse(lines[0]!);
}

const why = whySkipped("native");

describe.skipIf(why !== undefined)(`over native${why === undefined ? "" : ` (${why})`}`, () => {
  // semantics: offload-switch
  test.for([
    ["DATAGRAM_GSO=off", off("DATAGRAM_GSO"), on],
    ["DATAGRAM_GRO=off", on, off("DATAGRAM_GRO")],
    ["DATAGRAM_GSO=off DATAGRAM_GRO=off", off("DATAGRAM_GSO"), off("DATAGRAM_GRO")],
    ["DATAGRAM_GSO=on DATAGRAM_GRO=", on, on],
  ] as const)(
    "%s: the variable switches offload off, and the capabilities name it",
    async ([settings, segmentation, coalescing], context) => {
      expect(await said(context, "native", settings.split(" "))).toEqual({ segmentation, coalescing });
    },
  );

  // semantics: offload-switch
  test.for(["DATAGRAM_GSO", "DATAGRAM_GRO"])(
    "%s with another word is an error that names the variable, also without DATAGRAM_DRIVER",
    async (variable, context) => {
      for (const driver of ["native", undefined]) {
        for (const word of ["x", "OFF", "0", "off "]) {
          expect(await said(context, driver, [`${variable}=${word}`])).toEqual({
            code: "EINVAL",
            errno: 22,
            syscall: "socket",
            message: `socket: ${variable} must be on or off, not ${JSON.stringify(word)} (EINVAL)`,
          });
        }
      }
    },
  );
});

test("over dgram there is no offload with any value of the variables, and the capabilities name the driver that has it", async (context) => {
  expect(await said(context, "dgram", ["DATAGRAM_GSO=on", "DATAGRAM_GRO=on"])).toEqual({
    segmentation: { available: false, reason: "node:dgram has no UDP_SEGMENT: the native driver does" },
    coalescing: { available: false, reason: "node:dgram has no UDP_GRO: the native driver does" },
  });
});

function off(variable: string): { available: false; reason: string } {
  return { available: false, reason: `${variable}=off switches it off` };
}
