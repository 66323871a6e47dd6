import type { Command } from "commander";

import { type RecordOptions, type Recording, record } from "../capture/index.js";
import type { Endpoint } from "../core/address/address.js";
import type { Clock } from "../core/driver/driver.js";
import { datagramsIn } from "../core/receive/inbox.js";
import { readAll } from "../core/socket/socket.js";
import { usage } from "./exit.js";
import { noticeFallback } from "./fallback.js";
import { interfaceFor } from "./interfaces.js";
import { addEndOptions, refuseTooFew } from "./listen-options.js";
import {
  type ListenAddress,
  type ListenTargetOptions,
  parseListenAddress,
  refuseRepeated,
  showListenTarget,
} from "./listen-target.js";
import { Listener } from "./listener.js";
import { Losses } from "./losses.js";
import { byteSize } from "./option-values.js";
import { PeerCount } from "./peer-count.js";
import {
  type RecordingOptions,
  addRecordingOptions,
  endRecording,
  recordOptionsOf,
  recordingStatus,
  startRecording,
} from "./recording.js";
import { groupFor, hostFor, listed } from "./route-options.js";
import { StatusLine } from "./status-line.js";
import { stopSignal } from "./terminal.js";

const help = `
The file is a pcapng file for Wireshark, tshark, datagram read and datagram
replay. It has each datagram as it arrived, also if the kernel merged several,
with the time of the kernel. No root is needed. The IP and UDP headers are made
up from what the socket knows: addresses, TTL and TOS are real. Losses are noted
in the packets after them. With --output - the file goes to standard output.

Where to listen is as for datagram listen: 9000 is for this machine alone, and
0.0.0.0:9000 is on every interface. To record what another program receives, use
record() of datagram/capture in that program.

With --rotate-size or --rotate-time there are several files, whose names have a
number and the time in UTC: today_00001_20261128063700.pcapng. --max-files keeps
the newest of them. --limit ends the command when the files have that size, and
--count when they have so many datagrams. With --timeout it ends when none comes
for that time: the exit code is 3 if none came at all, or fewer than --count.

The file is written four times a second: if the machine kills the command, at
most the last second is lost, and the file can be read. Ctrl-C ends the command
with a summary on standard error. What the disk could not take is counted there.
It is noted in the file too, once the disk has room again.

Examples:
  datagram record 9000 --output today.pcapng
  datagram record 0.0.0.0:9000 0.0.0.0:9001 -o today.pcapng
  datagram record 239.7.7.7:9420 --interface eth0 -o group.pcapng
  datagram record 9000 -o day.pcapng --rotate-size 100m --max-files 10
  datagram record 9000 -o first.pcapng --count 100 --timeout 10s
  datagram record 9000 -o - | tshark -r -`;

interface RecordCommandOptions extends ListenTargetOptions, RecordingOptions {
  readonly output?: string;
  readonly buffer?: number;
  readonly count?: number;
  readonly timeout?: number;
}

/** Adds `datagram record`. */
export function addRecord(program: Command): void {
  const command = program
    .command("record")
    .summary("record what arrives to a capture file")
    .description("Records the datagrams that arrive to a capture file, with their times and losses.")
    .usage("[options] <[host:]port...> --output <path>")
    .argument("<[host:]port...>", "where to listen", listed(parseListenAddress))
    .option("-o, --output <path>", "the file, or - for standard output");
  addEndOptions(addRecordingOptions(command, "end"))
    .option("--buffer <bytes>", "request a receive buffer of this size (default: 4m)", byteSize("--buffer"))
    .option(
      "--interface <which>",
      "receive the groups on this interface: its name, number or address; may be repeated",
      listed(interfaceFor("--interface")),
    )
    .option("--join <group>", "join this multicast group too; may be repeated", listed(groupFor("--join")))
    .option(
      "--from <host>",
      "receive groups from this sender only; may be repeated",
      listed(hostFor("--from")),
    )
    .addHelpText("after", help)
    .action(recordPorts);
}

async function recordPorts(
  addresses: readonly ListenAddress[],
  options: RecordCommandOptions,
): Promise<void> {
  const { output } = options;
  if (output === undefined) throw usage("give the file: --output <path>, such as --output today.pcapng");
  refuseRepeated(addresses);
  const recordOptions = { ...recordOptionsOf(output, options), limitDatagrams: options.count };
  const listeners: Listener[] = [];
  try {
    for (const address of addresses) listeners.push(await Listener.open(address, options));
    const sockets = listeners.map(({ socket }) => socket);
    const start = (file: string | number, terms: RecordOptions): Recording => record(sockets, file, terms);
    const recording = startRecording(start, output, recordOptions);
    await run(listeners, recording, options);
  } finally {
    await Promise.all(listeners.map((listener) => listener.close()));
  }
}

/** Records until Ctrl-C, a limit, or the end of the pipe. Then prints the summary. @throws `Failure` if too few came in time. */
async function run(
  listeners: readonly Listener[],
  recording: Recording,
  { count: wanted, timeout }: RecordCommandOptions,
): Promise<void> {
  const signal = stopSignal();
  for (const { socket, target } of listeners) showListenTarget(socket, target);
  noticeFallback();
  const peers = new PeerCount();
  const losses = new Losses(
    listeners.map(({ socket, answering, address }) => ({
      socket,
      answering,
      local: listeners.length > 1 ? address : undefined,
    })),
    false,
  );
  const status = new StatusLine(() => recordingStatus(recording.stats()));
  const silence = new Silence(timeout, (listeners[0] as Listener).socket.clock);
  const reading = Promise.all(listeners.map((listener) => readOn(listener, peers, silence)));
  await Promise.race([aborted(signal), recording.finished, reading, silence.over]);
  silence.end();
  status.end();
  losses.end();
  try {
    await endRecording(recording, peers.text, wanted);
  } finally {
    for (const listener of listeners) await listener.end();
    losses.summary();
  }
  // The sockets are closed, so that every iteration has ended.
  await reading;
  if (silence.isOver) refuseTooFew(recording.stats().datagrams, wanted, timeout ?? 0);
}

/** Reads until the socket is closed. The recording sees what is read. */
async function readOn(listener: Listener, peers: PeerCount, silence: Silence): Promise<void> {
  let last: Endpoint | undefined;
  for await (const runs of readAll(listener.socket, "datagram record")) {
    silence.arrived();
    for (const run of runs) {
      listener.datagrams += datagramsIn(run);
      if (run.source !== last) peers.add(String(run.source));
      last = run.source;
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** The time of `--timeout`, in which nothing arrives. */
class Silence {
  /** Whether nothing has arrived for the time. */
  isOver = false;
  readonly over: Promise<void>;
  readonly #clock: Clock;
  #lastMs: number;
  #cancel: (() => void) | undefined;

  /**
   * @param timeoutMs `undefined` is without end.
   * @param clock of a socket: it reads what has come before a late timer runs.
   */
  constructor(timeoutMs: number | undefined, clock: Clock) {
    this.#clock = clock;
    this.#lastMs = clock.now();
    this.over = new Promise((resolve) => {
      const wait = (): void => {
        const leftMs = this.#lastMs + (timeoutMs ?? 0) - clock.now();
        if (leftMs > 0) {
          this.#cancel = clock.after(leftMs, wait);
          return;
        }
        this.isOver = true;
        resolve();
      };
      if (timeoutMs !== undefined) wait();
    });
  }

  arrived(): void {
    this.#lastMs = this.#clock.now();
  }

  end(): void {
    this.#cancel?.();
  }
}
