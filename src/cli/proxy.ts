import { type Command, Option } from "commander";

import type { RecordOptions, Recording } from "../capture/index.js";
import { isOverIPv4 } from "../core/address/address.js";
import type { Address } from "../index.js";
import { type Relay, type ProxyOptions as RelayOptions, type ProxyRule, proxy } from "../proxy/index.js";
import type { Watch } from "../watch/index.js";
import type { Model } from "../watch/model/model.js";
import { usage } from "./exit.js";
import { type LinkOptionValues, addLinkOptions, describeLink, linkOf } from "./link-options.js";
import { checkRawOutput } from "./raw-output.js";
import {
  type RecordingOptions,
  addRecordingOptions,
  endRecording,
  recordOptionsOf,
  startRecording,
} from "./recording.js";
import { RelayReport } from "./relay-report.js";
import { readRules } from "./rules.js";
import { noticeFallback } from "./fallback.js";
import { notice, stopSignal } from "./terminal.js";
import { openPage, pageOption } from "./watch.js";
import { destination, duration, listeningAddress, resolved, wholeNumber } from "./option-values.js";

const help = `
Each option of the link has a form for one direction: --up-loss, --up-delay and
so on from clients to the target, and --down-loss and so on for the way back.
The form for one direction takes precedence over the option for both, and
options take precedence over --profile.

  shares  10%, or as a fraction 1/10; a bare number is refused
  times   50ms, 0.05s, or 2 for seconds
  rates   1mbit, 500kbit, 8000 (bits per second, as in tc(8))

Order is kept with any jitter: only --reorder lets datagrams overtake. --mtu
drops larger datagrams silently, like a path with filtered ICMP, because a relay
cannot send ICMP. A datagram changed by --corrupt is passed on, and the kernel
gives it a valid checksum.

Each client has a socket of its own to the target, and gets the datagrams that
come back to it. Datagrams from others do not pass. Times are accurate to one or
two milliseconds.

Each of several targets gets a copy of each datagram. Clients get the answers of
the first target, or of all with --answers all. A name is looked up for each new
client. If ICMP says that its address is gone, it is looked up again, and the
clients move to the new address.

--rule applies to certain datagrams, before the link does. There may be up to 64
rules. A rule says what to do, and to which datagrams:
  drop, corrupt or delay=200ms
  up or down            only that direction
  client=10.0.0.7       of one client, or client=10.0.0.7:5000 of one port
  text=GET@0            that contain this text, at an offset or anywhere
  hex=00ff@4            that contain these bytes
  numbers=1-2,7,100-    which of these, counted from 1 in each direction

Where to listen:
  9000           for this machine alone (127.0.0.1)
  0.0.0.0:9000   on every IPv4 interface; [::]:9000 is every interface
  0              on a free port, which the line "listening on ..." shows

Counts of datagrams go to standard error: on a terminal once a second on one
line, else every 10 s if something has changed, and at the end. With --json they
are an object on each line of standard output instead, once a second if
something has changed, and at the end. Ctrl-C ends the command.

--record writes a pcapng file for Wireshark, tshark, datagram read and datagram
replay. Its interface "clients" has the datagrams before the faults of the
direction up, and "targets" those after them. Comments say what was dropped,
delayed, duplicated or corrupted, and by which setting or rule.

--watch opens a page that shows who sends, before and after the faults, and what
was dropped, delayed and duplicated, by which setting or rule. It is for this
machine. With --page 0.0.0.0:8000 others can open it, with the token that is in
the printed address.

--seed repeats the random numbers, not the timing: datagrams that come in the
same order have the same losses.

Examples:
  datagram proxy 9001 127.0.0.1:9000 --loss 10% --delay 50ms --jitter 20ms
  datagram proxy 9001 camera.local:9000 --profile lte --seed 7
  datagram proxy 9001 127.0.0.1:9000 --up-loss 30% --down-rate 500kbit
  datagram proxy 9001 127.0.0.1:9000 --rule "drop up numbers=1-2"
  datagram proxy 9001 127.0.0.1:9000 --rule "delay=200ms down hex=0001@4"
  datagram proxy 9001 127.0.0.1:9000 192.168.1.20:9000 --answers all
  datagram proxy 0.0.0.0:9001 192.168.1.20:9000 --mtu 1280 --duration 1m --json
  datagram proxy 9001 127.0.0.1:9000 --loss 10% --record today.pcapng
  datagram proxy 9001 127.0.0.1:9000 --loss 10% --watch`;

interface ProxyOptions extends LinkOptionValues, RecordingOptions {
  readonly rule?: readonly ProxyRule[];
  readonly answers?: "first" | "all";
  readonly seed?: number;
  readonly clients?: number;
  readonly idle?: number;
  readonly duration?: number;
  readonly json?: boolean;
  readonly record?: string;
  readonly watch?: true;
  readonly page?: Address;
}

/** Adds `datagram proxy`. */
export function addProxy(program: Command): void {
  const command = program
    .command("proxy")
    .summary("relay datagrams through a simulated bad network")
    .description("Relays datagrams between clients and a target, through a simulated bad network.")
    .argument("<[host:]port>", "the address that clients send to", listeningAddress)
    .argument("<host:port...>", "the target, or several", targetsSoFar);
  addLinkOptions(command)
    .option("--rule <rule>", "drop, corrupt or delay certain datagrams, see below", readRules)
    .addOption(
      new Option("--answers <whose>", "which of several targets may answer clients").choices([
        "first",
        "all",
      ]),
    )
    .option(
      "--seed <n>",
      "seed of the random numbers (default: a random one)",
      wholeNumber("--seed", 0, 0xffff_ffff),
    )
    .option(
      "--clients <n>",
      "the largest number of clients (default: 1024)",
      wholeNumber("--clients", 1, 60_000),
    )
    .option("--idle <time>", "forget clients that are silent for this time (default: 1m)", duration("--idle"))
    .option("--duration <time>", "end after this time", duration("--duration"))
    .option("--json", "print the counts as JSON objects, one on each line")
    .option("--watch", "show both sides in a browser")
    .addOption(pageOption("show them at this TCP port"))
    .option("--record <path>", "record both sides to this file, or - for standard output");
  addRecordingOptions(command, "end the recording").addHelpText("after", help).action(relay);
}

/** Reads one more target. */
function targetsSoFar(text: string, before: readonly Address[] = []): Address[] {
  return [...before, destination(text)];
}

async function relay(listen: Address, targets: readonly Address[], options: ProxyOptions): Promise<void> {
  const at = await resolved(listen);
  const overIPv4 = isOverIPv4(at);
  const link = linkOf(options, overIPv4);
  const { rule: rules, answers, seed, clients: maxClients, idle: idleMs } = options;
  const recordOptions = recordOptionsFor(options);
  const signal = stopSignal();
  await using running = await start({ listen: at, targets, answers, link, rules, seed, maxClients, idleMs });
  const recording = recordOptions && recordTo(running, options.record ?? "", recordOptions);
  const isWatched = options.watch === true || options.page !== undefined;
  await using page = isWatched ? await pageOf(running, options.page) : undefined;
  const [up, down] = describeLink(link, overIPv4);
  notice(`listening on ${running.address} for ${running.targets.join(", ")}`);
  notice(`  up:   ${up}`);
  notice(`  down: ${down}`);
  for (const { rule } of running.stats().rules) notice(`  rule: ${rule}`);
  notice(`  seed ${running.seed}`);
  if (page) notice(`the page is at ${page.url}`);
  noticeFallback();
  const report = new RelayReport(running, options.json === true);
  void recording?.finished.then(({ ended }) => {
    if (ended === "limit")
      notice("the limit of --limit is reached: the recording has ended, the relay goes on");
  });
  try {
    await report.run(signal, options.duration);
  } finally {
    await running.close();
    await report.end();
    if (recording) await endRecording(recording);
  }
}

/** Opens the page of a relay. @param at where; without it, at a free port of this machine. @throws `Failure`. */
async function pageOf(running: Relay, at: Address | undefined): Promise<Watch> {
  const { relaySources } = await import("../watch/sources/relay-source.js");
  return openPage((model: Model) => relaySources(running, model), { page: at });
}

/** The options of the recording; `undefined` without one. @throws `Failure`. */
function recordOptionsFor(options: ProxyOptions): RecordOptions | undefined {
  const { record, json } = options;
  if (record === undefined) {
    const [given] = (["rotateSize", "rotateTime", "maxFiles", "limit", "overwrite"] as const).filter(
      (name) => options[name] !== undefined,
    );
    if (given === undefined) return undefined;
    throw usage(
      `--${given.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)} is for a recording: give --record <path>`,
    );
  }
  if (record === "-") checkRawOutput("--record -", "today.pcapng");
  if (record === "-" && json) throw usage("--record - and --json both write to standard output");
  return recordOptionsOf(record, options);
}

/** Starts to record a relay. @throws `Failure`. */
function recordTo(running: Relay, path: string, options: RecordOptions): Recording {
  const start = (file: string | number, terms: RecordOptions): Recording => running.record(file, terms);
  return startRecording(start, path, options);
}

/** @throws `Failure` for options that only the relay can check. */
async function start(options: RelayOptions): Promise<Relay> {
  try {
    return await proxy(options);
  } catch (error) {
    if (error instanceof RangeError) throw usage(error.message);
    throw error;
  }
}
