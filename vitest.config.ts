import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

import { configDefaults, defineConfig } from "vitest/config";

import { dropCertificates } from "./test/certificates.js";
import { compileSources, compiled, compiledModules, everySource, importCompiled } from "./test/compiled.js";
import { LongestFirst } from "./test/longest-first.js";

dropCertificates();
compileSources();

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const subpaths = [
  { find: /^datagram\/capture$/, replacement: compiled("capture/index") },
  { find: /^datagram\/dgram$/, replacement: compiled("dgram/index") },
  { find: /^datagram\/gateway$/, replacement: compiled("gateway/index") },
  { find: /^datagram\/message$/, replacement: compiled("message/index") },
  { find: /^datagram\/proxy$/, replacement: compiled("proxy/index") },
  { find: /^datagram\/sim$/, replacement: compiled("sim/index") },
  { find: /^datagram\/watch$/, replacement: compiled("watch/index") },
];

/** The example with packages of npm is left out if the last `npm ci` was before they were added; CI must run it. */
const notInstalled =
  process.env.DATAGRAM_REQUIRE_ALL !== "1" && !existsSync(here("node_modules/coap"))
    ? ["examples/packages/**"]
    : [];

/**
 * The groups of projects. They run one after the other, and the files of a group run at the same time, as many as the group
 * has workers. A worker runs one file after the other of its project, and they share its modules: a process for each file
 * would use about half a second of CPU time before its first test.
 */
const cpus = availableParallelism();
/** Tests that use one process, which computes most of the time. */
const computing = { maxWorkers: cpus, isolate: false, sequence: { groupOrder: 0 } };
/** Tests that start programs, and wait for them most of the time. */
const waiting = { maxWorkers: 2 * cpus, isolate: false, sequence: { groupOrder: 1 } };
/** Tests that use all CPUs for the whole time: nothing else runs beside them. */
const alone = { maxWorkers: 1, sequence: { groupOrder: 2 } };
/** The file of the last group. */
const flood = "test/process/flood.test.ts";
/**
 * They load the addon with planned errors in place of the package's, which no earlier file of their process may have loaded, and
 * one sets the environment of its process: each has a process of its own.
 */
const faults = ["test/process/{faults,refusals}.test.ts"];
/** It starts processes of `node:cluster`. */
const workers = "test/dgram/cluster.test.ts";

/** For tests that import the compiled sources by the package's name. Only what extends the settings below has them. */
const datagram = {
  extends: true as const,
  resolve: { alias: [{ find: /^datagram$/, replacement: compiled("index") }, ...subpaths] },
  oxc: { target: "es2022" },
};

/** The contract is one suite, run over every driver, and over what is left of one without a feature. */
const contract = (over: string, env: Record<string, string>) => ({
  ...datagram,
  test: {
    name: `contract over ${over}`,
    include: ["test/contract/**/*.test.ts"],
    exclude: ["test/contract/links/**"],
    env,
    ...computing,
  },
});

/** The rows of the contract for a host on two links: test/netns/links.test.ts makes that host, and runs them there. */
const onLinks = (over: string, env: Record<string, string>) => ({
  ...datagram,
  test: {
    name: `two links over ${over}`,
    include: ["test/contract/links/*.test.ts"],
    env,
    ...computing,
  },
});

/** The native driver without segmentation offload. */
const contractWithout = (what: string, off: Record<string, string>) => {
  const { test, ...rest } = contract(`native without ${what}`, { DATAGRAM_DRIVER: "native", ...off });
  // A search of the path MTU waits for what is lost, and sends one datagram at a time: nothing of it is offloaded.
  return { ...rest, test: { ...test, exclude: [...test.exclude, "**/probe-path-mtu.test.ts"] } };
};

/** A project whose tests import a host of the simulated network as the package, and run in virtual time. */
const overSim = <T extends object>({ test, ...rest }: { test: T }, setup: string) => {
  const face = { find: /^datagram$/, replacement: here("test/contract/sim/index.ts") };
  return {
    ...rest,
    resolve: { alias: [face, ...subpaths] },
    test: { ...test, setupFiles: [`test/contract/${setup}`] },
  };
};

/** The files of the contract that a loopback without options, groups, names and ICMP errors can pass. */
const overExample = () => {
  const { test, ...rest } = contract("the example driver", {});
  const files = "{batches,close,fairness,iteration,kept-datagrams,receive,signal,strict,waiting}";
  return {
    ...rest,
    resolve: {
      alias: [{ find: /^datagram$/, replacement: here("test/contract/example/index.ts") }, ...subpaths],
    },
    test: { ...test, include: [`test/contract/${files}.test.ts`] },
  };
};

/** For tests that start programs. */
const programs = { globalSetup: "test/real-python.ts" };

const projects = [
  contract("native", { DATAGRAM_DRIVER: "native" }),
  contract("dgram", { DATAGRAM_DRIVER: "dgram" }),
  contractWithout("GSO", { DATAGRAM_GSO: "off" }),
  contractWithout("GRO", { DATAGRAM_GRO: "off" }),
  contractWithout("GSO and GRO", { DATAGRAM_GSO: "off", DATAGRAM_GRO: "off" }),
  overSim(contract("sim", {}), "sim/setup.ts"),
  overExample(),
  overSim(onLinks("sim", {}), "links/sim/setup.ts"),
  { ...datagram, test: { name: "proxy", include: ["test/proxy/**/*.test.ts"], ...computing } },
  {
    ...datagram,
    test: {
      name: "proxy over dgram",
      include: ["test/proxy/**/*.test.ts"],
      env: { DATAGRAM_DRIVER: "dgram" },
      ...computing,
    },
  },
  {
    ...datagram,
    test: { name: "unit", include: ["test/{unit,sim}/**/*.test.ts"], ...computing },
  },
  {
    ...datagram,
    test: { name: "dgram module", include: ["test/dgram/**/*.test.ts"], exclude: [workers], ...computing },
  },
  { ...datagram, test: { name: "message", include: ["test/message/**/*.test.ts"], ...computing } },
  {
    ...datagram,
    test: {
      name: "watch",
      include: ["test/watch/**/*.test.ts"],
      exclude: ["test/watch/browser/**"],
      ...waiting,
    },
  },
  {
    ...datagram,
    test: { name: "browser", include: ["test/watch/browser/*.test.ts"], ...programs, ...waiting },
  },
  { ...datagram, test: { name: "capture", include: ["test/capture/**/*.test.ts"], ...waiting } },
  { ...datagram, test: { name: "gateway", include: ["test/gateway/**/*.test.ts"], ...waiting } },
  {
    ...datagram,
    test: { name: "examples", include: ["examples/**/*.test.ts"], exclude: notInstalled, ...computing },
  },
  {
    extends: true as const,
    test: {
      name: "programs",
      include: ["test/{process,page,cli,package,netns}/**/*.test.ts", workers],
      exclude: [flood, ...faults],
      ...programs,
      ...waiting,
    },
  },
  { extends: true as const, test: { name: "faults", include: faults, ...waiting, isolate: true } },
  { ...datagram, test: { name: "alone", include: [flood], ...programs, ...alone } },
];

/** What `npm run test:runtimes` adds, which installs Bun, Deno and versions of TypeScript. */
if (process.env.DATAGRAM_RUNTIMES !== undefined) {
  const include = ["test/runtimes/*.test.ts"];
  projects.push({ extends: true, test: { name: "runtimes", include, testTimeout: 240_000, ...programs } });
}

/** What runs inside a host on two links, whose interfaces `DATAGRAM_LINKS` names. */
const projectsOnLinks = [
  onLinks("native", { DATAGRAM_DRIVER: "native" }),
  onLinks("dgram", { DATAGRAM_DRIVER: "dgram" }),
];

export default defineConfig({
  plugins: [importCompiled],
  test: {
    watch: false,
    // For `vitest related` and `vitest --changed`.
    forceRerunTriggers: [...configDefaults.forceRerunTriggers, everySource],
    server: { deps: { external: [compiledModules] } },
    // Far longer than a test takes, so that none fails on a machine that is busy with other work.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { requireAssertions: true },
    sequence: { sequencer: LongestFirst },
    // resolv.conf(5): a test of a name that does not exist waits for 1 s instead of 10 s if no name server answers.
    env: { RES_OPTIONS: "timeout:1 attempts:1" },
    projects: process.env.DATAGRAM_LINKS === undefined ? projects : projectsOnLinks,
  },
});
