import { setImmediate, setTimeout } from "node:timers/promises";

import { Command, Option } from "commander";

import { Failure, exitCodes, usage } from "./exit.js";
import {
  type GeneratedData,
  type Source,
  addGeneratedData,
  generatedBy,
  readLines,
  readPayload,
} from "./input.js";
import {
  type MessageSendOptions,
  addMessageOptions,
  checkMessageOptions,
  sendMessage,
} from "./send-message.js";
import { SendSession } from "./send-session.js";
import { addRouteOptions, everyInterfaceOption, sendersMeanings } from "./route-options.js";
import { type SendingOptions, asFailure } from "./sender-sockets.js";
import { stopSignal, wasStopped } from "./terminal.js";
import { destination, destinationsOf, duration, resolved, wholeNumber } from "./option-values.js";

/** How long `--confirm` waits by default. */
const confirmTime = "1s";

const help = `
The last argument is the data, and the arguments before it are the destinations.
Data of several words needs quotes, and data that begins with a dash comes after
--. Without data, or with the data -, the command reads standard input; an empty
one is an error. With --file, --lines, --empty or --size all arguments are
destinations. Files and standard input are sent unchanged, with the line end at
their close.

The routes choose the interface that a datagram leaves by, or --interface does.
A link-local address may name it, as [fe80::1%eth0]:9000 does. Broadcasts and
multicast leave by one interface too: --every-interface sends on each interface
that is up, except the loopback. --source sets the address that datagrams come
from, so that answers go there. Multicast needs --ttl to pass a router.

A datagram of more than about 1400 bytes may travel in fragments. A datagram may
be lost, and UDP does not report that. But if nobody is listening there, the
host reports it by ICMP, and so does a router that has no route. The command
then prints a warning while it still sends (not with the dgram driver).

With --confirm the command waits for such an ICMP error for 1s, or for the given
time. An ICMP error ends the command with exit code 4. Without one the exit code
is 0, which proves nothing: firewalls drop ICMP errors, broadcast and multicast
cause none, and the dgram driver gets those of hosts but not of routers. Only an
answer proves that a datagram arrived: datagram request.

With --message the data is one message of any size, up to 78642000 bytes, for a
peer that reads messages: datagram receive, or messages() of datagram/message.
It is divided into datagrams of 1224 bytes, and what is lost is sent again until
the peer has reported all of it. On a terminal, a line shows the progress. With
--fleeting nothing is sent again. The exit code is 3 if nothing new was reported
for the time of --timeout, and 4 if nobody is listening there.

Examples:
  datagram send 127.0.0.1:9000 hello
  datagram send 192.168.1.20:9000 192.168.1.21:9000 camera.local:9000 hello
  datagram send 127.0.0.1:9000 --hex "00 ff 10"
  datagram send 127.0.0.1:9000 tick --every 1s
  datagram send 127.0.0.1:9000 hello --confirm 500ms
  datagram send 127.0.0.1:9000 --file picture.jpg
  datagram send 192.168.1.20:9000 --message --file picture.jpg
  datagram send 127.0.0.1:9000 --size 1400 --repeat 1000
  datagram send 255.255.255.255:9000 "who is there?" --every-interface
  datagram send 239.7.7.7:9420 hello --interface eth0 --ttl 4
  tail -f log.txt | datagram send "[::1]:9000" --lines`;

interface SendOptions extends SendingOptions, MessageSendOptions, GeneratedData {
  readonly file?: string;
  readonly hex?: boolean;
  readonly lines?: boolean;
  readonly repeat?: number;
  readonly every?: number;
  readonly confirm?: number;
}

/** Adds `datagram send`. */
export function addSend(program: Command): void {
  const command = new SendCommand("send").copyInheritedSettings(program);
  program.addCommand(command);
  command
    .summary("send datagrams to one or many destinations")
    .description(
      "Sends datagrams to one or many destinations, and waits for no answer; or one message of any size.",
    )
    .usage("[options] <host:port...> [data]")
    .argument("<host:port...>", "the destinations, then the data")
    .option("--file <path>", "send the content of a file; - is standard input")
    .option("--hex", "the data is in hex digits")
    .option("--lines", "send each line of the file or of standard input as a datagram");
  addGeneratedData(command, ["file", "hex", "lines"])
    .addOption(
      new Option("--repeat <n>", "send n times").argParser(wholeNumber("--repeat", 1)).conflicts("lines"),
    )
    .option(
      "--every <time>",
      "wait this time between two; without --repeat, until Ctrl-C",
      duration("--every"),
    )
    .option("--broadcast", "allow broadcast addresses")
    .option(
      "--confirm [time]",
      "wait for an ICMP error that nobody is listening there",
      duration("--confirm"),
    );
  addMessageOptions(command);
  addRouteOptions(command, { ...sendersMeanings, join: "join this multicast group while sending" })
    .addOption(everyInterfaceOption())
    .addHelpText("after", help)
    .action(send);
}

/** Reads the time of `--confirm` only if it looks like a time: a destination or the data may follow instead. */
class SendCommand extends Command {
  override parseOptions(args: string[]): ReturnType<Command["parseOptions"]> {
    const at = args.indexOf("--confirm");
    const end = args.indexOf("--");
    if (at < 0 || (end >= 0 && end < at) || /^\d[\d.]*[a-z]*$/i.test(args[at + 1] ?? "")) {
      return super.parseOptions(args);
    }
    return super.parseOptions([...args.slice(0, at), `--confirm=${confirmTime}`, ...args.slice(at + 1)]);
  }
}

async function send(args: readonly string[], options: SendOptions): Promise<void> {
  checkMessageOptions(options);
  const { words, source } = splitArguments(args, options);
  const destinations = destinationsOf(words, args, allDestinations(options));
  if (options.message) {
    await sendMessage(destinations, source, options);
    return;
  }
  const to = await Promise.all(destinations.map(resolved));
  const payload = options.lines ? undefined : await readPayload(source, to);
  const stop = stopSignal();
  try {
    await using session = await (options.confirm === undefined
      ? SendSession.open(to, options)
      : SendSession.connect(to, options));
    await sendAll(session, payload ?? source, options, stop);
  } catch (error) {
    throw asFailure(error, options);
  }
}

/** Sends one payload as often as requested, or the lines of a source, and waits for refusals with `--confirm`. */
async function sendAll(
  session: SendSession,
  what: Buffer | Source,
  options: SendOptions,
  stop: AbortSignal,
): Promise<void> {
  const { confirm, repeat } = options;
  const signal = AbortSignal.any([stop, session.refused]);
  try {
    if (Buffer.isBuffer(what)) await sendRepeatedly(session, what, options, signal);
    else await sendLines(session, what, options, signal);
  } catch (error) {
    if (session.datagrams > 0) session.summary();
    if (confirm !== undefined && session.refused.aborted) await session.confirm(confirm, stop);
    if (!wasStopped(error)) throw error;
    if (repeat !== undefined) throw new Failure(exitCodes.error, "interrupted before all was sent");
    return;
  }
  session.summary();
  if (confirm !== undefined) await session.confirm(confirm, stop);
}

/** Splits the arguments into destinations and the source of the data. */
function splitArguments(
  args: readonly string[],
  options: SendOptions,
): { words: readonly string[]; source: Source } {
  const { file, empty, size } = options;
  const hex = options.hex === true;
  if (allDestinations(options) !== undefined) return { words: args, source: { file, hex, empty, size } };
  if (args.length > 1) return { words: args.slice(0, -1), source: { text: args.at(-1), hex } };
  if (process.stdin.isTTY) {
    destination(args[0] ?? "");
    throw usage("no data: it is the last argument, or - to type it, with Ctrl-D at the end");
  }
  return { words: args, source: { hex } };
}

/** The option because of which no argument is data. */
function allDestinations(options: SendOptions): string | undefined {
  return options.file !== undefined ? "--file" : options.lines ? "--lines" : generatedBy(options);
}

async function sendRepeatedly(
  session: SendSession,
  payload: Buffer,
  { repeat, every }: SendOptions,
  signal: AbortSignal,
): Promise<void> {
  const pause = pacer(every, signal);
  const batch = every === undefined ? session.batch : 1;
  let left = repeat ?? (every === undefined ? 1 : Infinity);
  for (;;) {
    const times = Math.min(left, batch);
    await session.send(Array.from({ length: times }, () => payload));
    left -= times;
    if (left === 0) return;
    await pause();
  }
}

async function sendLines(
  session: SendSession,
  source: Source,
  { every }: SendOptions,
  signal: AbortSignal,
): Promise<void> {
  const pause = pacer(every, signal);
  const batch = every === undefined ? session.batch : 1;
  let first = true;
  for await (const lines of readLines(source, session.destinations, signal)) {
    for (let start = 0; start < lines.length; start += batch) {
      if (!first) await pause();
      first = false;
      await session.send(lines.slice(start, start + batch));
    }
  }
}

/** Waits between two sends: until the next is due, or for one turn of the event loop, so that Ctrl-C is noticed. */
function pacer(every: number | undefined, signal: AbortSignal): () => Promise<void> {
  let next = performance.now();
  return async () => {
    if (every === undefined) await setImmediate();
    else {
      next = Math.max(next + every, performance.now());
      await setTimeout(Math.max(0, next - performance.now()), undefined, { signal });
    }
    signal.throwIfAborted();
  };
}
