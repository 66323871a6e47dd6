import { type Command, Option } from "commander";

import type { Endpoint } from "../core/address/address.js";
import { type Address, OSError, SOCK_DGRAM, type Unreachable, socket } from "../index.js";
import { type PathMtuProbe, type PathMtuResult, probePathMtu } from "../message/index.js";
import { formatDuration } from "../sim/link/unit-texts.js";
import { count } from "../core/ledger/count-text.js";
import { Failure, exitCodes } from "./exit.js";
import { jsonLine } from "./payload.js";
import { notice, onOutput, print, warn } from "./terminal.js";
import { refused } from "./unreachable.js";
import { destination, duration, resolved } from "./option-values.js";

/** An amount of data that programs often send in pieces. */
const exampleBytes = 64 * 1024;
/** Lost probes of one size before it counts as too big. */
const maxProbes = 3;
/** Digits of the largest size. */
const sizeWidth = 5;

const help = `
Finds the largest datagram that arrives there in one packet, and so the path
MTU, with probes that no router may fragment (RFC 8899, DPLPMTUD). It does not
depend on routers: if their ICMP messages are filtered and large datagrams
vanish silently, it still finds the size, and prints a warning.

The other side must echo each datagram, or answer it, for instance with:
  datagram listen 0.0.0.0:9000 --echo

Each probe is a line on standard error: its payload in bytes, and whether it
was answered, lost (3 probes of each size), refused by this machine, or dropped
by a router that reported its MTU. The result goes to standard output. With
--json it is an object with destination, maxPayload, mtu, overhead, probes,
lost, rttMs, blackHole, ignored and chunksOf64KiB.

The exit code is 3 if no answer came, and 4 if nobody is listening there, or if
3 probes in a row were lost and ICMP says that the host cannot be reached.

Examples:
  datagram mtu 192.168.1.20:9000
  datagram mtu [2001:db8::7]:9000 --json
  datagram mtu 192.168.1.20:9000 --timeout 5s`;

interface MtuOptions {
  readonly timeout: number;
  readonly json?: boolean;
}

/** Adds `datagram mtu`. */
export function addMtu(program: Command): void {
  program
    .command("mtu")
    .summary("find the largest datagram that arrives in one packet")
    .description("Finds the largest datagram that arrives somewhere in one packet, and the path MTU.")
    .argument("<host:port>", "the peer that answers the probes", destination)
    .addOption(
      new Option("--timeout <time>", "how long the first probes wait for an answer")
        .argParser(duration("--timeout"))
        .default(1000, formatDuration(1000)),
    )
    .option("--json", "print the result as a JSON object on one line")
    .addHelpText("after", help)
    .action(mtu);
}

async function mtu(where: Address, { timeout: timeoutMs, json }: MtuOptions): Promise<void> {
  const to = await resolved(where);
  await using s = socket(to.family, SOCK_DGRAM);
  let report: Unreachable | undefined;
  s.on("unreachable", (each) => (report = each));
  try {
    const result = await probePathMtu(s, to, { timeoutMs, onProbe: tell });
    const chunksOf64KiB = Math.ceil(exampleBytes / result.maxPayload);
    await print(
      json
        ? jsonLine({ destination: to, ...result, rttMs: Number(result.rttMs.toFixed(3)), chunksOf64KiB })
        : describe(to, result, chunksOf64KiB),
    );
    if (result.blackHole) warnOfBlackHole(result);
  } catch (error) {
    throw asFailure(error, to, report);
  }
}

/** Prints one probe as a line. */
function tell(probe: PathMtuProbe): void {
  notice(`${String(probe.size).padStart(sizeWidth)} bytes  ${outcomeOf(probe)}`);
}

function outcomeOf(probe: PathMtuProbe): string {
  switch (probe.outcome) {
    case "answered":
      return `answered in ${probe.rttMs.toFixed(2)} ms${probe.late ? ", which is late" : ""}`;
    case "lost":
      return `lost (${probe.attempt} of ${maxProbes})`;
    case "refused":
      return `refused here: over ${probe.limit}, the limit of the first link`;
    case "tooBig":
      return `dropped: ${probe.from ?? "a router"} says that the MTU is ${probe.mtu}, so ${probe.limit} bytes`;
  }
}

function describe(to: Endpoint, result: PathMtuResult, chunks: number): string {
  const { maxPayload, mtu, overhead, rttMs, probes, lost } = result;
  const ip = overhead === 28 ? "IPv4" : "IPv6";
  const rows = [
    ["payload", `${maxPayload} bytes: the largest datagram that arrives at ${to} in one packet`],
    ["overhead", `${overhead} bytes of ${ip} and UDP headers`],
    ["path MTU", `${mtu} bytes`],
    ["round trip", `${rttMs.toFixed(2)} ms, the shortest of ${count(probes, "probe")}, ${lost} lost`],
    ["64 KiB", `${count(chunks, "datagram")} of that size`],
  ];
  return rows.map(([name = "", value]) => `${onOutput("bold", name.padEnd(10))}  ${value}\n`).join("");
}

function warnOfBlackHole({ maxPayload }: PathMtuResult): void {
  warn(
    `a black hole: datagrams above ${maxPayload} bytes vanish and no router reports it, or its ICMP errors do not arrive. The ` +
      'kernel does not know it: send none above that size. The operator of the network should let ICMP "fragmentation needed" and ' +
      '"packet too big" pass. A peer that accepts no longer datagrams looks the same, and so does a path that loses many ' +
      "at random: then another search finds more",
  );
}

/** An error of the search, in terms of the command line. */
function asFailure(error: unknown, to: Endpoint, report: Unreachable | undefined): unknown {
  if (!(error instanceof OSError)) return error;
  if (report?.code === error.code) return refused(report, to);
  if (error.code !== "ETIMEDOUT") return error;
  const text = `no answer from ${to}: all probes were lost, or no program there answers (datagram listen --echo does)`;
  return new Failure(exitCodes.noAnswer, text);
}
