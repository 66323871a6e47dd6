import { type Command, Option } from "commander";

import {
  CaptureError,
  type CapturedDatagram,
  type CapturedUnreachable,
  type ReadStats,
  read,
} from "../capture/index.js";
import { count } from "../core/ledger/count-text.js";
import { captureFailure } from "./capture-failure.js";
import { Failure, exitCodes } from "./exit.js";
import { isoTime, timeText } from "./iso-time.js";
import { PeerTable } from "./peer-table.js";
import { jsonLine, payloadFields, printable, showPayload } from "./payload.js";
import { notice, onOutput, outputColumns, print, stopSignal } from "./terminal.js";

const help = `
The file is a capture file of tcpdump, tshark, Wireshark, dumpcap, editcap,
mergecap or this package, pcap or pcapng; - is standard input. Each UDP datagram
is a line with its time, its addresses, its size and its payload. Fragments are
joined.

With segmentation offload, a recorder sees many datagrams as one long packet.
Such a line says "probably several": nothing in the file tells where each
datagram ends.

With --json a line is an object with packet (its number in the file), time,
source, destination, direction, size, truncated, and text (UTF-8) or hex, and
those of interface, ttl, tos, lostBefore, comment, dropped and probablySeveral
that the file has. --peers prints a table of the sources.

--losses prints what the file says of losses: packets that the recorder lost,
ICMP errors, and datagrams that datagram proxy or a simulated network dropped,
each with the setting or the rule that dropped it.

A summary goes to standard error. If the file is cut or damaged, all datagrams
before that place are printed, and the exit code is 1.

Examples:
  datagram read today.pcapng
  datagram read today.pcapng --peers
  datagram read today.pcapng --json > today.jsonl
  tcpdump -i eth0 -U -w - udp | datagram read -`;

interface ReadFileOptions {
  readonly json?: boolean;
  readonly peers?: boolean;
  readonly losses?: boolean;
  readonly hex?: boolean;
}

/** Adds `datagram read`. */
export function addRead(program: Command): void {
  program
    .command("read")
    .summary("print the datagrams of a capture file")
    .description("Prints the UDP datagrams of a capture file, of tcpdump, Wireshark or this package.")
    .argument("<file>", "the capture file, or - for standard input")
    .addOption(new Option("--json", "print one JSON object a line").conflicts(["peers", "losses", "hex"]))
    .addOption(new Option("--peers", "print a table of the sources").conflicts(["losses", "hex"]))
    .addOption(new Option("--losses", "print the losses that the file reports").conflicts("hex"))
    .option("--hex", "show every payload as hex digits")
    .addHelpText("after", help)
    .action(readFile);
}

/** Characters of output that are written at once. */
const batchCharacters = 64 * 1024;
/** Characters of a date, such as 2026-11-28. */
const dayLength = 10;
/** How often fewer are written, in milliseconds, so that the datagrams of a recorder that still runs are seen. */
const flushMs = 100;
/** After Ctrl-C, the recorder of the same pipe has so many milliseconds to write its last packets. */
const lastPacketsMs = 300;

async function readFile(file: string, options: ReadFileOptions): Promise<void> {
  const peers = new PeerTable();
  let output = "";
  const onUnreachable = (error: CapturedUnreachable): void => {
    if (options.losses) output += unreachableLine(error);
  };
  const reading = read(file === "-" ? process.stdin : file, { onUnreachable });
  const flush = async (): Promise<void> => {
    const text = output;
    output = "";
    if (text !== "") await print(text);
  };
  // `watchOutput` reports failures to write.
  const timer = setInterval(() => void flush().catch(() => undefined), flushMs);
  const stop = stopSignal();
  if (file === "-")
    stop.addEventListener("abort", () => setTimeout(() => process.stdin.destroy(), lastPacketsMs).unref());
  let failure: Error | undefined;
  let dropped = 0;
  try {
    for await (const datagram of reading) {
      const { source, size, timestamp } = datagram;
      if (datagram.dropped !== undefined) dropped++;
      peers.add({ source: String(source), size, timestamp });
      output += lineOf(datagram, options);
      if (output.length >= batchCharacters) await flush();
      if (file !== "-" && stop.aborted) throw new Failure(exitCodes.error, "interrupted before all was read");
    }
  } catch (error) {
    // Standard input that was closed after Ctrl-C has ended.
    const isEnd = file === "-" && stop.aborted && !(error instanceof CaptureError);
    if (!isEnd) failure = captureFailure(error, file) as Error;
  } finally {
    clearInterval(timer);
  }
  if (options.peers) output += tableOf(peers);
  await flush();
  const stats = reading.stats();
  // Without packets there is only the error: that of a file that cannot be opened, or that has another format.
  if (!failure || stats.packets > 0) for (const line of summary(stats, peers, dropped)) notice(line);
  if (failure) throw failure;
}

/** The table of the sources, of 80 columns for IPv4. The days of its times are a line before it. */
function tableOf(peers: PeerTable): string {
  const days = peers.times
    .map(isoTime)
    .flatMap((time) => time?.slice(0, dayLength) ?? [])
    .sort();
  const [first, last] = [days[0], days.at(-1)];
  const isOneDay = first === last;
  const shown = (ns: bigint | undefined): string => {
    const time = timeText(ns);
    // Such as "10:49:21.697", or "11-28 10:49" of several days.
    if (time.length <= dayLength) return time;
    return isOneDay
      ? time.slice(dayLength + 1, "2026-11-28T10:49:21.697".length)
      : time.slice("2026-".length, "2026-11-28T10:49".length).replace("T", " ");
  };
  const dates = isOneDay ? first : `${first} to ${last}`;
  const head = first === undefined ? "" : `${dates}, times in UTC\n`;
  return head + peers.text({ paint: onOutput, timeText: shown, columns: Infinity });
}

/** What is printed for a datagram when it is read. */
function lineOf(datagram: CapturedDatagram, { json, peers, losses, hex = false }: ReadFileOptions): string {
  if (peers) return "";
  if (json) return jsonOf(datagram);
  const { timestamp, lostBefore = 0, data, size, source, destination } = datagram;
  if (losses) {
    const time = timeText(timestamp);
    const lost = lostBefore === 0 ? "" : `${time} the recorder lost ${count(lostBefore, "packet")}\n`;
    const { dropped } = datagram;
    if (dropped === undefined) return lost;
    return `${lost}${time} ${source} > ${destination} ${count(size, "byte")} dropped: ${printable(dropped)}\n`;
  }
  const bytes = datagram.truncated ? `cut to ${data.length} of ${count(size, "byte")}` : count(size, "byte");
  const several = datagram.probablySeveral ? ", probably several datagrams" : "";
  const [time, from] = [timeText(timestamp), String(source)];
  const rest = ` > ${destination} ${bytes}${several} `;
  const room = outputColumns() - `${time} ${from}${rest}`.length;
  return `${onOutput("dim", time)} ${onOutput("cyan", from)}${rest}${showPayload(data, hex, room)}\n`;
}

function jsonOf(datagram: CapturedDatagram): string {
  const { data, timestamp, packet, source, destination, direction, size, truncated, probablySeveral } =
    datagram;
  const { interface: by, ttl, tos, lostBefore, comment, dropped } = datagram;
  const time = timestamp === undefined ? undefined : isoTime(timestamp);
  const fields = { packet, time, source, destination, direction, size, truncated, ...payloadFields(data) };
  return jsonLine({
    ...fields,
    interface: by,
    ttl,
    tos,
    lostBefore,
    comment,
    dropped,
    probablySeveral: probablySeveral || undefined,
  });
}

function unreachableLine(error: CapturedUnreachable): string {
  const { timestamp, from, source, destination, type, code, mtu } = error;
  const why = mtu === undefined ? "" : `, the datagram is larger than the MTU of ${mtu}`;
  return `${timeText(timestamp)} ${from} refused a datagram from ${source} to ${destination} (ICMP type ${type}, code ${code}${why})\n`;
}

/** The lines of the summary. Causes that did not happen are left out. */
function summary(stats: ReadStats, peers: PeerTable, dropped: number): string[] {
  const { datagrams, truncated, incomplete, probablySeveral, unreachable, lost, skipped } = stats;
  const causes: readonly (readonly [number, string])[] = [
    [lost ?? 0, "packets lost by the recorder"],
    [dropped, "datagrams dropped by a relay or a simulated link"],
    [truncated, "datagrams cut by the recorder"],
    [incomplete, "datagrams whose fragments are not all there"],
    [probablySeveral, "packets that are probably several datagrams each"],
    [unreachable, "ICMP errors about datagrams"],
    [skipped.otherProtocol, "packets of other protocols"],
    [skipped.otherLink, "packets of a link type that is not known"],
    [skipped.malformed, "packets with cut or impossible headers"],
  ];
  const lines = causes.filter(([number]) => number > 0).map(([number, text]) => `  ${text}: ${number}`);
  return [`${count(datagrams, "datagram")}, ${count(peers.bytes, "byte")} from ${peers.countText}`, ...lines];
}
