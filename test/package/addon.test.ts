import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type TestContext, expect, test } from "vitest";

import { faultsAddon, whyNoFaults } from "../process/faults.js";
import { addonPath, home } from "../process/programs.js";

const builder = join(home, "scripts/build-addon.mjs");

test("without a compiler an installation continues, and one line says that there is no addon", (context) => {
  const { status, stdout, stderr } = buildWithoutCompiler(context, "--optional");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^datagram: .*no native addon.*node:dgram.*\n$/);
});

test("without a compiler, building the addon on purpose fails", (context) => {
  const { status, stdout } = buildWithoutCompiler(context);
  expect(status).toBe(1);
  expect(stdout).toMatch(/^datagram: .*no native addon.*\n$/);
});

test.skipIf(whyNoFaults !== undefined)(
  "the addon of the package has no planned errors, unlike the addon of the tests",
  () => {
    // The name of the call, between the NUL of the string before it and its own.
    const call = "\0faults\0";
    expect(readFileSync(faultsAddon).includes(call)).toBe(true);
    expect(readFileSync(join(home, addonPath)).includes(call)).toBe(false);
  },
);

/** Runs the build of the addon with an empty PATH. An addon that was built before stays. */
function buildWithoutCompiler(context: TestContext, ...options: string[]) {
  const empty = mkdtempSync(join(tmpdir(), "datagram-path-"));
  context.onTestFinished(() => rmSync(empty, { recursive: true }));
  const { CXX: _compiler, ...env } = process.env;
  return spawnSync(process.execPath, [builder, ...options], {
    encoding: "utf8",
    env: { ...env, PATH: empty },
  });
}
