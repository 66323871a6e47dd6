import { type Command, Option } from "commander";

import { type Endpoint, anyAddress } from "../core/address/address.js";
import { sameHost } from "../core/address/same-host.js";
import { isTransientIcmp } from "../core/driver/icmp.js";
import type { Refusal } from "../core/ledger/report-texts.js";
import { type Address, type Datagram, OSError, TimeoutError } from "../index.js";
import { kernelStack } from "../kernel/choice.js";
import { ownAddresses } from "../kernel/own-addresses.js";
import { formatDuration } from "../sim/link/unit-texts.js";
import { count } from "../core/ledger/count-text.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { type GeneratedData, addGeneratedData, generatedBy, readPayload } from "./input.js";
import { jsonLine, payloadFields, showPayload } from "./payload.js";
import { addRouteOptions, everyInterfaceOption, isGroup, sendersMeanings } from "./route-options.js";
import {
  type SenderSocket,
  type SendingOptions,
  closeAll,
  asFailure,
  withInterfaceName,
  openSenders,
} from "./sender-sockets.js";
import { notice, onOutput, outputColumns, print } from "./terminal.js";
import { refused } from "./unreachable.js";
import { destination, duration, inQuotes, quote, resolved, wholeNumber } from "./option-values.js";
import { checkRawOutput, rawOption } from "./raw-output.js";
import { messageOption, requestMessage } from "./request-message.js";

/** The largest number of answers that are read and printed together. */
const batchDatagrams = 256;

const help = `
The answer goes to standard output, and its time to standard error. Text is in
quotes, with the escapes \\n, \\r, \\t and \\\\, and those of Python for characters
that a terminal could execute or hide: "\\x1b[1mgrün". If these are more than one
of four, or if it is not UTF-8, the bytes are shown as Python shows them:
b"\\xff\\x00". On a terminal a long answer is cut at the width of the terminal,
and --full shows all of it. --raw writes the bytes of the answer and nothing
else, for a file or a program.

With --all and --count each answer is one line: source, milliseconds, size,
payload. With --json an answer is an object with source, roundTripMs, size, and
text (valid UTF-8) or hex.

Only an answer from that address counts. With --broadcast, --every-interface,
--all, --count or --join, or to a multicast group, an answer may come from any
address.

The routes choose the interface of the request, or --interface does. Answers
come to the address and port of --source. With --join they may also be sent to
a multicast group, as in multicast DNS.

If ICMP says that nobody is listening there, or that the traffic is prohibited,
the command ends at once with exit code 4. Other ICMP errors may pass, such as
one about a route: the command goes on, and ends with 4 if no answer comes in
time. The dgram driver gets ICMP errors of hosts but not of routers, and none if
an answer may come from any address.

With --message the data and the answer are messages of any size, for a peer such
as datagram serve --message. What is lost is sent again, so --timeout is the
time for all of it.

The exit code is 3 if no answer came in time, or fewer than --count. The
datagram or the answer can be lost: with --retries the other side may receive
the datagram more than once.

Examples:
  datagram request 127.0.0.1:9000 ping
  datagram request 192.168.1.20:9000 ping --timeout 500ms --retries 3
  datagram request 255.255.255.255:9000 "who is there?" --every-interface --all
  datagram request 239.7.7.7:9420 ping --interface eth0
  datagram request 127.0.0.1:9000 --hex 0001ff
  datagram request camera.local:9000 snapshot --raw > picture.jpg
  datagram request 127.0.0.1:9000 --message --timeout 10s --raw < a.jpg > b.jpg`;

interface RequestOptions extends SendingOptions, GeneratedData {
  readonly timeout: number;
  readonly retries: number;
  readonly message?: boolean;
  readonly all?: boolean;
  readonly hex?: boolean;
  readonly json?: boolean;
  readonly raw?: boolean;
  readonly full?: boolean;
  readonly count?: number;
}

/** Adds `datagram request`. */
export function addRequest(program: Command): void {
  const command = program
    .command("request")
    .summary("send a datagram and wait for the answer")
    .description("Sends a datagram, waits for the answer, and prints it.")
    .argument("<host:port>", "the peer", destination)
    .argument("[data]", "the data to send; - or nothing is standard input")
    .addOption(
      new Option("--timeout <time>", "how long each try waits")
        .argParser(duration("--timeout"))
        .default(2000, formatDuration(2000)),
    )
    .option(
      "--retries <n>",
      "send again up to n times if no answer comes",
      wholeNumber("--retries", 0, 1000),
      0,
    )
    .addOption(messageOption())
    .option("--all", "collect every answer until the time is over")
    .option("--count <n>", "collect n answers, and end with the last", wholeNumber("--count", 1))
    .addOption(new Option("--hex", "the data is in hex digits, and so is the answer").conflicts("json"))
    .option("--json", "print each answer as a JSON object on one line")
    .addOption(rawOption("write the bytes of the answer alone").conflicts(["all", "count"]))
    .option("--full", "do not cut long answers at the width of the terminal")
    .option("--broadcast", "allow broadcast addresses");
  addGeneratedData(command, ["hex"]);
  addRouteOptions(command, { ...sendersMeanings, join: "also receive answers sent to this multicast group" })
    .addOption(everyInterfaceOption())
    .addHelpText("after", help)
    .allowExcessArguments()
    .action(request);
}

async function request(
  who: Address,
  text: string | undefined,
  options: RequestOptions,
  { args }: Command,
): Promise<void> {
  checkData(args, options);
  const to = await resolved(who);
  const { hex = false, empty, size } = options;
  if (options.message) {
    const { reply, elapsedMs } = await requestMessage(to, { text, hex, empty, size }, options);
    const { data, source } = reply;
    await printAnswer({ data, source, size: data.length }, elapsedMs, options);
    notice(`${count(data.length, "byte")} from ${source} in ${elapsedMs.toFixed(2)} ms`);
    return;
  }
  const payload = await readPayload({ text, hex, empty, size }, [to]);
  try {
    const senders = await openSenders([to], options);
    const session = new RequestSession(senders, to, payload, options);
    try {
      if (await session.ask()) return;
    } finally {
      await closeAll(senders);
    }
    throw session.unanswered();
  } catch (error) {
    throw asFailure(error, options);
  }
}

/** @throws `Failure` if the arguments have too little or too much data. */
function checkData([peer = "", ...data]: readonly string[], options: RequestOptions): void {
  if (options.raw) checkRawOutput();
  const generated = generatedBy(options);
  if (generated && data.length > 0)
    throw usage(`with ${generated} there is no data, such as ${quote(data[0] ?? "")}`);
  if (data.length > 1) {
    throw usage(
      `too many arguments: data of several words needs quotes: datagram request ${peer} ${inQuotes(data)}`,
    );
  }
  if (!generated && data.length === 0 && process.stdin.isTTY) {
    throw usage("no data: it is the second argument, or - to type it, with Ctrl-D at the end");
  }
}

/** One request, and the answers to it. */
class RequestSession {
  readonly #senders: readonly SenderSocket[];
  readonly #to: Endpoint;
  readonly #payload: Buffer;
  readonly #options: RequestOptions;
  /** Whether an answer may come from any address. */
  readonly #fromAnyone: boolean;
  /** Aborted by an ICMP error that ends the request. */
  readonly #refused = new AbortController();
  /** The last ICMP error that may pass. */
  #passing: Refusal | undefined;
  #sentAt = 0;
  #answers = 0;

  constructor(senders: readonly SenderSocket[], to: Endpoint, payload: Buffer, options: RequestOptions) {
    const { all, count, broadcast, everyInterface, join = [] } = options;
    this.#senders = senders;
    this.#to = to;
    this.#payload = payload;
    this.#options = options;
    this.#fromAnyone =
      isGroup(to) || join.length > 0 || [all, count, broadcast, everyInterface].some(Boolean);
    for (const { socket } of senders) {
      socket.on("unreachable", (report) => {
        if (isTransientIcmp(report.code, report.kind)) this.#passing = report;
        else this.#refused.abort(refused(report, to));
      });
    }
  }

  /** Sends until an answer comes, as often as `--retries` allows. Returns whether enough answers came. @throws `Failure`. */
  async ask(): Promise<boolean> {
    const { all, count: wanted = Infinity, retries } = this.#options;
    const many = all === true || wanted < Infinity;
    // A connected socket receives only from its peer, and gets its ICMP errors. With --interface it is not connected:
    // connect would choose a source address by the routes, and no answer to it would arrive on another interface.
    const connected = !this.#fromAnyone && this.#senders.every(({ by }) => by === undefined);
    try {
      if (connected) for (const { socket } of this.#senders) await socket.connect(this.#to);
      for (let tries = 1; tries <= retries + 1 && this.#answers === 0; tries++) {
        await this.#send(connected, tries > 1);
        await (many ? this.#printMany(wanted) : this.#printFirst(tries));
      }
    } catch (error) {
      // On a connected socket an ICMP error fails the call. The event has more details than the error.
      this.#refused.signal.throwIfAborted();
      throw error;
    }
    return this.#answers >= (wanted < Infinity ? wanted : 1);
  }

  /** The error for no answers or too few. */
  unanswered(): Failure {
    const { count: wanted, timeout, retries } = this.#options;
    if (this.#answers > 0) {
      const got = `${this.#answers} of ${wanted} answers came`;
      return new Failure(exitCodes.noAnswer, `${got}, and no more in ${formatDuration(timeout)}`);
    }
    if (this.#passing) return refused(this.#passing, this.#to);
    const tries = retries + 1;
    const by = this.#senders.flatMap((sender) => sender.by ?? []).join(", ");
    const elsewhere = this.#fromAnyone ? "" : ", or it came from another address, which --all shows";
    return new Failure(
      exitCodes.noAnswer,
      `no answer from ${this.#to}${by && ` by ${by}`} in ${formatDuration(timeout * tries)} ` +
        `(${tries} ${tries === 1 ? "try" : "tries"}): lost, or nobody there answers${elsewhere}`,
    );
  }

  async #send(connected: boolean, isRetry: boolean): Promise<void> {
    this.#sentAt = this.#senders[0]?.socket.clock.now() ?? 0;
    const sending = this.#senders.map(({ socket, to: [address], by, fields }) =>
      (connected
        ? socket.send(this.#payload)
        : socket.sendmsg({ data: this.#payload, address, ...fields })
      ).catch((error: unknown) => {
        if (!isRetry || !this.#mayPass(error)) throw withInterfaceName(error, by);
      }),
    );
    await Promise.all(sending);
  }

  async #printFirst(tries: number): Promise<void> {
    const [answer] = await this.#receive(1);
    if (!answer) return;
    this.#answers++;
    const { source, size } = answer;
    const ms = this.#elapsedMs();
    await printAnswer(answer, ms, this.#options);
    // After a retry the answer may be for an earlier try, so the time since the last try is not a round trip.
    const time = tries === 1 ? `in ${ms.toFixed(2)} ms` : `${ms.toFixed(2)} ms after try ${tries}`;
    notice(`${count(size, "byte")} from ${source} ${time}`);
  }

  async #printMany(wanted: number): Promise<void> {
    const { timeout, hex = false, json, full } = this.#options;
    while (this.#answers < wanted) {
      const left = wanted - this.#answers;
      const batch = (await this.#receive(Math.min(batchDatagrams, left))).slice(0, left);
      if (batch.length === 0) break;
      const ms = this.#elapsedMs();
      const lines = batch.map((answer) => {
        if (json) return answerObject(answer, ms);
        const { data, source, size } = answer;
        const [from, time, bytes] = [String(source), `${ms.toFixed(2)} ms`, count(size, "byte")];
        const room = full ? Infinity : outputColumns() - [from, time, bytes, ""].join(" ").length;
        return `${onOutput("cyan", from)} ${onOutput("dim", time)} ${bytes} ${showPayload(data, hex, room)}\n`;
      });
      await print(lines.join(""));
      this.#answers += batch.length;
    }
    const time = this.#answers < wanted ? timeout : this.#elapsedMs();
    if (this.#answers > 0) notice(`${count(this.#answers, "answer")} in ${formatDuration(Math.round(time))}`);
  }

  /** Waits for an answer, and returns up to `max` of each socket. Returns none if the time is over. */
  async #receive(max: number): Promise<Datagram[]> {
    for (;;) {
      const leftMs = this.#options.timeout - this.#elapsedMs();
      if (leftMs <= 0) return [];
      const came = await this.#receiveAny(max, leftMs);
      const answers = came.filter((datagram) => this.#isAnswer(datagram));
      if (answers.length > 0) return answers;
    }
  }

  async #receiveAny(max: number, timeoutMs: number): Promise<Datagram[]> {
    try {
      return await receiveAny(this.#senders, max, timeoutMs, this.#refused.signal);
    } catch (error) {
      if (!this.#mayPass(error)) throw error;
      return [];
    }
  }

  /** Whether the error of a call may be an ICMP error that may pass. If it cannot pass, the event ends the request. */
  #mayPass(error: unknown): boolean {
    if (!(error instanceof OSError && isTransientIcmp(error.code, undefined))) return false;
    // The event, which has more details, may come later.
    this.#passing ??= { code: error.code };
    return true;
  }

  #isAnswer({ source, data }: Datagram): boolean {
    const { host, port } = this.#to;
    if (!this.#fromAnyone)
      return source.port === port && sameHost(source.host, host, kernelStack().interfaceNumber);
    // A socket that receives the group or broadcast that it sends to receives its own datagrams.
    const isOwn = ({ socket }: SenderSocket): boolean =>
      ownAddresses(anyAddress(socket.family, socket.getsockname().port))(source);
    return !(data.equals(this.#payload) && this.#senders.some(isOwn));
  }

  #elapsedMs(): number {
    return (this.#senders[0]?.socket.clock.now() ?? 0) - this.#sentAt;
  }
}

/** The datagrams that come in time to one of the sockets. */
async function receiveAny(
  senders: readonly SenderSocket[],
  max: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Datagram[]> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const waits = senders.map(({ socket }) => socket.recvMany(max, { timeoutMs, signal: either }));
  try {
    await Promise.race(waits);
  } catch (error) {
    if (error instanceof TimeoutError) return [];
    throw error;
  } finally {
    stop.abort();
    await Promise.allSettled(waits);
  }
  const outcomes = await Promise.allSettled(waits);
  return outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? outcome.value : []));
}

/** The part of an answer that is printed. */
type Answer = Pick<Datagram, "data" | "source" | "size">;

/** Prints one answer to standard output. */
async function printAnswer(answer: Answer, ms: number, options: RequestOptions): Promise<void> {
  const { hex = false, json, raw, full } = options;
  if (raw) await print(answer.data);
  else if (json) await print(answerObject(answer, ms));
  else await print(`${showPayload(answer.data, hex, full ? Infinity : outputColumns())}\n`);
}

function answerObject({ data, source, size }: Answer, ms: number): string {
  return jsonLine({ source, roundTripMs: Number(ms.toFixed(3)), size, ...payloadFields(data) });
}
