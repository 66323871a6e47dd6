import { type Command, Option } from "commander";

import type { Endpoint } from "../core/address/address.js";
import { AF_INET, Address, type Datagram, SOCK_DGRAM, type Socket, TimeoutError, socket } from "../index.js";
import { fallbackReason } from "../kernel/choice.js";
import { openReplySocket } from "./reply-socket.js";
import { Failure, exitCodes, usage } from "./exit.js";
import {
  type ListenAddress,
  type ListenTarget,
  type ListenTargetOptions,
  bindAndJoin,
  listenTarget,
  parseListenAddress,
  showListenTarget,
} from "./listen-target.js";
import { Losses } from "./losses.js";
import { jsonLine, payloadFields, showPayload } from "./payload.js";
import { Replies } from "./replies.js";
import { addRouteOptions, hostFor, isGroup, listed } from "./route-options.js";
import { applyOptions } from "./sender-sockets.js";
import { count, notice, onOutput, print, stopSignal, wasStopped } from "./terminal.js";
import { byteSize, duration, formatDuration, wholeNumber } from "./option-values.js";

/** The largest number of datagrams that are read, answered and printed together. */
const batchDatagrams = 256;
/** The largest number of peers that are counted. Sources can be forged, and memory is limited. */
const maxPeers = 65_536;

const help = `
Where to listen:
  9000           for this machine alone (127.0.0.1)
  0.0.0.0:9000   on every IPv4 interface; [::]:9000 is every interface
  0              on a free port, which the line "listening on ..." shows
  239.7.7.7:9420 joins that multicast group, and receives its datagrams

A group is joined on each --interface, or on the interface that the routes
choose. The lines below "listening on ..." show which. [ff02::4242%eth0]:9420
names the interface too. --join joins more groups; a bare port is then a port on
every interface. --from receives from one sender only (source-specific
multicast), as the groups 232.0.0.0/8 and ff3x::/32 require. Several programs
may join one group. Without a group, --interface eth0 receives only what arrives
on eth0. Answers to datagrams of a group are sent from an address of this
machine, with --ttl and --tos.

Each datagram is one line on standard output: time, source, size, payload.
Printable UTF-8 is in double quotes, and a line end at its close is shown after
them as \\n. Everything else is hex digits. With --json a line is an object with
time, source, size, truncated, and text (valid UTF-8) or hex. If the system has
them, it also has destination, interface, ttl, tos, timestamp (when the kernel
received it, in nanoseconds) and lostBefore (the least number of datagrams lost
just before it).

Losses are reported on standard error as they happen, at most one line a second
of each kind: datagrams that a full buffer dropped, and answers that did not
arrive according to ICMP. The first count is a minimum, because the kernel
counts merged datagrams as one (each one with DATAGRAM_GRO=off). The kernel
does not report some losses to any socket.
Linux counts them for the host, for all programs of its network namespace:
fragments that were not reassembled (IpReasmFails, Ip6ReasmFails), full receive
buffers of others (UdpRcvbufErrors, Udp6RcvbufErrors), wrong checksums
(UdpInErrors, Udp6InErrors). Lines that begin with "this host, all sockets" show
them. With --json these lines are objects too, with time, event ("dropped",
"unreachable", "pathMtu" or "host") and details. Ctrl-C ends the command with a
summary on standard error, which counts all losses.

--buffer sets how many unread bytes the kernel keeps. A larger buffer holds a
larger burst, up to net.core.rmem_max.

With --timeout the exit code is 3 if no datagram came, or fewer than --count.

UDP does not prove where a datagram came from: an answer goes to the source that
the datagram names. Two programs that answer everything answer each other
without end. Datagrams from the listener's own address get no answer.

Examples:
  datagram listen 9000
  datagram listen 0.0.0.0:9000 --reply "ack: {}"
  datagram listen 0.0.0.0:9000 --buffer 16m
  datagram listen 239.7.7.7:9420 --interface eth0
  datagram listen 9420 --join 239.7.7.7 --join 239.7.7.8 --interface eth0
  datagram listen 9000 --json --count 1 --timeout 10s`;

interface ListenOptions extends ListenTargetOptions {
  readonly hex?: boolean;
  readonly json?: boolean;
  readonly count?: number;
  readonly timeout?: number;
  readonly echo?: boolean;
  readonly reply?: string;
  readonly recvfrom?: number;
  readonly buffer?: number;
  readonly guide?: boolean;
}

/** The meaning of the shared options for `listen`. */
const meanings = {
  interface: "receive the groups on this interface: its name, number or address; may be repeated",
  join: "join this multicast group too",
  source: "answer from this local address, port or both: [host][:port]",
};

/** Adds `datagram listen`. */
export function addListen(program: Command): void {
  const command = program
    .command("listen")
    .summary("print each datagram, and answer it")
    .description("Prints each datagram, from any number of peers, and answers it with --reply or --echo.")
    .argument("<[host:]port>", "where to listen", parseListenAddress)
    .option("--hex", "show every payload as hex")
    .option("--json", "print one JSON object a line")
    .option("--count <n>", "end after n datagrams", wholeNumber("--count", 1))
    .option("--timeout <time>", "end if no datagram comes for this time, such as 10s", duration("--timeout"))
    .addOption(new Option("--echo", "send each datagram back").conflicts("reply"))
    .option("--reply <text>", "answer each datagram with a text, in which {} is the datagram")
    .option(
      "--recvfrom <n>",
      "cut each datagram to n bytes, as recvfrom(n) does",
      wholeNumber("--recvfrom", 0, 65_535),
    )
    .option("--buffer <bytes>", "request a receive buffer of this size (default: 4m)", byteSize("--buffer"))
    .option("--guide", "show what to type next in another terminal");
  addRouteOptions(command, meanings)
    .option(
      "--from <host>",
      "receive groups from this sender only; may be repeated",
      listed(hostFor("--from")),
    )
    .addHelpText("after", help)
    .action(listen);
}

async function listen(where: ListenAddress, options: ListenOptions): Promise<void> {
  const { source, echo, reply } = options;
  const template = echo ? "{}" : reply;
  if (source && template === undefined)
    throw usage("--source is the address of answers: give --reply or --echo");
  const target = await listenTarget(where, options);
  await using s = socket(target.at.family, SOCK_DGRAM, { receiveBuffer: options.buffer });
  applyOptions(s, options);
  const replySocket = await openReplySocket(s, options);
  await using _answering = replySocket.socket;
  const signal = stopSignal();
  await bindAndJoin(s, target);
  showListenTarget(s, target);
  if (options.guide) guide(s.getsockname(), target, options);

  const replies = template === undefined ? undefined : new Replies(s, replySocket, template);
  const session = new ListenSession(
    s,
    replies,
    new Losses(s, replySocket.socket, options.json === true),
    options,
  );
  let timedOut = false;
  try {
    await session.run(signal);
  } catch (error) {
    timedOut = error instanceof TimeoutError;
    if (!timedOut && !wasStopped(error)) throw error;
  }
  await session.end();
  if (!timedOut || options.timeout === undefined) return;
  const time = formatDuration(options.timeout);
  if (session.datagrams === 0) throw new Failure(exitCodes.noAnswer, `no datagram came in ${time}`);
  if (session.datagrams < (options.count ?? 0)) {
    const got = `${session.datagrams} of ${options.count} datagrams`;
    throw new Failure(exitCodes.noAnswer, `${got} came, and no more in ${time}`);
  }
}

/** The datagrams of one `listen`, from the ready line to the summary. */
class ListenSession {
  datagrams = 0;
  readonly #socket: Socket;
  readonly #options: ListenOptions;
  readonly #replies: Replies | undefined;
  readonly #losses: Losses;
  readonly #peers = new Set<string>();
  #bytes = 0;
  #cut = 0;

  constructor(s: Socket, replies: Replies | undefined, losses: Losses, options: ListenOptions) {
    this.#socket = s;
    this.#options = options;
    this.#replies = replies;
    this.#losses = losses;
  }

  /** Reads, answers and prints until `--count` is reached. @throws `TimeoutError`, or the signal's reason. */
  async run(signal: AbortSignal): Promise<void> {
    const { count: wanted = Infinity, timeout: timeoutMs } = this.#options;
    while (this.datagrams < wanted) {
      const max = Math.min(batchDatagrams, wanted - this.datagrams);
      const batch = await this.#socket.recvMany(max, { signal, timeoutMs });
      const time = new Date(Number(this.#socket.clock.wall() / 1_000_000n));
      const received = batch.map((datagram) => this.#receive(datagram));
      await this.#replies?.send(received);
      await print(received.map((each) => this.#line(each, time)).join(""), signal);
    }
  }

  /** Closes the socket and prints the summary. */
  async end(): Promise<void> {
    this.#losses.end();
    const { droppedQueue } = this.#socket.stats();
    await this.#socket.close();
    const stats = this.#socket.stats();
    const peers = this.#peers.size < maxPeers ? count(this.#peers.size, "peer") : `${maxPeers} peers or more`;
    notice(`${count(this.datagrams, "datagram")}, ${count(this.#bytes, "byte")} from ${peers}`);
    if (this.#options.recvfrom !== undefined) notice(`  cut by --recvfrom: ${this.#cut}`);
    notice(`  dropped by the kernel: ${this.#droppedByKernel(stats.droppedKernel)}`);
    if (stats.droppedKernel) notice("    merged datagrams count as one: with DATAGRAM_GRO=off each counts");
    const { askedBytes = 0, givenBytes = 0, advice } = stats.receiveBuffer ?? {};
    if (givenBytes < askedBytes) {
      const more = advice === undefined ? "" : `: ${advice}`;
      notice(`  the receive buffer has ${givenBytes} of ${askedBytes} bytes asked for${more}`);
    }
    notice(`  dropped by this process: ${droppedQueue}`);
    notice(`  unread at the end: ${stats.droppedQueue - droppedQueue}`);
    this.#losses.summary();
    this.#replies?.summary();
  }

  #droppedByKernel(dropped: number | undefined): string {
    if (dropped !== undefined) return dropped === 0 ? "0" : `${dropped} at least`;
    const { kernelDropCount } = this.#socket.capabilities;
    return kernelDropCount.available ? "unknown" : `unknown, ${kernelDropCount.reason}`;
  }

  #receive(datagram: Datagram): Received {
    const { recvfrom = Infinity } = this.#options;
    const { data, source, size } = datagram;
    const from = String(source);
    this.datagrams++;
    this.#bytes += size;
    if (size > recvfrom) this.#cut++;
    if (this.#peers.size < maxPeers) this.#peers.add(from);
    return { datagram, data: data.length > recvfrom ? data.subarray(0, recvfrom) : data, from };
  }

  #line({ datagram, data, from }: Received, time: Date): string {
    const hex = this.#options.hex === true;
    const { source, size } = datagram;
    const truncated = data.length < size;
    if (this.#options.json) {
      const fields = { source, size, truncated, ...payloadFields(data, hex), ...metadataFields(datagram) };
      return jsonLine({ time: time.toISOString(), ...fields });
    }
    const bytes = truncated ? `cut to ${data.length} of ${count(size, "byte")}` : count(size, "byte");
    const start = `${onOutput("dim", clockTime(time))} ${onOutput("cyan", from)}`;
    return `${start} ${truncated ? onOutput("bold", bytes) : bytes} ${showPayload(data, hex)}\n`;
  }
}

/** A datagram, the part of its payload that `--recvfrom` keeps, and its source as text. */
interface Received {
  readonly datagram: Datagram;
  readonly data: Buffer;
  readonly from: string;
}

/** The metadata of a datagram as fields of a JSON object. Unknown fields are left out. */
function metadataFields(datagram: Datagram): object {
  const { destination, interface: by, ttl, tos, timestamp, lostBefore } = datagram;
  return { destination, interface: by, ttl, tos, timestamp: timestamp && isoTime(timestamp), lostBefore };
}

/** Nanoseconds since the epoch in the format of RFC 3339. */
function isoTime(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, -".000Z".length);
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, "0")}Z`;
}

/** The local time, from hours to milliseconds. */
function clockTime(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const seconds = `${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  return `${two(time.getHours())}:${two(time.getMinutes())}:${seconds}`;
}

/** Prints the commands to type next. With `--no` npm does not ask a registry for a package of this name. */
function guide(at: Endpoint, { joins }: ListenTarget, { echo, reply }: ListenOptions): void {
  const run = "npm exec --no -- datagram";
  const host = { "0.0.0.0": "127.0.0.1", "::": "::1" }[at.host] ?? at.host;
  const to = new Address(host, at.port);
  const family = to.family === AF_INET ? "AF_INET" : "AF_INET6";
  const answers = echo === true || reply !== undefined;
  const by = isGroup(at) ? ` --interface ${joins[0]?.by}` : "";
  const python = `python3 -c 'from socket import *; socket(${family}, SOCK_DGRAM).sendto(b"hello", ("${host}", ${at.port}))'`;
  const lines = [
    "Now, in this folder in another terminal:",
    `  ${run} send ${to} hello${by}`,
    ...(by === "" ? [`  ${python}`] : []),
    answers
      ? "and for an answer:"
      : 'Ctrl-C ends this. Started by npm start -- --reply "ack: {}" it also answers:',
    `  ${run} request ${to} ping${by}`,
  ];
  for (const line of lines) notice(line);
  const reason = fallbackReason();
  if (reason !== undefined) notice(`Sockets use node:dgram: ${reason}.`);
}
