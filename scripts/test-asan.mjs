/**
 * Tests the addon under AddressSanitizer (memory errors and leaks) and UndefinedBehaviorSanitizer: the contract over the
 * native driver, and the files of tests that use the addon in another way. Works in a copy of the package, so that
 * the usual addon does not change.
 *
 *   npm run test:asan                     the last line says what was found; exits with 0 or 1
 *   npm run test:asan -- --all            runs the whole contract and all of test/process, several times as long
 *   npm run test:asan -- --report <file>  also writes vitest's JSON report there
 */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: wanted } = parseArgs({
  options: { all: { type: "boolean", default: false }, report: { type: "string" } },
});
const root = fileURLToPath(new URL("..", import.meta.url));
/** The sanitizers of clang are in other libraries. */
const compiler = "g++";
/**
 * The files of test/process that call the addon as the contract does not: the error queue without a listener or without
 * room (icmp, events), planned errors (faults), wrong arguments (refusals), descriptors of other programs (adopted), the end
 * of a process or a thread with open sockets (closing, lifetime, workers, shared-port), and the end of sockets that nothing
 * refers to (resources). The other files test code in JavaScript (driver, offload, register, warnings), or repeat calls of
 * the contract many times (bench, flood).
 */
const files = [
  ...["adopted", "closing", "events", "faults", "icmp", "lifetime"],
  ...["refusals", "resources", "shared-port", "workers"],
].map((name) => `test/process/${name}.test.ts`);
/** The tests of the calls on memory, and messages that are made of merged runs. */
const memoryFiles = ["unit/native-memory", "unit/series", "message/loopback"].map(
  (name) => `test/${name}.test.ts`,
);
/**
 * The files of the contract that test code in JavaScript. Like the tests of `repeated`, they take no path through the addon
 * that no other test takes (docs/decisions/0049-tests-under-sanitizers.md).
 */
const repeatedFiles = ["random.test.ts", "probe-path-mtu.test.ts"];
/** Parts of the names of tests that start a process, or many datagrams, for a path through the addon that others take too. */
const repeated = [
  "sockets have their names and families",
  // adopted
  "bind\\(\\{ fd \\}\\) of datagram/dgram",
  // events
  ...["published on a diagnostics channel", "all four events have all their fields"],
  // icmp: storms over the second and the third kind of address, and shares of CPU time
  ...["over (IPv6|mapped) unread ICMP errors take no room", "the process sleeps"],
  // lifetime
  ...[
    "a process ends: idle$",
    "a process ends: idle (after a datagram|and connected)",
    "unref, then recvfrom$",
  ],
  ...["a process ends: recvfrom that was aborted", "a process stays until", "recvfrom of an unbound socket"],
  "the process ends: send that nobody awaits",
  // resources: descriptors and memory in use, which the sanitizers do not measure
  ...["a thousand sockets", "a hundred thousand datagrams"],
  // shared-port
  ...["workers that share a port", "the example's workers"],
];
/** Parts of the names of tests that do not run. The first one never loads the addon. */
const leftOut = ["over dgram", ...(wanted.all ? [] : repeated)];
const isLeftOut = new RegExp(leftOut.join("|"));
const contract = readdirSync(join(root, "test", "contract"))
  .filter((name) => name.endsWith(".test.ts") && (wanted.all || !repeatedFiles.includes(name)))
  .map((name) => `test/contract/${name}`);
const tests = [
  ...contract,
  ...(wanted.all ? ["test/process"] : files),
  ...memoryFiles,
  ...["--project=contract over native", "--project=programs", "--project=faults", "--project=alone"],
  ...["--project=unit", "--project=message"],
  `--testNamePattern=^(?!.*(${isLeftOut.source}))`,
];
/** Far longer than the tests take. */
const limitMs = 30 * 60_000;
/** How many lines of a finding are shown: its title and the top of its stack. */
const shownLines = 20;

// Ctrl-C ends the tests, which have the same terminal. Then their copy is removed here.
process.on("SIGINT", () => undefined);
process.exitCode = main();

/** @returns the exit code. */
function main() {
  const library = findLibrary();
  if (!library) return fail("libasan is missing: on Debian, apt-get install g++ libasan8");
  const copy = mkdtempSync(join(tmpdir(), "datagram-asan-"));
  try {
    copyPackage(copy);
    return test(copy, library);
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function test(copy, library) {
  if (run(copy, ["scripts/build-addon.mjs", "--faults", "--sanitize"], { CXX: compiler }) !== 0)
    return fail("the addon was not built");
  const logs = join(copy, "sanitizer-logs");
  mkdirSync(logs);
  const reportFile = join(copy, "report.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  // A process looks for leaks when it ends by itself, but vitest kills the processes of its pool "forks".
  const vitest = ["node_modules/vitest/vitest.mjs", "run", "--pool=threads", ...reporters, ...tests];
  // The resolver of the C library sees the environment of the process, not the one that vitest sets for a thread.
  const env = { RES_OPTIONS: "timeout:1 attempts:1", ASAN_OPTIONS: sanitizerOptions(logs) };
  const status = run(copy, vitest, { LD_PRELOAD: library, ...env });

  const findings = readdirSync(logs).flatMap((name) => findingsIn(readFileSync(join(logs, name), "utf8")));
  show(findings);
  if (!existsSync(reportFile)) return fail(`vitest ended without a report; ${summary(findings)}`);
  const report = askedFor(JSON.parse(readFileSync(reportFile, "utf8")));
  if (wanted.report !== undefined) writeFileSync(wanted.report, JSON.stringify(report));
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = report;
  console.log(`test:asan: ${passed} passed, ${failed} failed, ${skipped} skipped; ${summary(findings)}`);
  return status === 0 && passed > 0 && findings.length === 0 ? 0 : 1;
}

/** @returns the path of the library that must be loaded before all others; undefined if it is missing. */
function findLibrary() {
  const { stdout } = spawnSync(compiler, ["-print-file-name=libasan.so"], { encoding: "utf8" });
  const path = stdout?.trim() ?? "";
  // If the compiler has no such file, it prints the name without a path.
  return path.startsWith("/") ? path : undefined;
}

function copyPackage(copy) {
  const left = new Set([".ci", ".git", "node_modules", "prebuilds"]);
  for (const name of readdirSync(root)) {
    if (!left.has(name)) cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
}

/** Runs Node in the copy. @returns its exit code, or null if it was killed. */
function run(copy, args, env) {
  return spawnSync(process.execPath, args, {
    cwd: copy,
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
    timeout: limitMs,
    killSignal: "SIGKILL",
  }).status;
}

function sanitizerOptions(logs) {
  const options = {
    log_path: join(logs, "asan"),
    stack_trace_format: '"    #%n %f %S %M"',
    abort_on_error: 1,
    detect_leaks: 1,
    // Node has leaks of its own: an exit code for any leak would fail every test that runs a program.
    exitcode: 0,
    // Undefined behaviour ends in an illegal instruction. The value 2 keeps Node from replacing this signal handler.
    handle_sigill: 1,
    handle_segv: 2,
    // Freed memory is kept for a while, to find uses of it. The default of 256 MiB fills for so long that the test of the memory
    // of a process would report a leak.
    quarantine_size_mb: 16,
    // Each allocation is recorded with its stack. What the addon allocates has a function of the addon near the top, and Node's own
    // allocations need no more: the default of 30 calls takes a sixth of the CPU time.
    malloc_context_size: 10,
  };
  return Object.entries(options)
    .map(([name, value]) => `${name}=${value}`)
    .join(":");
}

/** What a log reports about the addon: every error, and the leaks of the addon. */
function findingsIn(log) {
  const [, error, failure] =
    /ERROR: AddressSanitizer: ([\w-]+)|(LeakSanitizer has encountered a fatal error)/.exec(log) ?? [];
  const kind = error === "ILL" ? "undefined behaviour" : (error ?? failure);
  const blocks = log.split("\n\n");
  const leaks = blocks.filter((block) => /^(Direct|Indirect) leak of /.test(block) && isOfAddon(block));
  return [...(kind ? [finding(kind, log)] : []), ...leaks.map((block) => finding("leak", block))];
}

/**
 * Whether the addon allocated the leaked memory. Memory that V8 allocated for the addon belongs to V8. V8 frees it together
 * with the whole heap, so never in a process that calls `process.exit`.
 */
function isOfAddon(leak) {
  const frames = framesOf(leak);
  const own = frames.findIndex(isOwn);
  return own >= 0 && !frames.slice(0, own).some((frame) => /^\s+#\d+ (\w+ )?v8::/.test(frame));
}

function finding(kind, text) {
  return { kind, at: framesOf(text).find(isOwn)?.trim() ?? "no frame of the addon", text };
}

function framesOf(text) {
  return text.split("\n").filter((line) => /^\s+#\d+ /.test(line));
}

function isOwn(frame) {
  return frame.includes("datagram.node");
}

/** Prints each finding once for each place. */
function show(findings) {
  const times = new Map();
  for (const { kind, at } of findings) times.set(`${kind} ${at}`, (times.get(`${kind} ${at}`) ?? 0) + 1);
  for (const [place, count] of times) {
    const { text } = findings.find(({ kind, at }) => `${kind} ${at}` === place);
    console.log(`\n${place} (${count} times), the first:`);
    console.log(text.trim().split("\n").slice(0, shownLines).join("\n"));
  }
}

function summary(findings) {
  const kinds = findings.map(({ kind }) => kind);
  const counted = [...new Set(kinds)].map(
    (kind) => `${kinds.filter((other) => other === kind).length} x ${kind}`,
  );
  return counted.length > 0 ? `found ${counted.join(", ")}` : "the sanitizers found no error and no leak";
}

/** The report without tests that were excluded by their name, since those do not count as skipped. */
function askedFor(report) {
  for (const file of report.testResults) {
    const meant = file.assertionResults.filter(({ fullName }) => !isLeftOut.test(fullName));
    report.numPendingTests -= file.assertionResults.length - meant.length;
    report.numTotalTests -= file.assertionResults.length - meant.length;
    file.assertionResults = meant;
  }
  return report;
}

function fail(reason) {
  console.log(`test:asan: ${reason}`);
  return 1;
}
