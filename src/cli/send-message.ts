/** `datagram send --message`: one message of any size, for a peer that reads messages. */

import { type Command, Option } from "commander";

import type { Endpoint } from "../core/address/address.js";
import type { Address, OSError, Socket, Unreachable } from "../index.js";
import { MessageError, type Messages, type MessagesStats, type Receipt, messages } from "../message/index.js";
import { longestBytes } from "../wire/message-frame.js";
import { formatDuration } from "../sim/link/unit-texts.js";
import { count } from "../core/ledger/count-text.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { foreignDatagrams } from "./foreign-datagrams.js";
import { type Source, readMessage } from "./input.js";
import { Progress } from "./message-progress.js";
import { duration, measuredRate, resolved, rounded, wholeNumber } from "./option-values.js";
import { type RouteOptions, isGroup } from "./route-options.js";
import { openConnected } from "./sender-sockets.js";
import { notice, stopSignal } from "./terminal.js";
import { refused } from "./unreachable.js";

/** Bytes of a chunk, the default of `messages()`. */
const chunkBytes = 1200;
/** Bytes of the longest message in such chunks. */
export const maxMessageBytes: number = longestBytes(chunkBytes);
const defaultTimeoutMs = 10_000;
/** A round trip may take so long while none was measured (RFC 6298, section 2.1). */
const unknownRttMs = 1000;

/** The options of `datagram send --message`. */
export interface MessageSendOptions extends RouteOptions {
  readonly message?: boolean;
  readonly fleeting?: boolean;
  readonly deadline?: number;
  readonly parity?: number;
  readonly channel?: number;
  readonly timeout?: number;
}

/** The options that have a meaning only with `--message`. */
const ownOptions = ["fleeting", "deadline", "parity", "channel", "timeout"] as const;
/** The options of `send` that have none with `--message`. */
const otherOptions = ["lines", "repeat", "every", "confirm", "broadcast", "everyInterface", "join"];

/** Adds the options for messages to `datagram send`. */
export function addMessageOptions(command: Command): Command {
  const readTimeout = (text: string): number => {
    const ms = duration("--timeout", 100)(text);
    if (ms <= 25_000) return ms;
    throw usage("--timeout of a message takes a time from 100ms to 25s");
  };
  return command
    .addOption(
      new Option("--message", "send one message of any size, to a peer that reads messages").conflicts(
        otherOptions,
      ),
    )
    .option("--fleeting", "with --message: send nothing again that is lost")
    .option("--deadline <time>", "with --message: give up after this time", duration("--deadline"))
    .option(
      "--parity <n>",
      "with --message: add n datagrams that repair losses",
      wholeNumber("--parity", 0, 255),
    )
    .option("--channel <n>", "with --message: the channel, 0 to 255", wholeNumber("--channel", 0, 255))
    .addOption(
      new Option(
        "--timeout <time>",
        "with --message: give up if no report comes for this time (default: 10s)",
      ).argParser(readTimeout),
    );
}

/** @throws `Failure` for an option that needs `--message`. */
export function checkMessageOptions(options: MessageSendOptions): void {
  if (options.message) return;
  const stray = ownOptions.find((name) => options[name] !== undefined);
  if (stray) throw usage(`--${stray} is an option of messages: give --message too`);
}

/** Sends the data as one message. @throws `Failure` if it did not arrive. */
export async function sendMessage(
  [where, ...more]: readonly Address[],
  source: Source,
  options: MessageSendOptions,
): Promise<void> {
  if (more.length > 0 || !where) throw usage("a message goes to one destination");
  const to = await resolved(where);
  if (isGroup(to)) throw usage(`a message is for one peer, and ${to} is a multicast group`);
  const data = await readMessage(source, maxMessageBytes);
  await using s = await openConnected(to, options);
  await new MessageSession(s, data, options).send();
}

/** One message, and what became of it. */
class MessageSession {
  readonly #to: Endpoint;
  readonly #data: Buffer;
  readonly #options: MessageSendOptions;
  readonly #messages: Messages;
  readonly #now: () => number;
  #report: Unreachable | undefined;

  constructor(s: Socket, data: Buffer, options: MessageSendOptions) {
    this.#to = s.getpeername();
    this.#data = data;
    this.#options = options;
    this.#now = () => s.clock.now();
    this.#messages = messages(s, { chunkBytes, giveUpMs: options.timeout });
    s.on("unreachable", (report) => (this.#report = report));
  }

  async send(): Promise<void> {
    const { fleeting, deadline, parity, channel } = this.#options;
    const stop = stopSignal();
    const start = this.#now();
    const peer = this.#messages.peer(this.#to);
    const progress = new Progress(this.#data.length, chunkBytes, () => peer.stats(), this.#now);
    let receipt: Receipt;
    try {
      receipt = await this.#messages.send(this.#data, this.#to, {
        mode: fleeting ? "fleeting" : "reliable",
        deadlineMs: deadline,
        parity,
        channel,
        signal: stop,
      });
    } catch (error) {
      progress.end();
      if (stop.aborted)
        throw new Failure(exitCodes.error, "interrupted before the whole message had arrived");
      throw this.#failure(error, this.#now() - start);
    }
    progress.end();
    this.#summary(receipt);
  }

  #summary({ chunks, sentChunks, repaired, elapsedMs }: Receipt): void {
    const { fleeting, deadline = 0 } = this.#options;
    if (sentChunks < chunks) {
      throw new Failure(
        exitCodes.error,
        `${sentChunks} of ${count(chunks, "chunk")} were sent in the deadline of ${formatDuration(deadline)}`,
      );
    }
    const bytes = this.#data.length;
    const time = formatDuration(rounded(elapsedMs));
    const rate = measuredRate((bytes * 8000) / Math.max(elapsedMs, 0.001));
    const repairs = fleeting ? "" : `, ${repaired} resent`;
    notice(
      `sent ${count(bytes, "byte")} to ${this.#to} in ${time} (${rate}): ${count(chunks, "chunk")}${repairs}`,
    );
    if (fleeting) notice("nothing says whether it arrived: without --fleeting, the peer does");
  }

  /** An error of the send, in terms of the command line. */
  #failure(error: unknown, elapsedMs: number): unknown {
    if (!(error instanceof MessageError)) return error;
    const [to, { chunks, arrivedChunks }] = [this.#to, error];
    const { deadline = Infinity, timeout = defaultTimeoutMs } = this.#options;
    const isLate = elapsedMs >= deadline;
    const mayBeShort = isLate && deadline < unknownRttMs;
    const timeoutMs = isLate ? deadline : timeout;
    if (error.code === "ETIMEDOUT" && arrivedChunks > 0) {
      const time = formatDuration(timeoutMs);
      const what = isLate ? `the deadline of ${time} is over` : `${to} reported nothing for ${time}`;
      return new Failure(
        exitCodes.noAnswer,
        `${what}: ${arrivedChunks} of ${count(chunks, "chunk")} had arrived`,
      );
    }
    return messageFailure(error, {
      to,
      bytes: this.#data.length,
      dropped: this.#messages.stats().dropped,
      report: this.#report,
      timeoutMs,
      silence: `lost, or nobody there reads messages${mayBeShort ? ", or the deadline is shorter than a round trip" : ""}`,
      remedy: mayBeShort ? "give a longer --deadline, or " : "",
      reader: `datagram receive ${to.port} --into <folder>`,
      limitHint:
        ": the limit is --max-size of datagram receive, or max_payload of the server of datagram gateway",
    });
  }
}

/** What is known of a message that failed. */
export interface FailedMessage {
  readonly to: Endpoint;
  readonly bytes: number;
  /** The datagrams that were dropped, by cause. */
  readonly dropped: MessagesStats["dropped"];
  readonly report: Unreachable | undefined;
  readonly timeoutMs: number;
  /** Why no report came, as far as is known. */
  readonly silence: string;
  /** What to try before the command to start, with ", or " after it. */
  readonly remedy?: string;
  /** The command to start at the peer. */
  readonly reader: string;
  readonly limitHint: string;
}

/** The error of a message of which nothing arrived, in terms of the command line. */
export function messageFailure(error: OSError, failed: FailedMessage): Error {
  const { to, bytes, dropped, report, timeoutMs, silence, remedy = "", reader, limitHint } = failed;
  const { code, limit } = error;
  const advice = `start ${reader} there`;
  if (code === "ECONNREFUSED" || code === report?.code) return refused(report ?? { code }, to);
  if (code === "EMSGSIZE") {
    const text = `${to} takes messages of at most ${limit} bytes, and this one has ${bytes}${limitHint}`;
    return new Failure(exitCodes.error, text);
  }
  if (code === "EPROTONOSUPPORT") {
    const text = `${to} sends back each datagram, and does not read messages: ${advice}`;
    return new Failure(exitCodes.error, text);
  }
  if (code !== "ETIMEDOUT") return error;
  const text =
    foreignDatagrams(dropped) > 0
      ? `${to} answers, but not as one that reads messages, or it has another version: `
      : `no report came from ${to} in ${formatDuration(timeoutMs)}: ${silence}: ${remedy}`;
  return new Failure(exitCodes.noAnswer, `${text}${advice}`);
}
