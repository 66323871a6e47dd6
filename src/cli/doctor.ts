import type { Command } from "commander";

import type { Family } from "../core/address/address.js";
import {
  AF_INET,
  AF_INET6,
  type Capabilities,
  type HostCounts,
  OSError,
  SOCK_DGRAM,
  SOL_SOCKET,
  SO_RCVBUF,
  SO_SNDBUF,
  type Socket,
  socket,
} from "../index.js";
import { type BufferName, bufferLimit, bufferSize } from "../kernel/buffers.js";
import { driverVariable, kernelStack } from "../kernel/choice.js";
import { readHostCounts } from "../kernel/host-counts.js";
import { membershipLimits } from "../kernel/membership-limits.js";
import { nativeSupport } from "../kernel/native/stack.js";
import { type Runtime, runtime } from "../kernel/runtime.js";
import { Failure, exitCodes } from "./exit.js";
import { jsonLine } from "./payload.js";
import { onOutput, print } from "./terminal.js";
import { version } from "./version.js";

/** The buffer size that a socket requests by default, in bytes. */
const askedBytes = 4 << 20;
/** How long a datagram to this machine itself may take, in milliseconds. */
const patienceMs = 2000;

const help = `
Shows which driver the sockets have and why, what it can do, how large the
kernel's buffers are, and whether a datagram to this machine itself arrives,
over IPv4 and over IPv6. The exit code is 1 if a family is available but its
datagram does not arrive.

Examples:
  datagram doctor
  datagram doctor --json
  DATAGRAM_DRIVER=dgram datagram doctor`;

/** Adds `datagram doctor`. */
export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .summary("show what this machine can do")
    .description("Shows which driver is used and what it can do here.")
    .option("--json", "print the findings as a JSON object on one line")
    .addHelpText("after", help)
    .action(doctor);
}

async function doctor({ json }: { readonly json?: boolean }): Promise<void> {
  const findings = await examine();
  await print(json ? jsonLine(findings) : describe(findings));
  if (!findings.ok) throw new Failure(exitCodes.error, "a datagram to this machine did not arrive");
}

/** The object that `--json` prints. */
interface Findings {
  readonly ok: boolean;
  readonly version: string;
  readonly runtime: Runtime;
  /** The version of Node, or the one that Bun and Deno follow. */
  readonly node: string;
  readonly platform: string;
  readonly arch: string;
  readonly driver: { readonly name: string; readonly why: string };
  readonly capabilities: Capabilities;
  readonly buffers: readonly BufferFinding[];
  readonly multicast: readonly MulticastFinding[];
  readonly families: readonly FamilyFinding[];
  /** Drops of the host for all sockets since its start. `null` if the counts cannot be read. */
  readonly host: HostCounts | null;
}

interface BufferFinding {
  readonly name: BufferName;
  readonly askedBytes: number;
  /** `null` if it cannot be read: no socket could be opened, or the runtime does not tell. */
  readonly givenBytes: number | null;
  /** The kernel's setting that limits the size, and its value. `null` if the value cannot be read. */
  readonly setting: string;
  readonly settingBytes: number | null;
  /** How to raise the limit. */
  readonly advice?: string;
}

/** How many memberships one socket may have. */
interface MulticastFinding {
  readonly name: string;
  readonly most: number;
  /** The kernel's setting for it. */
  readonly setting: string;
}

interface FamilyFinding {
  readonly name: "IPv4" | "IPv6";
  /** Whether a socket of this family can be bound on the loopback interface. */
  readonly available: boolean;
  /** Why the family is unavailable, or why the datagram did not arrive. */
  readonly reason?: string;
  /** How long the datagram took. `null` if it did not arrive. */
  readonly loopbackMs: number | null;
}

async function examine(): Promise<Findings> {
  const { name, capabilities } = kernelStack();
  const trials = [await tryFamily("IPv4", AF_INET, "127.0.0.1"), await tryFamily("IPv6", AF_INET6, "::1")];
  const families = trials.map(({ finding }) => finding);
  const reachable = families.filter(({ available }) => available);
  const given = trials.find(({ given }) => given !== undefined)?.given;
  return {
    ok: reachable.length > 0 && reachable.every(({ loopbackMs }) => loopbackMs !== null),
    version,
    runtime,
    node: process.versions.node,
    platform: process.platform,
    arch: process.arch,
    driver: { name, why: whyDriver() },
    capabilities,
    buffers: [bufferFinding("receive", given?.receive), bufferFinding("send", given?.send)],
    multicast: multicastFindings(),
    families,
    host: readHostCounts() ?? null,
  };
}

function whyDriver(): string {
  const { reason } = nativeSupport();
  const native =
    reason === undefined ? "the native driver loads here" : `the native driver is not available: ${reason}`;
  const forced = process.env[driverVariable];
  return forced ? `${driverVariable}=${forced} asks for it; ${native}` : native;
}

/** The result of the test of one family. */
interface Trial {
  readonly finding: FamilyFinding;
  /** The actual sizes of the socket's buffers, if it could be bound. */
  readonly given?: Readonly<Record<BufferName, number | undefined>>;
}

/** Sends a datagram from a socket to itself. */
async function tryFamily(name: FamilyFinding["name"], family: Family, host: string): Promise<Trial> {
  let given: Trial["given"];
  try {
    await using s = socket(family, SOCK_DGRAM, { receiveBuffer: askedBytes, sendBuffer: askedBytes });
    await s.bind([host, 0]);
    given = { receive: sizeOf(s, SO_RCVBUF), send: sizeOf(s, SO_SNDBUF) };
    const token = String(s.random());
    const sentAt = s.clock.now();
    await s.sendto(token, s.getsockname());
    const got = await s.recv(token.length + 1, { timeoutMs: patienceMs });
    const loopbackMs = Number((s.clock.now() - sentAt).toFixed(3));
    if (got.toString() !== token)
      throw new OSError("EPROTO", { text: "the received data is not the data that was sent" });
    return { finding: { name, available: true, loopbackMs }, given };
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    const finding = { name, available: given !== undefined, reason: error.message, loopbackMs: null };
    return { finding, ...(given && { given }) };
  }
}

/** The size of a buffer; `undefined` if the driver cannot read it. */
function sizeOf(s: Socket, option: typeof SO_RCVBUF | typeof SO_SNDBUF): number | undefined {
  try {
    return s.getsockopt(SOL_SOCKET, option);
  } catch (error) {
    if (error instanceof OSError && error.code === "ENOTSUP") return undefined;
    throw error;
  }
}

function bufferFinding(name: BufferName, readBytes: number | undefined): BufferFinding {
  const size =
    readBytes === undefined ? { askedBytes, givenBytes: null } : bufferSize(name, askedBytes, readBytes);
  return { name, ...size, ...bufferLimit(name) };
}

function multicastFindings(): MulticastFinding[] {
  const [ipv4, ipv6] = [membershipLimits(AF_INET), membershipLimits(AF_INET6)];
  return [
    { name: "IPv4 groups of a socket", most: ipv4.groups, setting: "net.ipv4.igmp_max_memberships" },
    { name: "sources of an IPv4 group", most: ipv4.sources, setting: "net.ipv4.igmp_max_msf" },
    { name: "sources of an IPv6 group", most: ipv6.sources, setting: "net.ipv6.mld_max_msf" },
  ];
}

function describe(findings: Findings): string {
  const { driver, capabilities, buffers, multicast, families, host } = findings;
  const width = Math.max(...Object.keys(capabilities).map((name) => name.length));
  const lines = [
    `datagram ${findings.version} on ${findings.runtime.name} ${findings.runtime.version}, ${findings.platform} ${findings.arch}`,
    "",
    `${onOutput("bold", "driver")} ${driver.name}`,
    `  ${driver.why}`,
    "",
    onOutput("bold", "capabilities"),
    ...Object.entries(capabilities).map(([name, capability]) => {
      const start = `  ${name.padEnd(width)}  ${yesOrNo(capability.available)}`;
      return capability.available ? start : `${start}  ${capability.reason}`;
    }),
    "",
    onOutput("bold", "buffers"),
    ...buffers.flatMap(({ name, askedBytes, givenBytes, setting, settingBytes, advice }) => [
      `  ${name.padEnd(7)}  ${sizeText(givenBytes, askedBytes)} (${setting} is ${settingBytes ?? "unknown"})`,
      ...(advice === undefined ? [] : [`    for more: ${advice}`]),
    ]),
    "",
    onOutput("bold", "multicast"),
    ...multicast.map(
      ({ name, most, setting }) =>
        `  ${name.padEnd(24)}  at most ${most} (sudo sysctl -w ${setting}=${2 * most} for more)`,
    ),
    "",
    onOutput("bold", "a datagram to this machine itself"),
    ...families.map(({ name, available, reason, loopbackMs }) => {
      const outcome =
        loopbackMs === null ? (available ? "lost" : "not available") : `arrived in ${loopbackMs} ms`;
      return `  ${name}  ${yesOrNo(loopbackMs !== null)}  ${outcome}${reason === undefined ? "" : `: ${reason}`}`;
    }),
    "",
    onOutput("bold", "dropped by this host since its start, for all sockets in this network namespace"),
    ...(host ? hostLines(host) : ["  unknown: only Linux counts it, in /proc/net/snmp and /proc/net/snmp6"]),
  ];
  return `${lines.join("\n")}\n`;
}

function sizeText(givenBytes: number | null, askedBytes: number): string {
  return givenBytes === null
    ? `unknown, ${askedBytes} bytes asked for`
    : `${givenBytes} of ${askedBytes} bytes asked for`;
}

function hostLines(counts: HostCounts): string[] {
  const rows = [
    [
      counts.IpReasmFails,
      counts.Ip6ReasmFails,
      "IpReasmFails, Ip6ReasmFails",
      "fragments that were not reassembled",
    ],
    [
      counts.UdpRcvbufErrors,
      counts.Udp6RcvbufErrors,
      "UdpRcvbufErrors, Udp6RcvbufErrors",
      "dropped at a full receive buffer",
    ],
    [counts.UdpInErrors, counts.Udp6InErrors, "UdpInErrors, Udp6InErrors", "those, and wrong checksums"],
  ] as const;
  return rows.map(
    ([four, six, names, what]) => `  IPv4 ${four ?? "unknown"}, IPv6 ${six ?? "unknown"}: ${what} (${names})`,
  );
}

function yesOrNo(yes: boolean): string {
  return yes ? onOutput("green", "yes") : onOutput("dim", "no ");
}
