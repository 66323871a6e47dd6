import { type Command, Option } from "commander";

import { type RecordOptions, type Recording, record } from "../capture/index.js";
import { TimeoutError } from "../index.js";
import { Failure, usage } from "./exit.js";
import { noticeFallback } from "./fallback.js";
import { type GuideOptions, openFreePort, showGuide } from "./listen-guide.js";
import { addEndOptions, addListenOptions, refuseTooFew } from "./listen-options.js";
import { ListenSession, type SessionOptions } from "./listen-session.js";
import {
  type ListenAddress,
  type ListenTargetOptions,
  missingPort,
  parseListenAddress,
  refuseRepeated,
  showListenTarget,
} from "./listen-target.js";
import { Listener, type ListenerOptions } from "./listener.js";
import { wholeNumber } from "./option-values.js";
import { checkRawOutput, rawOption } from "./raw-output.js";
import { endRecording, startRecording } from "./recording.js";
import { hostFor, listed } from "./route-options.js";
import { addStreamOptions, allowOptions, isServer, refuseStreamOptions } from "./stream-options.js";
import { type ListenStreamOptions, listenToStream } from "./stream-session.js";
import { stopSignal, wasStopped } from "./terminal.js";

const help = `
Where to listen, at one or several ports:
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

Each datagram is one line on standard output: time, source, size, payload. If
there are several ports, the source is followed by the port, as in
127.0.0.1:40000 > 127.0.0.1:9001.

Text is in quotes, with the escapes \\n, \\r, \\t and \\\\, and those of Python for
characters that a terminal could execute or hide: "\\x1b[1mgrün". If these are
more than one of four, or if it is not UTF-8, the bytes are shown as Python
shows them: b"\\xff\\x00". On a terminal a long payload is cut at the width of the
terminal, and the rest is counted in bytes: "the beginning" … 1,342 more.

With --json a line is an object with time, source, size, truncated, and text
(valid UTF-8) or hex. If the system has them, it also has destination,
interface, ttl, tos, timestamp (when the kernel received it, in nanoseconds) and
lostBefore (the least number of datagrams lost just before it). If there are
several ports, local is the address of the port. --raw writes the payloads
alone, without anything between them.

If standard error is a terminal, its last line shows the rates of the last two
seconds, the peers, the losses and the total. --summary adds a table of the
peers to the summary: datagrams, bytes, smallest and largest size, and the times
of the first and the last datagram.

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

--record writes all datagrams to a capture file too, as datagram record does.

With --timeout the exit code is 3 if no datagram came, or fewer than --count.

UDP does not prove where a datagram came from: an answer goes to the source that
the datagram names. Two programs that answer everything answer each other
without end. Datagrams from the listener's own address get no answer.

--from nats://host --stream name prints what datagram gateway has stored in that
stream, in place of a socket, with the time of the kernel. It begins with the
oldest message and goes on until Ctrl-C: --since new leaves out what is there,
and --until now ends after it. A lost connection is waited for. With --json an
object has sequence, the number of the message, and index, the place in its
bundle, too.

Examples:
  datagram listen 9000
  datagram listen 0.0.0.0:9000 --reply "ack: {}"
  datagram listen 0.0.0.0:9000 --buffer 16m
  datagram listen 239.7.7.7:9420 --interface eth0
  datagram listen 9420 --join 239.7.7.7 --join 239.7.7.8 --interface eth0
  datagram listen 9000 9001 9002
  datagram listen 9000 --summary
  datagram listen 9000 --json --count 1 --timeout 10s
  datagram listen --from nats://10.0.0.2 --stream cameras --since new
  datagram listen 9000 --raw --count 1 > picture.jpg`;

/** The options that a stream has in common with a socket. */
const streamLines = ["from", "until", "hex", "json", "raw", "full", "count", "timeout", "summary"];

interface ListenOptions
  extends ListenTargetOptions, ListenerOptions, SessionOptions, ListenStreamOptions, GuideOptions {
  readonly record?: string;
  readonly overwrite?: true;
}

/** Adds `datagram listen`. */
export function addListen(program: Command): void {
  const addressArgument = (text: string): ListenAddress => {
    try {
      return parseListenAddress(text);
    } catch (error) {
      // The options were read before the arguments.
      if (!(error instanceof Failure) || command.getOptionValue("reply") === undefined) throw error;
      throw usage(`${error.message}: a --reply of several words needs quotes, such as --reply "ack: {}"`);
    }
  };
  const command = program
    .command("listen")
    .summary("print each datagram, and answer it")
    .description("Prints each datagram, from any number of peers, and answers it with --reply or --echo.")
    .usage("[options] <[host:]port...> | --from nats://host ...")
    .argument("[[host:]port...]", "where to listen", listed(addressArgument))
    .addOption(new Option("--hex", "show every payload as hex digits").conflicts("json"))
    .option("--json", "print one JSON object a line")
    .addOption(rawOption("write the bytes of the payloads alone").conflicts("hex"))
    .option("--full", "do not cut long payloads at the width of the terminal")
    .option("--record <path>", "record all datagrams to this capture file too, answers included")
    .option("--overwrite", "with --record: replace a file of the same name");
  addEndOptions(command)
    .option("--summary", "end with a table of the peers too")
    .option(
      "--recvfrom <n>",
      "cut each datagram to n bytes, as recvfrom(n) does",
      wholeNumber("--recvfrom", 0, 65_535),
    );
  addListenOptions(command, {
    meaning: "receive groups from this sender only; or read a stream of nats://host; may be repeated",
    read: senderOrServer,
  });
  addStreamOptions(command)
    .addOption(new Option("--until <when>", "of the stream: end with its last message").choices(["now"]))
    .addHelpText("after", help)
    .action(listen);
}

async function listen(
  addresses: readonly ListenAddress[],
  options: ListenOptions,
  command: Command,
): Promise<void> {
  const servers = options.from?.filter(isServer) ?? [];
  if (servers.length > 0) {
    if (addresses.length > 0) throw usage("give a port to listen on or --from nats://host, not both");
    if (servers.length < (options.from?.length ?? 0))
      throw usage("--from takes servers of NATS or senders of a group, not both");
    allowOptions(command, streamLines, "needs a socket: it is not possible with --from nats://host");
    if (options.raw) checkRawOutput();
    await listenToStream(servers, options);
    return;
  }
  refuseStreamOptions(options);
  if (options.until) throw usage("--until is for a stream: give --from nats://host too");
  checkOptions(addresses, options);
  const listeners: Listener[] = [];
  try {
    for (const address of addresses) {
      listeners.push(await Listener.open(address, options));
    }
    if (addresses.length === 0) {
      const open = (port: number): Promise<Listener> =>
        Listener.open(parseListenAddress(String(port)), options);
      listeners.push(await openFreePort(open));
    }
    await reportAndRecord(listeners, options);
  } finally {
    await Promise.all(listeners.map((listener) => listener.close()));
  }
}

/** As `report`. With `--record`, the datagrams go to a file too. */
async function reportAndRecord(listeners: readonly Listener[], options: ListenOptions): Promise<void> {
  if (options.record === undefined) {
    await report(listeners, options);
    return;
  }
  const sockets = new Set(listeners.flatMap(({ socket, answering }) => [socket, answering]));
  const start = (file: string | number, terms: RecordOptions): Recording => record([...sockets], file, terms);
  const recording = startRecording(start, options.record, {
    overwrite: options.overwrite,
  });
  try {
    await report(listeners, options);
  } finally {
    await endRecording(recording);
  }
}

/** Prints datagrams until the end, and then the summary. @throws `Failure` if too few came in time. */
async function report(listeners: readonly Listener[], options: ListenOptions): Promise<void> {
  const signal = stopSignal();
  for (const { socket, target } of listeners) showListenTarget(socket, target);
  noticeFallback();
  showGuide(listeners, options);
  const session = new ListenSession(listeners, options);
  let timedOut = false;
  try {
    await session.run(signal);
  } catch (error) {
    timedOut = error instanceof TimeoutError;
    if (!timedOut && !wasStopped(error)) throw error;
  }
  await session.end();
  if (!timedOut || options.timeout === undefined) return;
  refuseTooFew(session.datagrams, options.count, options.timeout);
}

/** Reads a value of `--from`. */
function senderOrServer(text: string): string {
  return isServer(text) ? text : hostFor("--from")(text);
}

/** @throws `Failure` for options that contradict each other or the addresses. */
function checkOptions(addresses: readonly ListenAddress[], options: ListenOptions): void {
  const { length } = addresses;
  const { source, echo, reply, raw, record, overwrite, guide: withGuide } = options;
  refuseRepeated(addresses);
  if (overwrite && record === undefined) throw usage("--overwrite is for a recording: give --record <path>");
  if (length === 0 && !withGuide) throw missingPort();
  if (raw) checkRawOutput();
  if (record === "-")
    throw usage("standard output has the datagrams: record to a file, or with datagram record --output -");
  if (!source) return;
  if (!echo && reply === undefined) throw usage("--source is the address of answers: give --reply or --echo");
  if (length > 1 && source.port > 0) throw usage("--source with a port is possible for one address only");
}
