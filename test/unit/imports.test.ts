import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { type ICruiseResult, cruise } from "dependency-cruiser";
import extractDepcruiseOptions from "dependency-cruiser/config-utl/extract-depcruise-options";
import { afterAll, beforeAll, expect, test } from "vitest";

const home = fileURLToPath(new URL("../..", import.meta.url));
const rules = join(home, ".dependency-cruiser.mjs");

/** The files of a tree, each with its imports. */
type Tree = Readonly<Record<string, readonly string[]>>;

const allowed: Tree = {
  "src/index.ts": ["./core/socket/socket.js", "./kernel/choice.js"],
  "src/core/constants.ts": [],
  "src/core/ip.ts": ["./constants.js"],
  "src/core/errors/errors.ts": ["../constants.js"],
  "src/core/address/address.ts": ["../errors/errors.js"],
  "src/core/ledger/ledger.ts": ["../address/address.js"],
  "src/core/driver/driver.ts": ["../ledger/ledger.js"],
  "src/core/send/sender.ts": ["../driver/driver.js"],
  "src/core/receive/receiver.ts": ["../driver/driver.js"],
  "src/core/socket/socket.ts": [
    "../send/sender.js",
    "../receive/receiver.js",
    "node:buffer",
    "node:events",
    "node:diagnostics_channel",
  ],
  "src/wire/frame.ts": ["./layout.js"],
  "src/wire/layout.ts": [],
  "src/kernel/choice.ts": ["../core/socket/socket.js", "node:dgram", "node:dns/promises", "node:os"],
  "src/sim/network.ts": ["../core/socket/socket.js", "../wire/frame.js"],
  "src/message/request.ts": ["../core/socket/socket.js", "../wire/frame.js"],
  "src/proxy/relay.ts": [
    "../index.js",
    "../core/driver/driver.js",
    "../kernel/choice.js",
    "../sim/network.js",
  ],
  "src/watch/watch.ts": ["../index.js", "./protocol.js"],
  "src/watch/protocol.ts": [],
  "src/watch/web/main.ts": ["./state.js", "../protocol.js"],
  "src/watch/web/state.ts": [],
  "src/cli/main.ts": ["../index.js", "../kernel/choice.js", "../sim/network.js", "../proxy/relay.js"],
};

/** One import for each way to break the rules, and the rule that must reject it. */
const forbidden = [
  ["floors-core", "src/core/socket/above.ts", "../../kernel/choice.js"],
  ["floors-core", "src/core/socket/beside.ts", "../../wire/frame.js"],
  ["floors-wire", "src/wire/beside.ts", "../core/address/address.js"],
  ["floors-kernel", "src/kernel/beside.ts", "../sim/network.js"],
  ["floors-kernel", "src/kernel/command.ts", "../cli/main.js"],
  ["floors-sim", "src/sim/beside.ts", "../kernel/choice.js"],
  ["floors-message", "src/message/beside.ts", "../proxy/relay.js"],
  ["floors-message", "src/message/below.ts", "../kernel/choice.js"],
  ["floors-capture", "src/capture/below.ts", "../kernel/choice.js"],
  ["floors-proxy", "src/proxy/beside.ts", "../message/request.js"],
  ["floors-sim", "src/sim/above.ts", "../proxy/relay.js"],
  ["floors-index.ts", "src/index.ts", "./message/request.js"],
  ["core-errors", "src/core/errors/above.ts", "../address/address.js"],
  ["core-address", "src/core/address/above.ts", "../ledger/ledger.js"],
  ["core-ledger", "src/core/ledger/above.ts", "../driver/driver.js"],
  ["core-driver", "src/core/driver/above.ts", "../send/sender.js"],
  ["core-send", "src/core/send/beside.ts", "../receive/receiver.js"],
  ["core-receive", "src/core/receive/beside.ts", "../send/sender.js"],
  ["core-receive", "src/core/receive/above.ts", "../socket/socket.js"],
  ["core-files", "src/core/above.ts", "./errors/errors.js"],
  ["core-folders-are-known", "src/core/attic/chest.ts", "../ip.js"],
  ["rooms-are-known", "src/attic/chest.ts", "../core/socket/socket.js"],
  ["core-knows-no-system", "src/core/system.ts", "node:dgram"],
  ["core-knows-no-system", "src/core/timers.ts", "node:timers"],
  ["core-knows-no-system", "src/core/package.ts", "commander"],
  ["wire-imports-nothing", "src/wire/bytes.ts", "node:buffer"],
  ["system-calls-in-kernel", "src/message/system.ts", "node:dgram"],
  ["page-imports-what-it-contains", "src/watch/web/system.ts", "node:fs"],
  ["page-imports-what-it-contains", "src/watch/web/server.ts", "../watch.js"],
  ["page-imports-what-it-contains", "src/watch/web/package.ts", "commander"],
  ["page-is-built-alone", "src/watch/beside.ts", "./web/state.js"],
  ["page-is-built-alone", "src/cli/page.ts", "../watch/web/state.js"],
  ["no-cycles", "src/core/constants.ts", "./ip.js"],
  ["imports-resolve", "src/core/lost.ts", "./nowhere.js"],
  ["dependencies-are-declared", "src/cli/package.ts", "vitest"],
] as const;

let folder: string;
let rejected: readonly string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "datagram-imports-"));
  const tree: Record<string, readonly string[]> = { ...allowed, "src/core/left-over.ts": [] };
  for (const [, from, to] of forbidden) tree[from] = [...(tree[from] ?? []), to];
  rejected = await violations(await plant("forbidden", tree));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

test("the sources follow the rules", async () => {
  expect(await violations(home)).toEqual([]);
});

test("imports from lower floors are accepted", async () => {
  expect(await violations(await plant("allowed", allowed))).toEqual([]);
});

test.for(forbidden)("%s: %s may not import %s", ([rule, from]) => {
  expect(rejected).toContain(`${rule}: ${from}`);
});

test("a module that nothing imports is rejected", () => {
  expect(rejected).toContain("no-orphans: src/core/left-over.ts");
});

async function plant(name: string, files: Tree): Promise<string> {
  const tree = join(folder, name);
  for (const [path, imports] of Object.entries(files)) {
    await mkdir(dirname(join(tree, path)), { recursive: true });
    const lines = imports.map((each) => `import ${JSON.stringify(each)};\n`);
    await writeFile(join(tree, path), `${lines.join("")}export {};\n`);
  }
  await writeFile(join(tree, "package.json"), JSON.stringify({ name: "tree", type: "module" }));
  return tree;
}

/** The violations of the project's rules in the `src` of a tree, as `rule: file`. */
async function violations(tree: string): Promise<string[]> {
  const { output } = await cruise(["src"], { ...(await extractDepcruiseOptions(rules)), baseDir: tree });
  const { summary } = output as ICruiseResult;
  expect(summary.totalCruised).toBeGreaterThan(0);
  return summary.violations.map(({ from, rule }) => `${rule.name}: ${from}`);
}
