import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type TestContext, expect, test } from "vitest";

import { home } from "../process/programs.js";

const builder = join(home, "scripts/build-addon.mjs");

test("without a compiler an installation goes on, and says in one line that there is no addon", (context) => {
  const { status, stdout, stderr } = buildWithoutCompiler(context, "--optional");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^datagram: .*no native addon.*node:dgram.*\n$/);
});

test("without a compiler, building the addon on purpose fails", (context) => {
  const { status, stdout } = buildWithoutCompiler(context);
  expect(status).toBe(1);
  expect(stdout).toMatch(/^datagram: .*no native addon.*\n$/);
});

/** Runs the addon's build where no program is found; whatever was built before stays. */
function buildWithoutCompiler(context: TestContext, ...options: string[]) {
  const empty = mkdtempSync(join(tmpdir(), "datagram-path-"));
  context.onTestFinished(() => rmSync(empty, { recursive: true }));
  const { CXX: _compiler, ...env } = process.env;
  return spawnSync(process.execPath, [builder, ...options], {
    encoding: "utf8",
    env: { ...env, PATH: empty },
  });
}
