import { setImmediate, setTimeout } from "node:timers/promises";

import { type Command, Option } from "commander";

import type { Endpoint } from "../core/address.js";
import type { Socket } from "../index.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { type Source, readLines, readPayload } from "./input.js";
import { explained, sendingSocket } from "./sockets.js";
import { count, notice, stopSignal, wasStopped } from "./terminal.js";
import { destination, duration, resolved, wholeNumber } from "./values.js";

/** Datagrams that are handed to the sockets together, about. */
const batchDatagrams = 512;

const help = `
The last argument is the data, those before it are the destinations. With
--file or --lines all arguments are destinations. Data that is - is read from
standard input, and so it is where there is one argument alone. Data that
begins with a dash stands behind --. Standard input and files are sent to the
byte, with the line end at their close.

Over about 1400 bytes a datagram may travel in fragments. What was sent may not
arrive, and UDP does not tell.

Examples:
  datagram send 127.0.0.1:9000 hello
  datagram send 192.168.1.20:9000 192.168.1.21:9000 camera.local:9000 hello
  datagram send 127.0.0.1:9000 --hex "00 ff 10"
  datagram send 127.0.0.1:9000 tick --every 1s
  datagram send 255.255.255.255:9000 "who is there?" --broadcast
  tail -f log.txt | datagram send "[::1]:9000" --lines`;

interface SendOptions {
  readonly file?: string;
  readonly hex?: boolean;
  readonly lines?: boolean;
  readonly repeat?: number;
  readonly every?: number;
  readonly broadcast?: boolean;
}

/** Adds `datagram send`. */
export function addSend(program: Command): void {
  program
    .command("send")
    .summary("send datagrams to one or many destinations")
    .description("Sends datagrams to one or many destinations, and waits for no answer.")
    .usage("[options] <host:port...> [data]")
    .argument("<host:port...>", "the destinations; behind them, the data")
    .option("--file <path>", "send what the file holds; - is standard input")
    .option("--hex", "the data is written in hex digits")
    .option("--lines", "send each line of the file or of standard input as a datagram, as it comes")
    .addOption(
      new Option("--repeat <n>", "send n times").argParser(wholeNumber("--repeat", 1)).conflicts("lines"),
    )
    .option("--every <time>", "wait so long between two; without --repeat, until Ctrl-C", duration("--every"))
    .option("--broadcast", "allow broadcast addresses")
    .addHelpText("after", help)
    .action(send);
}

async function send(args: readonly string[], options: SendOptions): Promise<void> {
  const { destinations, source } = splitArguments(args, options);
  const to = await Promise.all(destinations.map(destination).map(resolved));
  const payload = options.lines ? undefined : await readPayload(source, to);
  const signal = stopSignal();
  await using outlet = new Outlet(to, options.broadcast === true);
  try {
    if (payload) await sendRepeatedly(outlet, payload, options, signal);
    else await sendLines(outlet, source, options, signal);
  } catch (error) {
    if (outlet.datagrams > 0) outlet.summary();
    if (!wasStopped(error)) throw explained(error, options.broadcast === true);
    if (options.repeat !== undefined) throw new Failure(exitCodes.error, "interrupted before all was sent");
    return;
  }
  outlet.summary();
}

/** Which arguments are destinations, and where the data is. */
function splitArguments(
  args: readonly string[],
  options: SendOptions,
): { destinations: string[]; source: Source } {
  const { file, lines } = options;
  const hex = options.hex === true;
  if (file !== undefined || lines) return { destinations: [...args], source: { file, hex } };
  if (args.length > 1) return { destinations: args.slice(0, -1), source: { text: args.at(-1), hex } };
  if (process.stdin.isTTY) {
    destination(args[0] ?? "");
    throw usage("no data: it is the last argument, or - to type it, with Ctrl-D at the end");
  }
  return { destinations: [...args], source: { hex } };
}

/** The sockets, one a family, and where they send. */
class Outlet {
  readonly destinations: readonly Endpoint[];
  readonly #routes: readonly { socket: Socket; to: readonly Endpoint[] }[];

  constructor(to: readonly Endpoint[], broadcast: boolean) {
    const families = new Set(to.map(({ family }) => family));
    this.#routes = [...families].map((family) => ({
      socket: sendingSocket(family, broadcast),
      to: to.filter((each) => each.family === family),
    }));
    this.destinations = to;
  }

  /** How many payloads to give to one `send`. */
  get batch(): number {
    return Math.ceil(batchDatagrams / this.destinations.length);
  }

  /** Datagrams that were sent so far. */
  get datagrams(): number {
    return this.#sent("datagrams");
  }

  /** Sends each payload to every destination. What fails does not keep the others from being sent. */
  async send(payloads: readonly Buffer[]): Promise<void> {
    const sending = this.#routes.map(({ socket, to }) =>
      socket.sendMany(payloads.flatMap((data) => to.map((address) => ({ data, address })))),
    );
    const outcomes = await Promise.allSettled(sending);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  summary(): void {
    const traffic = `${count(this.datagrams, "datagram")}, ${count(this.#sent("bytes"), "byte")}`;
    notice(`sent ${traffic} to ${count(this.destinations.length, "destination")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#routes.map(({ socket }) => socket.close()));
  }

  #sent(what: "datagrams" | "bytes"): number {
    return this.#routes.reduce((sum, { socket }) => sum + socket.stats().sent[what], 0);
  }
}

async function sendRepeatedly(
  outlet: Outlet,
  payload: Buffer,
  { repeat, every }: SendOptions,
  signal: AbortSignal,
): Promise<void> {
  const pause = pacer(every, signal);
  const batch = every === undefined ? outlet.batch : 1;
  let left = repeat ?? (every === undefined ? 1 : Infinity);
  for (;;) {
    const times = Math.min(left, batch);
    await outlet.send(Array.from({ length: times }, () => payload));
    left -= times;
    if (left === 0) return;
    await pause();
  }
}

async function sendLines(
  outlet: Outlet,
  source: Source,
  { every }: SendOptions,
  signal: AbortSignal,
): Promise<void> {
  const pause = pacer(every, signal);
  const batch = every === undefined ? outlet.batch : 1;
  let first = true;
  for await (const lines of readLines(source, outlet.destinations, signal)) {
    for (let start = 0; start < lines.length; start += batch) {
      if (!first) await pause();
      first = false;
      await outlet.send(lines.slice(start, start + batch));
    }
  }
}

/** Waits between two sends: until the next is due, or for one turn of the loop, so that Ctrl-C is heard. */
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
