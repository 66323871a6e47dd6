import { dirname } from "node:path";

import { type Command, Option } from "commander";

import { type Gateway, gateway } from "../gateway/index.js";
import { withoutUser } from "../gateway/server-url.js";
import { OSError } from "../index.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { noticeFallback } from "./fallback.js";
import { type GatewayCommandOptions, checkOptions, gatewayOptions, serversOf } from "./gateway-options.js";
import { storageUsedUp } from "./gateway-counts.js";
import { GatewayReport } from "./gateway-report.js";
import { leaveParent, optionsOfParent, stopOfParent, tellParent } from "./gateway-worker.js";
import { GatewayWorkers } from "./gateway-workers.js";
import { type ListenAddress, parseListenAddress, refuseRepeated, showListenTarget } from "./listen-target.js";
import { Listener } from "./listener.js";
import { byteSize, diskSize, duration, quote, resolved, wholeNumber } from "./option-values.js";
import { isGroup, listed } from "./route-options.js";
import { streamFailure } from "./stream-options.js";
import { asSystemFailure } from "./system-errors.js";
import { notice, stopSignal } from "./terminal.js";

const help = `
Each datagram becomes one message of the stream. Its subject is
datagram.<port>.<peer>, such as datagram.9000.10-0-0-7_40000, and its headers
have the source, the destination, the interface, the kernel's time and an id.
With --buckets n the last token is a number below n instead of the peer. The
command needs the client of NATS: npm install @nats-io/transport-node.

With --bundle the datagrams that arrive together become one message, so that the
server can store several times as many. listen --from, replay --from and
consume() read them one by one. The last token is a bucket: 0 without --buckets.

With --message the senders are programs of datagram/message, and each whole
message is stored, with its channel in a header. A sender learns that its
message has arrived only after the stream has acknowledged it. A message that is
not stored, or that is longer than the server takes (max_payload), is an error
of its sender. No answers are sent. The counts are of messages. Datagrams of
other programs are not stored: a warning says so, and the summary counts them.

With --into no server is needed: the datagrams go into capture files of a
folder, which datagram read and Wireshark read. stored then says that the disk
has the datagram. A full disk refuses datagrams, and is tried again. --limit
removes the oldest files of this address instead. No answers are sent.

The stream must exist. --create creates it if it is missing, on disk, so that it
refuses messages when it is full (--max-bytes). --replicas keeps each message on
several servers.

Each datagram that the kernel passed on is counted as one of these:
  stored     the stream has acknowledged it
  shed       too many waited, because the server is slow or away: a peer that
             floods loses its datagrams first. --shed chooses whether a peer
             loses its newest or its oldest ones
  refused    the stream is full, or the server does not take it
  in flight  it waits, or the server has not answered. At the end: the server
             did not say whether it stored them, or it was never sent
Losses are lines on standard error, at most one line a second of each kind.
Datagrams that the kernel itself dropped are counted too; that count is a
minimum, because the kernel merges datagrams. With --exact it does not, which
takes more CPU time.

While the server is away, datagrams wait in memory, up to --max-waiting of them.
Then each one that is not acknowledged is sent again, with the same id, so that
it is stored once.

A message to datagram.<port>.<peer>.reply, from anywhere, is sent to the peer
from the address that the peer sent to, if the peer has sent something within
--seen-within. The gateway says on the reply subject whether it left, and which
ICMP error came within --icmp-wait. Whoever may publish there can send to your
peers: --no-answers switches it off.

With --workers n, n processes share each port (SO_REUSEPORT), and the kernel
chooses one of them by the address of the peer. The counts are of all together.
A worker that dies is counted and started again.

On a terminal a line shows the counts. With --json they are an object on each
line of standard output, once a second if something has changed, and at the end.
Ctrl-C ends the command after at most --drain, with a summary on standard error.
A second Ctrl-C ends it at once, with the summary of that moment.
The exit code is 1 if a datagram that was received is not stored, a message was
refused, or only datagrams of other programs came with --message. It is 4 if no
server answers at the start.

Examples:
  datagram gateway 9000 --stream cameras --create
  datagram gateway 0.0.0.0:9000 --nats nats://10.0.0.2:4222 --stream cameras
  datagram gateway 0.0.0.0:9000 9001 --stream cameras --create --max-bytes 10g
  datagram gateway 0.0.0.0:9000 --stream cameras --buckets 64 --exact
  datagram gateway 0.0.0.0:9000 --stream cameras --bundle
  datagram gateway 0.0.0.0:9000 --into captures --limit 10g`;

/** Adds `datagram gateway`. */
export function addGateway(program: Command): void {
  program
    .command("gateway")
    .summary("store each datagram in NATS JetStream, or in capture files")
    .description(
      "Stores each datagram that arrives in a stream of NATS JetStream, or in capture files, and accounts for all of them.",
    )
    .usage("[options] <[host:]port...> --stream <name>|--into <path>")
    .argument("<[host:]port...>", "where to listen", listed(parseListenAddress))
    .option("--stream <name>", "the stream")
    .option(
      "--nats <url>",
      "the server (default: nats://127.0.0.1:4222); may be repeated for the servers of a cluster",
      listed((text: string) => text),
    )
    .option("--create", "create the stream if it is missing")
    .option(
      "--max-bytes <bytes>",
      "with --create: the size of a full stream, such as 10g",
      diskSize("--max-bytes"),
    )
    .option(
      "--replicas <n>",
      "with --create: servers that keep each message",
      wholeNumber("--replicas", 1, 5),
    )
    .option("--into <folder>", "store in capture files of this folder, without a server")
    .option(
      "--rotate-size <bytes>",
      "with --into: start another file at this size (default: 64m)",
      diskSize("--rotate-size"),
    )
    .option(
      "--rotate-time <time>",
      "with --into: start another file after this time, such as 60m",
      duration("--rotate-time", 1000),
    )
    .option(
      "--limit <bytes>",
      "with --into: remove the oldest files above this size of all together, such as 10g",
      diskSize("--limit"),
    )
    .option("--prefix <tokens>", "begin subjects with these tokens (default: datagram)")
    .option(
      "--buckets <n>",
      "n subjects for each port, in place of one for each peer",
      wholeNumber("--buckets", 1, 65_536),
    )
    .option("--bundle", "store the datagrams that arrive together as one message, for high rates")
    .addOption(
      new Option("--shed <which>", "which datagrams of a peer are shed").choices(["newest", "oldest"]),
    )
    .option(
      "--max-waiting <n>",
      "datagrams that may wait (default: 65536)",
      wholeNumber("--max-waiting", 1, 10_000_000),
    )
    .option("--message", "store whole messages of datagram send --message, in place of datagrams")
    .option("--no-answers", "send no answers to peers")
    .option(
      "--seen-within <time>",
      "answer peers that have sent something within this time (default: 10m)",
      duration("--seen-within"),
    )
    .option(
      "--icmp-wait <time>",
      "wait so long for ICMP errors about an answer (default: 100ms)",
      duration("--icmp-wait", 0),
    )
    .option("--workers <n>", "n processes share the ports (default: 1)", wholeNumber("--workers", 1, 64))
    .addOption(new Option("--worker", "run as a worker").hideHelp())
    .option("--drain <time>", "wait so long for the server at the end (default: 5s)", duration("--drain"))
    .option("--buffer <bytes>", "request a receive buffer of this size (default: 4m)", byteSize("--buffer"))
    .option("--exact", "count the kernel's losses exactly, for more CPU time (DATAGRAM_GRO=off)")
    .option("--json", "print the counts as JSON objects, one on each line")
    .addHelpText("after", help)
    .action(run);
}

async function run(addresses: readonly ListenAddress[], given: GatewayCommandOptions): Promise<void> {
  const options = given.worker ? await optionsOfParent<GatewayCommandOptions>() : given;
  const { workers = 1 } = options;
  refuseRepeated(addresses);
  checkOptions(options);
  // The driver reads it when the first socket is opened.
  if (options.exact) process.env.DATAGRAM_GRO = "off";
  if (given.worker) await runHere(addresses, options, true).finally(leaveParent);
  else if (workers > 1) await runWorkers(addresses, options, workers);
  else await runHere(addresses, options, false);
}

/** Runs the gateway in this process. @param worker whether it is a worker. */
async function runHere(
  addresses: readonly ListenAddress[],
  options: GatewayCommandOptions,
  worker: boolean,
): Promise<void> {
  const signal = worker ? stopOfParent() : stopSignal(true);
  const listeners: Listener[] = [];
  const report = new GatewayReport(
    options.json === true,
    worker ? (counts) => tellParent({ type: "counts", counts }) : undefined,
  );
  let isRunning = false;
  let failure: Error | undefined;
  try {
    for (const address of addresses)
      listeners.push(await Listener.open(address, { ...options, reusePort: worker }));
    const { prefix = "datagram" } = options;
    const subjects = listeners.map(({ address }) => `${prefix}.${address.port}.*`);
    for (const listener of listeners) report.add(listener, await start(listener, subjects, options, report));
    if (worker) await tellParent({ type: "ready", ports: listeners.map(({ address }) => address.port) });
    else {
      for (const { socket, target } of listeners) showListenTarget(socket, target);
      noticeFallback();
      noticeTarget(options);
    }
    isRunning = true;
    await report.run(signal);
  } catch (error) {
    failure = error as Error;
  } finally {
    await report.close();
    for (const listener of listeners) await listener.close();
  }
  if (failure && !isRunning) throw failure;
  try {
    await report.end();
  } catch (error) {
    throw failure ? withTodo(failure) : error;
  }
  if (failure) throw withTodo(failure);
}

async function runWorkers(
  addresses: readonly ListenAddress[],
  options: GatewayCommandOptions,
  workers: number,
): Promise<void> {
  const signal = stopSignal(true);
  const all = await Promise.all(addresses.map(({ address }) => resolved(address)));
  if (all.some(isGroup)) throw usage("--workers is not for a group: each worker would receive each datagram");
  const { json = false, drain = 5000 } = options;
  const argsFor = (ports: readonly number[]): string[] => [
    "gateway",
    ...all.map((at, index) => String(at.withPort(ports[index] ?? at.port))),
    "--worker",
  ];
  const isExact = process.env.DATAGRAM_GRO === "off";
  const pool = new GatewayWorkers({ workers, argsFor, options, json, isExact, drainMs: drain }, signal);
  try {
    const ports = await pool.start();
    for (const [index, at] of all.entries())
      notice(`listening on ${at.withPort(ports[index] ?? at.port)}, with ${workers} workers`);
    noticeTarget(options);
    await pool.run();
  } finally {
    await pool.close();
  }
  await pool.end();
}

function noticeTarget(options: GatewayCommandOptions): void {
  const { into, stream } = options;
  const servers = serversOf(options).map((server) => withoutUser(server));
  notice(
    into === undefined
      ? `storing in the stream ${stream} of ${servers.join(", ")}`
      : `storing in the folder ${quote(into)}`,
  );
}

/** The options of `gateway()` that have another name here. */
const optionNames: Readonly<Record<string, string>> = { rotateBytes: "rotate-size", limitBytes: "limit" };

async function start(
  { socket }: Listener,
  subjects: readonly string[],
  options: GatewayCommandOptions,
  report: GatewayReport,
): Promise<Gateway> {
  try {
    return await gateway(
      socket,
      gatewayOptions(subjects, options, {
        onLosses: (losses) => report.losses(losses),
        onConnection: (state) => report.connection(state),
      }),
    );
  } catch (error) {
    if (error instanceof RangeError)
      throw usage(
        `--${error.message}`.replaceAll(/rotateBytes|limitBytes/g, (name) => optionNames[name] ?? name),
      );
    if (!(error instanceof OSError)) throw error;
    if (options.into !== undefined && error.code === "ENOENT")
      throw new Failure(
        exitCodes.error,
        `cannot store in ${quote(options.into)}: there is no folder ${quote(dirname(options.into))}`,
      );
    if (options.into !== undefined) throw asSystemFailure(error, `store in ${quote(options.into)}`);
    if (error.code === "ENOENT")
      throw new Failure(exitCodes.error, `there is no stream ${options.stream}: --create creates it`);
    throw withTodo(error);
  }
}

/** A failure of a gateway as a line, with what can be done. Others are returned unchanged. */
function withTodo(error: Error): Error {
  const failure = streamFailure(error);
  const todo = error instanceof OSError ? todoAfter(error) : undefined;
  if (!(failure instanceof Failure)) return error;
  return todo === undefined ? failure : new Failure(failure.exitCode, `${failure.message}: ${todo}`);
}

/** What can be done about a failure. */
function todoAfter({ code, message }: OSError): string | undefined {
  if (code === "EACCES" && message.includes("switch answers off")) return "--no-answers does that";
  if (code === "EINVAL" && message.includes("insufficient")) return storageUsedUp;
  if (code === "EINVAL" && message.includes("and the gateway needs"))
    return "give all ports to one gateway, or use another --stream";
  return undefined;
}
