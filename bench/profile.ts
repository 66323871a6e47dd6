/**
 * Runs one workload under Node's CPU profiler and prints where the time of one of its processes goes. See README.md.
 *
 *     npm run bench:profile -- <workload>
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { killAll } from "./peer.js";
import { type Found, type ProgramName, findPrograms, root } from "./programs.js";
import { type Bench, type End, deliver, paces, receiveAtPace, roundTrip, sendAlone } from "./runs.js";

interface Profiled {
  readonly title: string;
  /** A function of `peers` that only the profiled process runs, all the time. */
  readonly loop: string;
  readonly needs: readonly ProgramName[];
  readonly run: (bench: Bench) => Promise<unknown>;
}

const sender: End = { program: "native", settings: { by: "sendMany" } };
const inFlight: End = { program: "datagram/dgram", settings: { inFlight: 64 } };
const receiver = (by: string): End => ({ program: "native", settings: { by } });
const workloads: Readonly<Record<string, Profiled>> = {
  "deliver-64": {
    title: "the receiver of 64 bytes, for await, from sendMany",
    loop: "readEach",
    needs: ["native"],
    run: (bench) => deliver(bench, sender, receiver("for-await"), 64),
  },
  "deliver-64-batches": {
    title: "the receiver of 64 bytes, batches(), from sendMany",
    loop: "readBatches",
    needs: ["native"],
    run: (bench) => deliver(bench, sender, receiver("batches"), 64),
  },
  "deliver-1400": {
    title: "the receiver of 1,400 bytes, for await, from sendMany",
    loop: "readEach",
    needs: ["native"],
    run: (bench) => deliver(bench, sender, receiver("for-await"), 1400),
  },
  "everyday-bursts": {
    title: "the receiver of 5,000 a second, 25 at a time, 1,400 bytes, for await, from C",
    loop: "readEach",
    needs: ["native", "c"],
    run: (bench) => receiveAtPace(bench, receiver("for-await"), 1400, paces.bursts),
  },
  "everyday-even": {
    title: "the receiver of 5,000 a second, one at a time, 1,400 bytes, for await, from C",
    loop: "readEach",
    needs: ["native", "c"],
    run: (bench) => receiveAtPace(bench, receiver("for-await"), 1400, paces.even),
  },
  "everyday-60000": {
    title: "the receiver of 60,000 a second, 60 at a time, 1,400 bytes, for await, from C",
    loop: "readEach",
    needs: ["native", "c"],
    run: (bench) => receiveAtPace(bench, receiver("for-await"), 1400, paces.fast),
  },
  send: {
    title: "the sender of 64 bytes, sendMany, to a socket that nobody reads",
    loop: "send",
    needs: ["native", "c"],
    run: (bench) => sendAlone(bench, sender, 64),
  },
  "send-promises": {
    title: "the sender of 64 bytes, 1,024 sendto promises in a tick, to a socket that nobody reads",
    loop: "send",
    needs: ["native", "c"],
    run: (bench) => sendAlone(bench, { program: "native", settings: { by: "sendto" } }, 64),
  },
  "fan-out-1000": {
    title: "the sender of 64 bytes, sendMany of one to each of 1,000 peers, which nobody reads",
    loop: "send",
    needs: ["native", "c"],
    run: (bench) =>
      sendAlone(bench, { program: "native", settings: { by: "datagrams", batch: 1000 } }, 64, 1000),
  },
  "dgram-receive": {
    title: "a message listener of datagram/dgram, 64 bytes, from its send with 64 callbacks in flight",
    loop: "receive",
    needs: ["datagram/dgram"],
    run: (bench) => deliver(bench, inFlight, { program: "datagram/dgram" }, 64),
  },
  "dgram-send": {
    title: "send of datagram/dgram with 64 callbacks in flight, 64 bytes, to its message listener",
    loop: "sendNext",
    needs: ["datagram/dgram"],
    run: (bench) => deliver(bench, inFlight, { program: "datagram/dgram" }, 64),
  },
  "round-trip": {
    title: "the client of round trips of 64 bytes with a C echo, both on one CPU",
    loop: "roundTrips",
    needs: ["native", "c"],
    run: (bench) => roundTrip(bench, "native", "c"),
  },
};

/** A node of a `.cpuprofile`, as the inspector protocol has it (Profiler.ProfileNode). */
interface ProfileNode {
  readonly id: number;
  /** The line of the function, from 0. */
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** The node of each sample, and the microseconds since the sample before. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Left out after the first sample of the loop: code that is not compiled yet. */
const warmUpMs = 500;
const windowMs = 3000;
const intervalUs = 250;
/** Rows with a smaller share, in percent, are added up in one row. */
const minShare = 0.5;
/**
 * The files that call the addon. The profiler has no frame for such a call, so their time includes the addon's and that of
 * its system calls.
 */
const addonCallers: Readonly<Record<string, string>> = {
  "src/kernel/native/sending.ts": "the addon's `send` and its system calls",
  "src/kernel/native/receiving.ts": "the addon's `receive` and its system calls",
};

/** The source file of each line of a file. */
const sourcesOfLines = new Map<string, string[]>();

process.on("exit", killAll);
const [name = "", ...rest] = process.argv.slice(2);
const chosen = workloads[name];
if (!chosen || rest.length > 0) {
  const list = Object.entries(workloads).map(([key, { title }]) => `  ${key.padEnd(20)} ${title}\n`);
  process.stderr.write(`Usage: npm run bench:profile -- <workload>\n\n${list.join("")}`);
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "datagram-profile-"));
try {
  await chosen.run({ programs: profiledPrograms(chosen), quick: false, windowMs });
  const { profile, kernelShare } = readProfile(chosen.loop);
  console.log(`Profile of ${chosen.title}; Node ${process.versions.node}.\n`);
  console.log(tableOf(sharesOf(profile, chosen.loop)));
  console.log(`\nThe kernel took ${kernelShare.toFixed(0)}% of the CPU time of the process.`);
} finally {
  rmSync(folder, { recursive: true });
}

/** The programs, those in Node under the profiler. */
function profiledPrograms({ needs }: Profiled): Map<ProgramName, Found> {
  const programs = findPrograms(new Set(needs), () => undefined);
  for (const [key, program] of programs) {
    if ("missing" in program) throw new Error(`no ${key}: ${program.missing}`);
    const [file = "", ...args] = program.command;
    if (file !== process.execPath) continue;
    const options = [
      "--cpu-prof",
      `--cpu-prof-dir=${folder}`,
      `--cpu-prof-interval=${intervalUs}`,
      `--import=${new URL("profile/usage.js", import.meta.url).href}`,
    ];
    const env = { ...program.env, DATAGRAM_PROFILE_FOLDER: folder };
    programs.set(key, { ...program, command: [file, ...options, ...args], env });
  }
  return programs;
}

/** The profile of the process that ran `loop`, and the percentage of its CPU time that the kernel took. */
function readProfile(loop: string): { profile: CpuProfile; kernelShare: number } {
  for (const file of readdirSync(folder).filter((each) => each.endsWith(".cpuprofile"))) {
    const profile = JSON.parse(readFileSync(join(folder, file), "utf8")) as CpuProfile;
    const isWanted = profile.nodes.some(({ callFrame }) => isLoop(callFrame, loop));
    if (!isWanted) continue;
    // CPU.<date>.<time>.<pid>.<thread>.<number>.cpuprofile
    const pid = file.split(".")[3] ?? "";
    const { user, system } = JSON.parse(readFileSync(join(folder, `${pid}.json`), "utf8")) as NodeJS.CpuUsage;
    return { profile, kernelShare: (system / (user + system)) * 100 };
  }
  throw new Error(`no process ran ${loop}`);
}

/** The percentage of the time that each place took itself, without the functions that it called, while `loop` ran. */
function sharesOf({ nodes, samples, timeDeltas }: CpuProfile, loop: string): Map<string, number> {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const loopIds = new Set(nodes.filter(({ callFrame }) => isLoop(callFrame, loop)).map(({ id }) => id));
  const inLoop = samples.flatMap((id, index) => (loopIds.has(id) ? [index] : []));
  const [first = 0, last = -1] = [inLoop[0], inLoop.at(-1)];
  const times = new Map<string, number>();
  let [elapsed, measured] = [0, 0];
  for (let index = first; index <= last; index++) {
    const delta = timeDeltas[index] ?? 0;
    elapsed += delta;
    if (elapsed < warmUpMs * 1000) continue;
    const place = places.get(samples[index] ?? 0) ?? "";
    times.set(place, (times.get(place) ?? 0) + delta);
    measured += delta;
  }
  return new Map([...times].map(([place, time]) => [place, (time / measured) * 100]));
}

function isLoop({ functionName, url }: ProfileNode["callFrame"], loop: string): boolean {
  return functionName === loop && url.includes("/bench/peers/");
}

function placeOf({ functionName, url, lineNumber }: ProfileNode["callFrame"]): string {
  if (functionName === "(garbage collector)") return "V8: the garbage collector";
  if (functionName === "(idle)") return "waiting for the kernel";
  if (functionName === "(program)") return "V8, Node and libuv outside JavaScript";
  if (url.startsWith("node:")) return "Node's own JavaScript";
  // Builtins have no URL, and extensions of V8 have a name: the peers call `gc`, whose name is "v8/gc".
  if (!url.startsWith("file:")) return "V8: builtins";
  const file = relative(root, fileURLToPath(url));
  if (file.startsWith("build/")) return "the program";
  const source = sourceOf(file, lineNumber);
  const addon = addonCallers[source];
  return `\`${source}\`${addon === undefined ? "" : `, with ${addon}`}`;
}

/** The source file of a line of a file in dist, which has the lines of several source files: scripts/bundle.mjs. */
function sourceOf(file: string, line: number): string {
  let sources = sourcesOfLines.get(file);
  if (!sources) {
    sources = [];
    let source = file;
    for (const text of readFileSync(join(root, file), "utf8").split("\n")) {
      source = /^\/\/ build\/(src\/.+)\.js$/.exec(text)?.[1]?.concat(".ts") ?? source;
      sources.push(source);
    }
    sourcesOfLines.set(file, sources);
  }
  return sources[line] ?? file;
}

function tableOf(shares: ReadonlyMap<string, number>): string {
  const rows = [...shares].filter(([, share]) => share >= minShare).sort(([, a], [, b]) => b - a);
  const others = 100 - rows.reduce((sum, [, share]) => sum + share, 0);
  const cells = [...rows, ["all others", others] as const].map(
    ([place, share]) => [place, share.toFixed(1)] as const,
  );
  const width = Math.max(...cells.map(([place]) => place.length));
  const line = (place: string, share: string): string => `| ${place.padEnd(width)} | ${share.padStart(4)} |`;
  return [
    line("self time", "%"),
    `| ${"-".repeat(width)} | ---: |`,
    ...cells.map((row) => line(...row)),
  ].join("\n");
}
