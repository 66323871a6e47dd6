import { randomBytes } from "node:crypto";

import { assert } from "../core/assert.js";
import { OSError, wrongType } from "../core/errors/errors.js";
import type { Datagram } from "../core/receive/datagram.js";
import { runListener } from "../core/socket/events.js";
import { Socket } from "../core/socket/socket.js";
import { type Messages, messages } from "../message/messages.js";
import { Answers, answerSubjects } from "./answers.js";
import type { AnswerTaker, Broker } from "./broker.js";
import { BundleEncoder } from "./bundle-encoder.js";
import type { Bundler } from "./bundler.js";
import { FolderBroker } from "./folder-broker.js";
import { FolderFiles } from "./folder-files.js";
import { type CheckedFolder, type FolderOptions, checkFolder } from "./folder-options.js";
import type { GatewayStats } from "./gateway-stats.js";
import { MessageEncoder } from "./message-encoder.js";
import { NatsBroker } from "./nats-broker.js";
import { connectNats } from "./nats-connection.js";
import { type CheckedOptions, type GatewayOptions, checkOptions } from "./options.js";
import { Outbox } from "./outbox.js";
import { PacketEncoder } from "./packet-encoder.js";
import { openStream } from "./stream.js";

/** The largest number of datagrams that are read together. Acknowledgements are read between two batches. */
const batchDatagrams = 256;
/** Milliseconds between two looks at the losses and at the datagrams without an acknowledgement. */
const tickMs = 1000;
/** Bytes that the headers of a message may have. */
const maxHeadersBytes = 1024;
/** Messages can be confirmed as long as any sender waits. */
const confirmMs = 25_000;
/** The window of a folder: a flush of a slow disk takes as long as this many datagrams take to arrive. */
const folderLimits = {
  maxUnacknowledged: 32_768,
  // Nothing is sent again.
  ackTimeoutMs: Infinity,
  giveUpMs: 0,
  duplicateWindowMs: 0,
} as const;

type Encoder = MessageEncoder | Bundler;

/** What a running gateway needs of its options. */
type RunOptions = Pick<CheckedOptions, "messages" | "drainMs" | "ackTimeoutMs" | "onLosses" | "onConnection">;

/**
 * Puts every datagram that a socket receives into a stream of NATS JetStream (`docs/gateway.md`), which needs the package
 * `@nats-io/transport-node`; or with `into`, into capture files of a folder, which needs no package.
 *
 * @param socket bound. While the gateway runs, no other call may read it. The gateway does not close it.
 * @returns the gateway, after it has begun to receive, and the server gives it answers to peers.
 * @throws (rejects) `OSError`: `ECONNREFUSED` if no server answers or it refuses the user; `ENOENT` if the stream does not exist;
 *   `EINVAL` if the socket is not bound, or if the stream does not take the subjects; `ENOTSUP` if the server has no JetStream;
 *   `ETIMEDOUT`; `EBADF`; with `into` those of the file system. `Error` `ERR_MODULE_NOT_FOUND` if the package is missing.
 *   `TypeError`, `RangeError` for wrong options.
 */
export async function gateway(socket: Socket, options: GatewayOptions | FolderOptions): Promise<Gateway> {
  if (!(socket instanceof Socket)) throw wrongType("socket", "a Socket", socket);
  const open = isFolder(options) ? folderOpener(checkFolder(options)) : serverOpener(checkOptions(options));
  if (socket.getsockname().port === 0)
    throw new OSError("EINVAL", { syscall: "gateway", text: "the socket is not bound: call bind first" });
  return await open(socket);
}

function isFolder(options: GatewayOptions | FolderOptions): options is FolderOptions {
  return typeof (options as unknown) === "object" && (options as unknown) !== null && "into" in options;
}

/** Prepares a gateway to a folder. */
function folderOpener(checked: CheckedFolder): (socket: Socket) => Gateway {
  return (socket) => {
    const { clock } = socket;
    const local = socket.getsockname();
    const broker = new FolderBroker(new FolderFiles(checked, local, clock), clock);
    const encoder = new PacketEncoder(clock, local);
    const outbox = new Outbox(clock, { ...checked, ...folderLimits }, encoder);
    const run = { ...checked, ...folderLimits, messages: false, onConnection: undefined };
    return new Gateway(socket, run, outbox, encoder, undefined, broker);
  };
}

/** Prepares a gateway to a server. */
function serverOpener(checked: CheckedOptions): (socket: Socket) => Promise<Gateway> {
  return async (socket) => {
    const start = `${checked.prefix}.${socket.getsockname().port}`;
    const link = await connectNats("gateway", checked.servers, checked.client);
    try {
      const { connection } = link;
      const never = checked.answers && answerSubjects(start);
      const { duplicateWindowMs, taken } = await openStream(
        connection,
        socket.clock,
        checked.stream,
        `${start}.*`,
        never,
        checked.create,
      );
      const broker = new NatsBroker(link, checked.stream, start);
      const run = randomBytes(9).toString("base64url");
      const answers = checked.answers && new Answers(socket, connection, start, run, checked.answers, taken);
      const { bundle, buckets = 1 } = checked;
      const bundles = bundle ? new BundleEncoder(start, run, buckets) : undefined;
      const encoder = bundles ?? new MessageEncoder(start, run, checked.buckets);
      const outbox = new Outbox(socket.clock, { ...checked, duplicateWindowMs }, bundles);
      const running = new Gateway(socket, checked, outbox, encoder, answers, broker);
      // Until the server has read the subscriptions, it refuses answers with "no responders". The client rejects this if the
      // connection is lost, and subscribes again after it has reconnected.
      if (answers) await Promise.race([connection.flush(), running.closed]).catch(() => undefined);
      return running;
    } catch (error) {
      await link.connection.close();
      throw error;
    }
  };
}

/** A running gateway, made by `gateway()`. While it runs, it keeps the process alive. */
export class Gateway implements AsyncDisposable {
  /**
   * Resolves when the gateway has ended and the connection is closed. Rejects if the gateway failed: the socket could not be read,
   * or the client gave up.
   */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #broker: Broker;
  readonly #outbox: Outbox;
  readonly #encoder: Encoder;
  readonly #answers: AnswerTaker | undefined;
  readonly #options: RunOptions;
  readonly #stop = new AbortController();
  #failure: Error | undefined;
  /** Ends the wait for what cannot come any more. */
  #tellFailed: () => void = () => undefined;
  readonly #failed = new Promise<void>((resolve) => (this.#tellFailed = resolve));
  #cancelTick: () => void;
  #messages: Messages | undefined;

  /** @internal */
  constructor(
    socket: Socket,
    options: RunOptions,
    outbox: Outbox,
    encoder: Encoder,
    answers: AnswerTaker | undefined,
    broker: Broker,
  ) {
    this.#socket = socket;
    this.#options = options;
    this.#broker = broker;
    this.#outbox = outbox;
    this.#encoder = encoder;
    this.#answers = answers;
    broker.listen({
      stored: (number, isDuplicate) => outbox.stored(number, isDuplicate),
      refused: (number, reason) => outbox.refused(number, reason),
      noStream: (number) => outbox.noStream(number),
      forbidden: (subject) => outbox.forbidden(subject),
      connected: (isConnected) => {
        // What was shed until now was shed in the old state of the connection.
        this.#reportLosses();
        outbox.connected(isConnected);
        if (isConnected) answers?.reconnected();
        runListener(() => options.onConnection?.(isConnected ? "connected" : "disconnected"));
      },
      failed: (error) => this.#end(error),
    });
    outbox.start(broker);
    answers?.start((error) => this.#end(error));
    this.#cancelTick = this.#startTicks();
    this.closed = this.#run();
    // A program that does not look at it learns of the failure from close().
    this.closed.catch(() => undefined);
  }

  /** The counts now. */
  stats(): GatewayStats {
    const { droppedKernel } = this.#socket.stats();
    return Object.freeze({
      ...this.#outbox.stats(),
      droppedKernel,
      messages: this.#messages?.stats(),
      answers: this.#answers?.stats(),
      folder: this.#broker.files?.(),
    });
  }

  /** Ends reading, waits up to `drainMs` for acknowledgements, and closes the connection. Returns `closed`. */
  close(): Promise<void> {
    this.#stop.abort();
    return this.closed;
  }

  /** Calls `close()`, and waits for it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    try {
      if (this.#options.messages) await this.#readMessages();
      else await this.#read();
    } catch (error) {
      this.#end(error as Error);
    }
    const answered = this.#answers?.close();
    if (this.#failure === undefined)
      await Promise.race([Promise.all([this.#drain(), answered]), this.#failed]);
    await this.#messages?.close();
    this.#cancelTick();
    this.#outbox.end();
    this.#reportLosses();
    await this.#broker.close();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Reads until `close()`, until the socket is closed, or until the gateway fails. */
  async #read(): Promise<void> {
    const { signal } = this.#stop;
    try {
      for await (const batch of this.#socket.batches({ max: batchDatagrams, signal, timeoutMs: Infinity })) {
        // Never waits for the server: what it cannot take is shed.
        this.#add(batch, this.#socket.clock.now());
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #add(batch: readonly Datagram[], nowMs: number): void {
    const [outbox, encoder, answers] = [this.#outbox, this.#encoder, this.#answers];
    for (const datagram of batch) {
      const peer = encoder.tokenOf(datagram.source);
      answers?.see(peer, datagram, nowMs);
      if (outbox.shedsAtOnce(peer)) continue;
      if (encoder instanceof MessageEncoder) outbox.add(encoder.encode(datagram, outbox.received + 1));
      else outbox.addToBundle(datagram);
    }
    outbox.flush();
  }

  /** Reads whole messages until `close()` or until the socket is closed. They stay open, because stored ones are confirmed. */
  async #readMessages(): Promise<void> {
    const { signal } = this.#stop;
    const encoder = this.#encoder;
    assert(encoder instanceof MessageEncoder, "whole messages have an encoder");
    // The sender of a larger message learns from its first chunk that nobody takes it.
    const maxSourceBytes = Math.max(1, Math.min(2 << 20, this.#broker.maxMessageBytes - maxHeadersBytes));
    const incoming = messages(this.#socket, { confirm: "program", confirmMs, maxSourceBytes });
    this.#messages = incoming;
    const read = async (): Promise<void> => {
      for await (const message of incoming) {
        // What is not read is not confirmed, and its sender gets an error.
        if (signal.aborted) return;
        this.#outbox.add(encoder.encodeMessage(message, this.#outbox.received + 1));
      }
    };
    const stopped = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([read(), stopped]);
  }

  /** Waits until all datagrams are settled or the gateway has failed, for `drainMs` at most. */
  async #drain(): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      cancel = this.#socket.clock.after(this.#options.drainMs, resolve);
    });
    await Promise.race([late, this.#outbox.empty(), this.#failed]);
    cancel();
  }

  #end(error: Error): void {
    this.#failure ??= error;
    this.#stop.abort();
    this.#tellFailed();
  }

  #startTicks(): () => void {
    const periodMs = Math.min(tickMs, this.#options.ackTimeoutMs);
    let toldMs = this.#socket.clock.now();
    const tick = (): void => {
      this.#cancelTick = this.#socket.clock.after(periodMs, tick);
      this.#outbox.tick();
      this.#answers?.tick();
      const now = this.#socket.clock.now();
      if (now - toldMs < tickMs) return;
      toldMs = now;
      this.#reportLosses();
    };
    return this.#socket.clock.after(periodMs, tick);
  }

  #reportLosses(): void {
    const losses = this.#outbox.takeLosses();
    if (losses !== undefined) runListener(() => this.#options.onLosses?.(losses));
  }
}
