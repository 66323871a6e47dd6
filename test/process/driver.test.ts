/** The driver that a process gets, and the message if that driver is not available. */

import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { type TestContext, expect, test } from "vitest";

import {
  Program,
  addonPath,
  cleanEnding,
  home,
  overDrivers,
  start,
  whySkipped,
  withDriver,
} from "./programs.js";

async function said(program: Program): Promise<unknown> {
  const { lines, ...ending } = await program.ended;
  expect(ending).toEqual(cleanEnding);
  return JSON.parse(lines[0]!);
}

/** A copy of the package without an addon, or with another file in its place. Returns its folder. */
async function folderWith(context: TestContext, addon?: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "datagram-"));
  context.onTestFinished(() => rm(folder, { recursive: true }));
  await cp(join(home, "dist"), join(folder, "dist"), { recursive: true });
  await cp(join(home, "package.json"), join(folder, "package.json"));
  await cp(join(home, "build/test/process/fixtures/driver.js"), join(folder, "driver.js"));
  if (addon !== undefined) {
    await mkdir(dirname(join(folder, addonPath)), { recursive: true });
    await writeFile(join(folder, addonPath), addon);
  }
  return folder;
}

/** Returns a function that runs the program `driver` in such a copy. */
async function packageWith(
  context: TestContext,
  addon?: string,
): Promise<(driver?: string) => Promise<unknown>> {
  const folder = await folderWith(context, addon);
  return (driver) =>
    said(new Program(context, [process.execPath, join(folder, "driver.js")], withDriver(driver)));
}

overDrivers((driver) => {
  test("DATAGRAM_DRIVER chooses the driver", async (context) => {
    expect(await said(start(context, driver, "driver"))).toEqual({ driver });
  });
});

test("without DATAGRAM_DRIVER the native driver is chosen if it is available", async (context) => {
  const why = whySkipped("native");
  if (why !== undefined) context.skip(why);
  expect(await said(start(context, undefined, "driver"))).toEqual({ driver: "native" });
  expect(await said(start(context, "", "driver"))).toEqual({ driver: "native" });
});

test("with NODE_DEBUG=datagram, a process says once why it uses the fallback, and which command helps", async (context) => {
  const folder = await folderWith(context, undefined);
  const env = { ...withDriver(undefined), NODE_DEBUG: "datagram" };
  const program = new Program(context, [process.execPath, join(folder, "driver.js")], env);
  const { stderr } = await program.ended;
  expect(stderr.split("\n").filter((line) => line.startsWith("DATAGRAM "))).toEqual([
    expect.stringMatching(
      new RegExp(
        `sockets use node:dgram: the package has no addon for .*: node ${folder}/scripts/build-addon.mjs builds it$`,
      ),
    ),
  ]);
});

test.for(["bogus", "NATIVE", "dgram "])(
  "DATAGRAM_DRIVER=%j is an error that names the variable",
  async (word, context) => {
    expect(await said(start(context, word, "driver"))).toEqual({
      code: "EINVAL",
      errno: 22,
      syscall: "socket",
      message: `socket: DATAGRAM_DRIVER must be native or dgram, not ${JSON.stringify(word)} (EINVAL)`,
    });
  },
);

test.for([
  ["has no addon", undefined, "the package has no addon for"],
  ["has an addon that does not load", "not a shared object", "the addon does not load: "],
] as const)(
  "a package that %s uses the fallback, and says why if the native driver is asked for",
  async ([, addon, why], context) => {
    const driver = await packageWith(context, addon);
    expect(await driver()).toEqual({ driver: "dgram" });
    expect(await driver("dgram")).toEqual({ driver: "dgram" });
    expect(await driver("native")).toEqual({
      code: "ENOTSUP",
      errno: 95,
      syscall: "socket",
      message: expect.stringContaining(
        `DATAGRAM_DRIVER asks for the native driver, which is not available: ${why}`,
      ) as unknown,
    });
  },
);
