import { type Command, Option } from "commander";

import type { Endpoint } from "../core/address/address.js";
import { AF_INET, Address, type Datagram, SOCK_DGRAM, type Socket, TimeoutError, socket } from "../index.js";
import { answererFor } from "./answerer.js";
import { Failure, exitCodes, usage } from "./exit.js";
import {
  type ListenAddress,
  type ListenTarget,
  type ListenTargetOptions,
  bindAndJoin,
  listenTarget,
  listeningPlace,
  showListenTarget,
} from "./listen-target.js";
import { Losses } from "./losses.js";
import { jsonLine, payloadFields, showPayload } from "./payload.js";
import { Replies } from "./replies.js";
import { addRouteOptions, hostFor, isGroup, listed } from "./route-options.js";
import { applyOptions } from "./sockets.js";
import { count, notice, onOutput, print, stopSignal, wasStopped } from "./terminal.js";
import { byteSize, duration, formatDuration, wholeNumber } from "./values.js";

/** Datagrams that are read, answered and printed together. */
const batchDatagrams = 256;
/** Peers that are told apart: sources can be forged, and memory is not endless. */
const mostPeers = 65_536;

const help = `
Where to listen:
  9000           for this machine alone (127.0.0.1)
  0.0.0.0:9000   on every IPv4 interface; [::]:9000 is every interface
  0              on a free port, which the line "listening on ..." tells
  239.7.7.7:9420 joins that multicast group, and receives what is sent to it

A group is joined on each --interface, or on the interface that the routes
choose. The lines below "listening on ..." show which. [ff02::4242%eth0]:9420
names the interface too. --join joins more groups; a bare port is then a port on
every interface. --from receives from one sender only (source-specific
multicast), as the groups 232.0.0.0/8 and ff3x::/32 require. Several programs
may join one group. Without a group, --interface eth0 receives only what arrives
on eth0. Answers to datagrams of a group are sent from an address of this
machine, with --ttl and --tos.

Each datagram is one line on standard output: time, source, size, payload.
Printable UTF-8 stands in double quotes, with a line end at its close shown
behind them as \\n; everything else is hex digits. With --json a line is an
object with time, source, size, truncated, and text (valid UTF-8) or hex; and
where the system tells, with destination, interface, ttl, tos, timestamp (when
the kernel had it, to the nanosecond) and lostBefore (how many were lost just
before it, at least).

Losses are told on standard error as they happen, at most a line a second of
each kind: what a full buffer dropped, at least, since the kernel counts what
came merged as one (with DATAGRAM_GRO=off it counts each); and answers of which
ICMP says that they did not arrive. The kernel tells no socket of some losses.
Linux counts them for the host, for all programs of its network namespace:
fragments that were not reassembled (IpReasmFails, Ip6ReasmFails), full receive
buffers of others (UdpRcvbufErrors, Udp6RcvbufErrors), wrong checksums
(UdpInErrors, Udp6InErrors). Lines that begin with "this host, all sockets" show
them. With --json all these lines are objects too, with time, event
("dropped", "unreachable", "pathMtu" or "host"), and what is known of it. Ctrl-C
ends the command with a summary on standard error, which counts all of them.

--buffer says how much may lie unread in the kernel: more holds a larger burst,
as far as net.core.rmem_max allows it.

With --timeout the exit code is 3 when no datagram came, or fewer than --count.

UDP does not prove where a datagram came from, and an answer goes to whatever
source it names. Two programs that answer everything never stop once they
answer each other; datagrams from our own address get no answer.

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

/** What the shared options mean here. */
const meanings = {
  interface: "receive the groups on this interface: its name, number or address; may be repeated",
  join: "join this multicast group too",
  source: "answer from this local address, port or both: [host][:port]",
};

/** Adds `datagram listen`. */
export function addListen(program: Command): void {
  const command = program
    .command("listen")
    .summary("print each datagram as it comes, and answer it")
    .description("Prints each datagram as it comes, from any number of peers, and answers where asked to.")
    .argument("<[host:]port>", "where to listen", listeningPlace)
    .option("--hex", "show every payload as hex")
    .option("--json", "print one JSON object a line")
    .option("--count <n>", "end after n datagrams", wholeNumber("--count", 1))
    .option("--timeout <time>", "end when no datagram came for that long, such as 10s", duration("--timeout"))
    .addOption(new Option("--echo", "send each datagram back").conflicts("reply"))
    .option("--reply <text>", "answer each datagram with a text, in which {} is the datagram")
    .option(
      "--recvfrom <n>",
      "cut each datagram to n bytes, as recvfrom(n) does",
      wholeNumber("--recvfrom", 0, 65_535),
    )
    .option("--buffer <bytes>", "ask for a receive buffer of that size (default: 4m)", byteSize("--buffer"))
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
  const answerer = await answererFor(s, options);
  await using _answering = answerer.socket;
  const signal = stopSignal();
  await bindAndJoin(s, target);
  showListenTarget(s, target);
  if (options.guide) guide(s.getsockname(), target, options);

  const replies = template === undefined ? undefined : new Replies(s, answerer, template);
  const session = new Session(s, replies, new Losses(s, answerer.socket, options.json === true), options);
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
class Session {
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

  /** Reads, answers and prints until there were enough. @throws `TimeoutError`; the signal's reason. */
  async run(signal: AbortSignal): Promise<void> {
    const { count: wanted = Infinity, timeout: timeoutMs } = this.#options;
    while (this.datagrams < wanted) {
      const most = Math.min(batchDatagrams, wanted - this.datagrams);
      const batch = await this.#socket.recvMany(most, { signal, timeoutMs });
      const time = new Date(Number(this.#socket.clock.wall() / 1_000_000n));
      const received = batch.map((datagram) => this.#receive(datagram));
      await this.#replies?.send(received);
      await print(received.map((each) => this.#line(each, time)).join(""), signal);
    }
  }

  /** Closes the socket and tells what became of everything. */
  async end(): Promise<void> {
    this.#losses.end();
    const { droppedQueue } = this.#socket.stats();
    await this.#socket.close();
    const stats = this.#socket.stats();
    const peers =
      this.#peers.size < mostPeers ? count(this.#peers.size, "peer") : `${mostPeers} peers or more`;
    notice(`${count(this.datagrams, "datagram")}, ${count(this.#bytes, "byte")} from ${peers}`);
    if (this.#options.recvfrom !== undefined) notice(`  cut by --recvfrom: ${this.#cut}`);
    notice(`  dropped by the kernel: ${this.#droppedByKernel(stats.droppedKernel)}`);
    if (stats.droppedKernel) notice("    what came merged counts as one: with DATAGRAM_GRO=off each counts");
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
    if (this.#peers.size < mostPeers) this.#peers.add(from);
    return { datagram, data: data.length > recvfrom ? data.subarray(0, recvfrom) : data, from };
  }

  #line({ datagram, data, from }: Received, time: Date): string {
    const hex = this.#options.hex === true;
    const { source, size } = datagram;
    const truncated = data.length < size;
    if (this.#options.json) {
      const fields = { source, size, truncated, ...payloadFields(data, hex), ...deliveryFields(datagram) };
      return jsonLine({ time: time.toISOString(), ...fields });
    }
    const bytes = truncated ? `cut to ${data.length} of ${count(size, "byte")}` : count(size, "byte");
    const start = `${onOutput("dim", clockTime(time))} ${onOutput("cyan", from)}`;
    return `${start} ${truncated ? onOutput("bold", bytes) : bytes} ${showPayload(data, hex)}\n`;
  }
}

/** A datagram, what of its payload was asked for, and its source as text. */
interface Received {
  readonly datagram: Datagram;
  readonly data: Buffer;
  readonly from: string;
}

/** How a datagram came, as the fields of a JSON object: what is not known is left out. */
function deliveryFields(datagram: Datagram): object {
  const { destination, interface: by, ttl, tos, timestamp, lostBefore } = datagram;
  return { destination, interface: by, ttl, tos, timestamp: timestamp && isoTime(timestamp), lostBefore };
}

/** Nanoseconds since the epoch as RFC 3339 has them. */
function isoTime(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, -".000Z".length);
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, "0")}Z`;
}

/** Hours to milliseconds, where the machine is. */
function clockTime(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const seconds = `${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  return `${two(time.getHours())}:${two(time.getMinutes())}:${seconds}`;
}

/** What to type next. `--no` keeps npm from asking a registry for a package of this name. */
function guide(at: Endpoint, { memberships }: ListenTarget, { echo, reply }: ListenOptions): void {
  const run = "npm exec --no -- datagram";
  const host = { "0.0.0.0": "127.0.0.1", "::": "::1" }[at.host] ?? at.host;
  const to = new Address(host, at.port);
  const family = to.family === AF_INET ? "AF_INET" : "AF_INET6";
  const answers = echo === true || reply !== undefined;
  const by = isGroup(at) ? ` --interface ${memberships[0]?.by}` : "";
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
}
