import { type Command, Option } from "commander";

import type { Endpoint } from "../core/address.js";
import { isMulticast, parseLiteral } from "../core/ip.js";
import { type Address, type Datagram, type Socket, TimeoutError } from "../index.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { readPayload } from "./input.js";
import { jsonLine, payloadFields, printableText, showPayload, splitLineEnd } from "./payload.js";
import { explained, sendingSocket } from "./sockets.js";
import { count, notice, onOutput, print } from "./terminal.js";
import { refusalSignal } from "./unreachable.js";
import { destination, duration, formatDuration, resolved, wholeNumber } from "./values.js";

/** Answers that are read and printed together. */
const batchDatagrams = 256;

const help = `
The answer goes to standard output, and how long it took to standard error.
Printable UTF-8 is printed as it is, everything else as hex digits. With --all
each answer is one line: source, milliseconds, size, payload, with text in
double quotes. With --json an answer is an object with source, roundTripMs,
size, and text (valid UTF-8) or hex.

Only an answer from that very address counts. With --all, with --broadcast, and
to a multicast group, an answer may come from anywhere.

When ICMP says that nobody is listening there, or that there is no way there,
that ends it at once with exit code 4. The dgram driver hears hosts but no
routers, and nobody where an answer may come from anywhere.

The exit code is 3 when no answer came in time. The datagram can get lost, and
so can the answer: with --retries the other side may see it more than once.

Examples:
  datagram request 127.0.0.1:9000 ping
  datagram request 192.168.1.20:9000 ping --timeout 500ms --retries 3
  datagram request 255.255.255.255:9000 "who is there?" --broadcast --all
  datagram request 127.0.0.1:9000 --hex 0001ff`;

interface RequestOptions {
  readonly timeout: number;
  readonly retries: number;
  readonly all?: boolean;
  readonly hex?: boolean;
  readonly json?: boolean;
  readonly broadcast?: boolean;
}

/** Adds `datagram request`. */
export function addRequest(program: Command): void {
  program
    .command("request")
    .summary("send a datagram and wait for the answer")
    .description("Sends a datagram, waits for the answer, and prints it.")
    .argument("<host:port>", "who is asked", destination)
    .argument("[data]", "what to send; - or nothing is standard input")
    .addOption(
      new Option("--timeout <time>", "how long each try waits")
        .argParser(duration("--timeout"))
        .default(2000, formatDuration(2000)),
    )
    .option(
      "--retries <n>",
      "send again so often while no answer comes",
      wholeNumber("--retries", 0, 1000),
      0,
    )
    .option("--all", "collect every answer until the time is over")
    .option("--hex", "the data is written in hex digits, and the answer is shown so")
    .option("--json", "print each answer as a JSON object on one line")
    .option("--broadcast", "allow broadcast addresses")
    .addHelpText("after", help)
    .action(request);
}

async function request(who: Address, text: string | undefined, options: RequestOptions): Promise<void> {
  if (text === undefined && process.stdin.isTTY) {
    throw usage("no data: it is the second argument, or - to type it, with Ctrl-D at the end");
  }
  const to = await resolved(who);
  const payload = await readPayload({ text, hex: options.hex === true }, [to]);
  const broadcast = options.broadcast === true;
  await using s = sendingSocket(to.family, broadcast);
  const signal = refusalSignal(s, to);
  try {
    if (await ask(s, to, payload, options, signal)) return;
  } catch (error) {
    // Of what fails a call on a connected socket, its report says more.
    signal.throwIfAborted();
    throw explained(error, broadcast);
  }
  const tries = options.retries + 1;
  const elsewhere = options.all ? "" : ", or it came from another address, which --all shows";
  throw new Failure(
    exitCodes.noAnswer,
    `no answer from ${to} in ${formatDuration(options.timeout * tries)} (${tries} ${tries === 1 ? "try" : "tries"}): ` +
      `lost, or nobody there answers${elsewhere}`,
  );
}

/** Sends until an answer comes, as often as `--retries` allows. Gives back whether one came. @throws the signal's reason. */
async function ask(
  s: Socket,
  to: Endpoint,
  payload: Buffer,
  options: RequestOptions,
  signal: AbortSignal,
): Promise<boolean> {
  // A connected socket takes the datagrams of its peer alone, and is told of its ICMP errors.
  const connected = !options.all && !options.broadcast && !isGroup(to);
  if (connected) await s.connect(to);
  for (let tries = 1; tries <= options.retries + 1; tries++) {
    const sentAt = s.clock.now();
    await (connected ? s.send(payload) : s.sendto(payload, to));
    const done = options.all
      ? await printAll(s, sentAt, options, signal)
      : await printFirst(s, sentAt, tries, options, signal);
    if (done) return true;
  }
  return false;
}

async function printFirst(
  s: Socket,
  sentAt: number,
  tries: number,
  options: RequestOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const [answer] = await receive(s, 1, options.timeout, signal);
  if (!answer) return false;
  const { data, source, size } = answer;
  const ms = s.clock.now() - sentAt;
  if (options.json) await print(answerObject(answer, ms, options));
  else {
    const [body] = splitLineEnd(data);
    const text = options.hex ? undefined : printableText(body);
    if (text === undefined && !options.hex)
      notice("the answer is not printable text: here it is in hex digits");
    await print(`${text ?? data.toString("hex")}\n`);
  }
  // An answer to an earlier try may come late: then the time since the last one is no round trip.
  const time = tries === 1 ? `in ${ms.toFixed(2)} ms` : `${ms.toFixed(2)} ms after try ${tries}`;
  notice(`${count(size, "byte")} from ${source} ${time}`);
  return true;
}

async function printAll(
  s: Socket,
  sentAt: number,
  options: RequestOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const { timeout, hex = false } = options;
  let answers = 0;
  for (let left = timeout; left > 0; left = sentAt + timeout - s.clock.now()) {
    const batch = await receive(s, batchDatagrams, left, signal);
    const ms = s.clock.now() - sentAt;
    answers += batch.length;
    const lines = batch.map((answer) => {
      if (options.json) return answerObject(answer, ms, options);
      const { data, source, size } = answer;
      const start = `${onOutput("cyan", String(source))} ${onOutput("dim", `${ms.toFixed(2)} ms`)}`;
      return `${start} ${count(size, "byte")} ${showPayload(data, hex)}\n`;
    });
    await print(lines.join(""));
  }
  if (answers > 0) notice(`${count(answers, "answer")} in ${formatDuration(timeout)}`);
  return answers > 0;
}

/** What comes in time; nothing where nothing does. */
async function receive(s: Socket, most: number, timeoutMs: number, signal: AbortSignal): Promise<Datagram[]> {
  try {
    return await s.recvMany(most, { timeoutMs, signal });
  } catch (error) {
    if (error instanceof TimeoutError) return [];
    throw error;
  }
}

function answerObject({ data, source, size }: Datagram, ms: number, { hex = false }: RequestOptions): string {
  return jsonLine({ source, roundTripMs: Number(ms.toFixed(3)), size, ...payloadFields(data, hex) });
}

function isGroup({ host }: Endpoint): boolean {
  const literal = parseLiteral(host);
  return literal !== undefined && isMulticast(literal.bytes);
}
