import type { Command } from "commander";
import { Option } from "commander";

import type { Endpoint } from "../core/address/address.js";
import { refusalText } from "../core/ledger/report-texts.js";
import { CaptureError, type ReplayDatagram, type ReplayStats, read, replay } from "../capture/index.js";
import { keyOfEndpoint } from "../capture/replay/endpoint-key.js";
import type { StreamReading } from "../gateway/index.js";
import type { Socket } from "../index.js";
import { isOfRelay } from "../proxy/passage-comments.js";
import { count } from "../core/ledger/count-text.js";
import { captureFailure } from "./capture-failure.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { destination, duration, quote, resolved, wholeNumber } from "./option-values.js";
import { ReplayProgress, durationText, latenessText } from "./replay-progress.js";
import { addRouteOptions, listed, pingMeanings } from "./route-options.js";
import { type SendingOptions, asFailure, openUnconnected } from "./sender-sockets.js";
import { hasStatusLine } from "./status-line.js";
import {
  type StreamOptions,
  addStreamOptions,
  isServer,
  openStream,
  refuseStreamOptions,
  streamFailure,
  streamLosses,
  streamName,
} from "./stream-options.js";
import { notice, stopSignal, warn, wasStopped } from "./terminal.js";

const help = `
The file is a capture file of tcpdump, tshark, Wireshark, dumpcap, editcap,
mergecap or this package, pcap or pcapng; - is standard input. Each datagram is
sent as a packet of its own, with the times between datagrams that the file has.
All of them come from one socket of this machine: no privileges are needed.

--to sends everything to one address. With --to recorded=address, as in
10.0.0.7:5000=127.0.0.1:9000, only the datagrams that were sent to the recorded
address are sent, to the other one; it may be repeated, and a recorded address
without a port stands for all ports.

The time of each datagram is counted from the start: a late one moves none of
the others. To be precise to some microseconds, the command uses most of one CPU
while datagrams are less than 2 ms apart.

A datagram that the recorder cut is skipped, and so is a packet that is probably
several datagrams (segmentation offload). Recordings of loopback need --mtu
65536 if datagrams above 1472 bytes are skipped for that reason.

--recorded-by chooses by the interface that recorded the datagram, as datagram
read --json shows it. If the file lacks it, a line lists those that the file
has. A file of datagram proxy has both sides of the relay:
without --recorded-by, --direction, --from and recorded addresses, what clients
sent is sent, before the faults. What targets got, after the faults, is
--recorded-by targets --direction out.

On a terminal, a line shows the progress. The summary on standard error says how
late datagrams were and what was not sent. The exit code is 1 if nothing was
sent, if the system refused datagrams, or if the file is damaged.

--from nats://host --stream name sends what datagram gateway has stored in that
stream until now, in place of a file, with the times of the kernel. --peer and
--port choose the datagrams, and --since where it begins.

Examples:
  datagram replay today.pcapng --to 127.0.0.1:9000
  datagram replay today.pcapng --to 127.0.0.1:9000 --from 10.0.0.7 --speed 10
  datagram replay today.pcapng --to 10.0.0.7:5000=127.0.0.1:9000 --loop 0
  datagram replay today.pcapng --to 127.0.0.1:9000 --start 90s --end 2m
  datagram replay --from nats://10.0.0.2 --stream cameras --to 127.0.0.1:9000`;

/** The largest number of interfaces of the file that an error lists. */
const shownRecorders = 16;

interface ReplayFileOptions extends SendingOptions, StreamOptions {
  readonly to?: readonly Target[];
  readonly from?: readonly string[];
  readonly direction?: "in" | "out";
  readonly recordedBy?: readonly string[];
  readonly speed: number;
  readonly loop: number;
  readonly start?: number;
  readonly end?: number;
  readonly segmentation?: boolean;
  readonly mtu: number;
}

/** A value of `--to`: where datagrams are sent that went to `recorded`, or all datagrams. */
interface Target {
  readonly recorded: string | undefined;
  readonly to: ReturnType<typeof destination>;
}

/** Adds `datagram replay`. */
export function addReplay(program: Command): void {
  const command = program
    .command("replay")
    .summary("send the datagrams of a capture file again")
    .description("Sends the UDP datagrams of a capture file again, with their times.")
    .usage("[options] <file> | --from nats://host --stream <name>")
    .argument("[file]", "the capture file, or - for standard input")
    .option("--to <address>", "send to host:port, or recorded=host:port; may be repeated", listed(target))
    .option(
      "--from <address>",
      "only what this recorded source sent: an IP address, with or without a port; or nats://host, the server of a stream",
      listed(source),
    )
    .addOption(
      new Option("--direction <which>", "only what the recording host received or sent").choices([
        "in",
        "out",
      ]),
    )
    .option(
      "--recorded-by <interface>",
      "only what this interface of the file recorded; may be repeated",
      listed((text: string) => text),
    )
    .option("--speed <factor>", "so many times as fast, or max: as fast as possible", speed, 1)
    .option("--loop <n>", "send the file n times; 0: until Ctrl-C", wholeNumber("--loop", 0), 1)
    .option("--start <time>", "start at this time of the recording", duration("--start"))
    .option("--end <time>", "end at this time of the recording", duration("--end"))
    .option("--segmentation", "let datagrams with the same time leave as one segmented send")
    .option("--mtu <bytes>", "MTU of the recorded network", wholeNumber("--mtu", 68, 65_575), 1500)
    .option("--broadcast", "allow broadcast addresses");
  addStreamOptions(addRouteOptions(command, pingMeanings)).addHelpText("after", help).action(run);
}

async function run(file: string | undefined, options: ReplayFileOptions, command: Command): Promise<void> {
  const servers = options.from?.filter(isServer) ?? [];
  if (servers.length === 0) {
    if (file === undefined) throw usage("missing required argument 'file'");
    if ((options.from?.length ?? 0) > 1) throw usage("--from takes one recorded source");
    refuseStreamOptions(options);
    await replayInput(file, options);
    return;
  }
  if (file !== undefined) throw usage("give a file or --from nats://host, not both");
  if (servers.length < (options.from?.length ?? 0))
    throw usage("with --from nats://host, choose a source by --peer");
  for (const name of ["loop", "direction", "mtu", "recordedBy"])
    if (command.getOptionValueSource(name) === "cli")
      throw usage(
        `--${name === "recordedBy" ? "recorded-by" : name} is for a file: it is not possible with --from nats://host`,
      );
  await replayInput(servers, options);
}

/** @param input the path of a file, or the servers of a stream. */
async function replayInput(input: string | readonly string[], options: ReplayFileOptions): Promise<void> {
  const targets = checkTargets(options.to);
  if (input === "-" && options.loop !== 1)
    throw usage("--loop needs a file: standard input can be read only once");
  const to = await Promise.all(targets.map((each) => resolved(each.to)));
  const stop = stopSignal();
  // The process would wait for the end of its input.
  if (input === "-") stop.addEventListener("abort", () => process.stdin.destroy());
  try {
    const opened = await openUnconnected(to, options);
    await using s = opened.socket;
    warnOfRefusals(s);
    await send(input, s, destinations(targets, opened.to), options, stop);
  } catch (error) {
    const failure =
      typeof input === "string" ? captureFailure(error, input) : streamError(error, input, options);
    throw asFailure(failure, options);
  }
}

async function send(
  input: string | readonly string[],
  s: Socket,
  to: Endpoint | ReadonlyMap<string, Endpoint>,
  options: ReplayFileOptions,
  stop: AbortSignal,
): Promise<void> {
  const { from, direction, speed: factor, loop, start = 0, end = Infinity, segmentation, mtu } = options;
  const loops = loop === 0 ? Infinity : loop;
  const totalMs =
    hasStatusLine && typeof input === "string" && input !== "-"
      ? Math.min(end, await lengthMs(input, stop)) - start
      : undefined;
  const progress = new ReplayProgress(totalMs, loops);
  let stats: ReplayStats | undefined;
  const [source] = typeof input === "string" ? (from ?? []) : [];
  const common = { to, from: source, direction, speed: factor, loops, segmentation, mtu, signal: stop };
  const stream = typeof input === "string" ? undefined : streamOf(input, options);
  const recorders = new Set<string>();
  const datagrams = stream ?? (input === "-" ? process.stdin : (input as string));
  try {
    await replay<ReplayDatagram>(datagrams, s, {
      ...common,
      filter: filterOf(options, recorders),
      startMs: start,
      endMs: end,
      onProgress: (now) => {
        stats = now;
        progress.show(now, start);
      },
    });
  } catch (error) {
    progress.end();
    // Without datagrams there is only the error: that of a file that cannot be opened, or that has another format.
    if (stats && stats.datagrams > 0) summary(stats, stream);
    if (!wasStopped(error)) throw error;
    if (loops !== Infinity) throw new Failure(exitCodes.error, "interrupted before all was sent");
    return;
  }
  progress.end();
  if (!stats) return;
  summary(stats, stream);
  const missing = options.recordedBy?.filter((name) => !recorders.has(name)) ?? [];
  if (missing.length > 0) warn(missingText(missing, recorders, stream ? "stream" : "file"));
  if (stats.datagrams === 0) throw new Failure(exitCodes.error, "nothing was sent");
  const failed = sum(Object.values(stats.failed));
  if (failed > 0) throw new Failure(exitCodes.error, `the system refused ${count(failed, "datagram")}`);
}

/** As `streamFailure`. A stream without datagrams is an empty recording to `replay`. */
function streamError(error: unknown, servers: readonly string[], { stream }: ReplayFileOptions): unknown {
  if (!(error instanceof CaptureError)) return streamFailure(error);
  return new Failure(exitCodes.error, `${streamName(servers, stream)} has no such datagram`);
}

function streamOf(servers: readonly string[], options: ReplayFileOptions): StreamReading {
  notice(`replaying ${streamName(servers, options.stream)}`);
  return openStream(servers, options, { until: "now" });
}

/** Milliseconds from the first to the last datagram of a file, for the progress. A damaged file fails later. */
async function lengthMs(file: string, stop: AbortSignal): Promise<number> {
  let [first, last] = [undefined as bigint | undefined, 0n];
  try {
    for await (const { timestamp } of read(file)) {
      first ??= timestamp;
      last = timestamp ?? last;
      if (stop.aborted) break;
    }
  } catch {
    // The replay reports it.
  }
  return first === undefined ? 0 : Number(last - first) / 1e6;
}

/** Prints the summary. Causes that did not happen are left out. */
function summary(stats: ReplayStats, stream: StreamReading | undefined): void {
  const { datagrams, bytes, elapsedMs, skipped, failed, lateness } = stats;
  notice(`sent ${count(datagrams, "datagram")}, ${count(bytes, "byte")} in ${durationText(elapsedMs)}`);
  if (lateness && datagrams > 0) notice(`  ${latenessText(lateness)}`);
  const causes: readonly (readonly [number, string])[] = [
    [skipped.filtered, "left out by the options"],
    [skipped.noDestination, "sent to none of the recorded addresses of --to"],
    [skipped.truncated, "cut by the recorder"],
    [skipped.probablySeveral, "probably several datagrams each (for recordings of loopback: --mtu 65536)"],
    [skipped.tooBig, "too long for the destination"],
    ...Object.entries(failed).map(([code, number]) => [number, `refused by the system (${code})`] as const),
  ];
  for (const [number, text] of causes) if (number > 0) notice(`  not sent, ${text}: ${number}`);
  for (const line of stream ? streamLosses(stream.stats()) : []) notice(line);
}

/** Says which interfaces of `--recorded-by` recorded nothing, and which ones did. */
function missingText(
  missing: readonly string[],
  recorders: ReadonlySet<string>,
  source: "file" | "stream",
): string {
  const known = [...recorders].map(quote);
  const shown = known.slice(0, shownRecorders).join(", ") + (known.length > shownRecorders ? ", …" : "");
  const text =
    known.length === 0 ? `no datagram of the ${source} names its interface` : `the ${source} has ${shown}`;
  return `no datagram was recorded by ${missing.map(quote).join(", ")}: ${text}`;
}

/**
 * Chooses datagrams by the interface that recorded them. Of those of a relay, it is the side of the clients if nothing else is
 * chosen.
 *
 * @param recorders gets the names of the interfaces that recorded datagrams, if `--recorded-by` chooses among them.
 */
function filterOf(
  { recordedBy, direction, from, to = [] }: ReplayFileOptions,
  recorders: Set<string>,
): (datagram: ReplayDatagram) => boolean {
  if (recordedBy)
    return ({ interface: by }) => {
      if (by === undefined) return false;
      if (recorders.size <= shownRecorders || recordedBy.includes(by)) recorders.add(by);
      return recordedBy.includes(by);
    };
  if (direction !== undefined || from !== undefined || to.some(({ recorded }) => recorded !== undefined))
    return () => true;
  let isTold = false;
  return (datagram) => {
    // A file can have recordings of others beside those of a relay.
    if (!isOfRelay(datagram)) return true;
    if (!isTold)
      notice("the file is of a relay: what its clients sent is sent, before the faults (see --recorded-by)");
    isTold = true;
    return datagram.interface === "clients" && datagram.direction === "in";
  };
}

/** Warns once of each destination that refuses, if the driver has ICMP errors. */
function warnOfRefusals(s: Socket): void {
  const warned = new Set<string>();
  s.on("unreachable", (report) => {
    const to = String(report.destination);
    if (warned.has(to)) return;
    warned.add(to);
    warn(refusalText(report, report.destination));
  });
}

function checkTargets(given: readonly Target[] | undefined): readonly Target[] {
  if (!given) throw usage("give --to, the address to send to");
  const all = given.filter(({ recorded }) => recorded === undefined);
  if (all.length > 0 && given.length > 1)
    throw usage("--to host:port sends everything there: give it once, or only --to recorded=host:port");
  return given;
}

function destinations(
  targets: readonly Target[],
  to: readonly Endpoint[],
): Endpoint | ReadonlyMap<string, Endpoint> {
  if (targets[0]?.recorded === undefined) return to[0] as Endpoint;
  return new Map(targets.map(({ recorded }, index) => [recorded as string, to[index] as Endpoint]));
}

/** Reads a value of `--to`. */
function target(text: string): Target {
  const [left = "", right, ...rest] = text.split("=");
  if (right === undefined) return { recorded: undefined, to: destination(left) };
  if (rest.length > 0) throw usage(`--to takes host:port or recorded=host:port, not ${quote(text)}`);
  return { recorded: recordedAddress("--to", left), to: destination(right) };
}

function source(text: string): string {
  return isServer(text) ? text : recordedAddress("--from", text);
}

function recordedAddress(option: string, text: string): string {
  try {
    return keyOfEndpoint(text, option);
  } catch {
    throw usage(
      `${option} takes recorded IP addresses, such as 10.0.0.7:5000 or 10.0.0.7, not ${quote(text)}`,
    );
  }
}

function speed(text: string): number {
  if (text === "max") return Infinity;
  const factor = /^\d{1,9}(?:\.\d{1,9})?$/.test(text) ? Number(text) : NaN;
  if (factor > 0) return factor;
  throw usage(`--speed takes a factor above 0, such as 10 or 0.5, or max, not ${quote(text)}`);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
