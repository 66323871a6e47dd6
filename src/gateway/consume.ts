import type { NatsConnection } from "@nats-io/transport-node";

import type { Endpoint } from "../core/address/address.js";
import { OSError } from "../core/errors/errors.js";
import { onAbort } from "../core/receive/abort.js";
import { Steps } from "../core/receive/steps.js";
import { runListener } from "../core/socket/events.js";
import { realClock } from "../kernel/clock.js";
import { type CheckedConsume, type ConsumeOptions, checkConsume } from "./consume-options.js";
import type { Delivered } from "./delivered.js";
import { connectNats, forbiddenError } from "./nats-connection.js";
import { MessageDecoder } from "./message-decoder.js";
import { OrderedConsumer } from "./ordered-consumer.js";
import type { StoredDatagram } from "./stored-datagram.js";
import { StoredReplies } from "./stored-replies.js";
import { bucketsText } from "./stream-state.js";
import { bucketOf, peerToken } from "./subjects.js";

/** What was read of a stream so far. */
export interface ConsumeStats {
  /** Datagrams that the iteration has returned. */
  readonly datagrams: number;
  /** Datagrams of other ports and peers, which the server has delivered too. They were left out. */
  readonly filtered: number;
  /** Messages that no gateway has written: their headers are missing or impossible. They were left out. */
  readonly foreign: number;
  /** Messages that are deleted between those that were read. `undefined` if the server delivers a part of the stream only. */
  readonly missing: number | undefined;
  /**
   * The number of the last message of which all datagrams were read; `undefined` before the first one. To go on:
   * `from: { sequence: … + 1 }`.
   */
  readonly sequence: number | undefined;
  /** How often the reading went on after a lost connection or lost messages. Nothing is doubled or lost by it. */
  readonly resumed: number;
}

/**
 * The datagrams of a stream, for one `for await`. (`AsyncIterableIterator` has one type parameter before TypeScript 5.6.)
 */
export interface StreamReading extends AsyncIterator<StoredDatagram, undefined> {
  /** Returns this reading. */
  [Symbol.asyncIterator](): this;
  /**
   * Connects, finds the stream, and starts. Without it, the first step of the iteration does so. A second call changes nothing.
   *
   * @throws (rejects) the errors of `consume`.
   */
  open(): Promise<void>;
  /** Returns counts of what was read so far. */
  stats(): ConsumeStats;
  /** Ends the iteration and closes the connection. A `break` in a `for await` calls it. */
  return(): Promise<IteratorResult<StoredDatagram, undefined>>;
}

const end: IteratorResult<StoredDatagram, undefined> = { done: true, value: undefined };

/**
 * Reads the datagrams that gateways have stored in a stream of NATS JetStream, in the order of the stream
 * (`docs/consume.md`). It connects at the first step of the iteration. Needs the package `@nats-io/transport-node`.
 *
 * @throws `TypeError`, `RangeError` for wrong options. The iteration fails with `OSError`: `ECONNREFUSED` if no server answers or
 *   it refuses the user; `ENOENT` if the stream does not exist; `ENOTSUP` if the server has no JetStream; `ESTALE` if the stream was
 *   made again, or lost its last messages, while it was read; `EINVAL` if the server refuses; `EAGAIN` if it cannot now;
 *   `ETIMEDOUT` if it does not answer while the reading opens; and with `signal.reason`.
 *   `Error` `ERR_MODULE_NOT_FOUND` if the package is missing.
 */
export function consume(options: ConsumeOptions): StreamReading {
  return new NatsReading(checkConsume(options));
}

class NatsReading implements StreamReading {
  readonly #options: CheckedConsume;
  readonly #decoder = new MessageDecoder((subject) => this.#repliesTo(subject));
  #opening: Promise<OrderedConsumer> | undefined;
  #consumer: OrderedConsumer | undefined;
  #connection: NatsConnection | undefined;
  /** What answers the datagrams of the last message. */
  #replies: StoredReplies | undefined;
  #forgetSignal: (() => void) | undefined;
  readonly #steps = new Steps();
  #isOver = false;
  /** The datagrams of the last message, the index of the next one, and their subject. */
  #bundle: readonly StoredDatagram[] = [];
  #next = 0;
  #subject = "";
  /** Sources whose bucket was checked. */
  readonly #checked = new WeakSet<Endpoint>();
  #hasWarned = false;
  #datagrams = 0;
  #filtered = 0;
  #foreign = 0;
  #missing = 0;
  #sequence: number | undefined;

  constructor(options: CheckedConsume) {
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<StoredDatagram, undefined>> {
    const value =
      this.#steps.isBusy || this.#isOver || this.#options.signal?.aborted ? undefined : this.#take();
    return value ? Promise.resolve({ done: false, value }) : this.#steps.run(() => this.#read());
  }

  async open(): Promise<void> {
    if (this.#isOver) return;
    try {
      this.#options.signal?.throwIfAborted();
      await (this.#opening ??= this.#connect());
    } catch (error) {
      await this.#close();
      throw error;
    }
    // It may have ended while it connected.
    if (this.#isEnded) await this.#close();
  }

  async return(): Promise<IteratorResult<StoredDatagram, undefined>> {
    // A step that waits for a message ends by it.
    await this.#close();
    return end;
  }

  stats(): ConsumeStats {
    const isWhole = !this.#consumer?.isFiltered;
    return Object.freeze({
      datagrams: this.#datagrams,
      filtered: this.#filtered,
      foreign: this.#foreign,
      missing: isWhole ? this.#missing : undefined,
      sequence: this.#sequence,
      resumed: this.#consumer?.resumed ?? 0,
    });
  }

  async #read(): Promise<IteratorResult<StoredDatagram, undefined>> {
    if (this.#isOver) return end;
    const { signal } = this.#options;
    try {
      signal?.throwIfAborted();
      const consumer = await (this.#opening ??= this.#connect());
      do {
        const value = this.#take();
        if (value) return { done: false, value };
      } while (await consumer.wait());
    } catch (error) {
      await this.#close();
      throw error;
    }
    this.#countMissing(this.#consumer?.end ?? Infinity);
    await this.#close();
    return end;
  }

  /** The next datagram of the messages that are there. */
  #take(): StoredDatagram | undefined {
    for (;;) {
      const datagram = this.#bundle[this.#next++];
      if (!datagram) {
        const delivered = this.#consumer?.take();
        if (!delivered) return undefined;
        this.#open(delivered);
        continue;
      }
      // The bundle was read when its last datagram was.
      if (this.#next === this.#bundle.length) this.#sequence = datagram.sequence;
      if (this.#options.isWanted(datagram.source, this.#subject)) {
        this.#datagrams++;
        return datagram;
      }
      this.#filtered++;
      this.#checkBucket(datagram.source);
    }
  }

  /** Warns if a datagram is in a bucket that is not its own. Then those of the chosen peer can be in others, too. */
  #checkBucket(source: Endpoint): void {
    const { bucket, onWarning } = this.#options;
    if (!bucket || bucket.buckets === 0 || this.#hasWarned || this.#checked.has(source)) return;
    this.#checked.add(source);
    const last = this.#subject.slice(this.#subject.lastIndexOf(".") + 1);
    const own = bucketOf(peerToken(source), bucket.buckets);
    if (!/^\d+$/.test(last) || Number(last) === own) return;
    this.#hasWarned = true;
    const where = `${source} is in bucket ${last}, and with ${bucketsText(bucket.buckets)} it would be in ${own}`;
    const message = `${where}: datagrams of the chosen peer can be in another bucket, so leave the number out`;
    runListener(() => onWarning({ code: "STREAM_BUCKETS", message }));
  }

  /** Reads the datagrams of a message. */
  #open({ message, sequence, before, storedAt }: Delivered): void {
    const missing = this.#consumer?.isFiltered ? undefined : before === undefined ? 0 : sequence - before - 1;
    this.#missing += missing ?? 0;
    this.#bundle = this.#decoder.decode(message, { sequence, storedAt }, missing);
    this.#next = 0;
    this.#subject = message.subject;
    if (this.#bundle.length > 0) return;
    this.#foreign++;
    this.#sequence = sequence;
  }

  /** What answers the datagrams of a subject; `undefined` if it is none of the gateways. */
  #repliesTo(subject: string): StoredReplies | undefined {
    const base = subject.slice(0, subject.lastIndexOf("."));
    if (this.#replies?.base === base) return this.#replies;
    const { prefix } = this.#options;
    // Anybody may publish to the stream, so nothing of a subject but a port becomes a part of another subject.
    if (
      !this.#connection ||
      !base.startsWith(`${prefix}.`) ||
      !/^\d{1,5}$/.test(base.slice(prefix.length + 1))
    )
      return undefined;
    return (this.#replies = new StoredReplies(this.#connection, base));
  }

  /** Counts the deleted messages at the end. */
  #countMissing(last: number): void {
    if (last !== Infinity && this.#sequence !== undefined && last > this.#sequence)
      this.#missing += last - this.#sequence;
  }

  async #connect(): Promise<OrderedConsumer> {
    const { servers, client: options, signal } = this.#options;
    const { connection, newInbox } = await connectNats("consume", servers, options);
    this.#connection = connection;
    const consumer = new OrderedConsumer(connection, newInbox, this.#options, realClock);
    this.#consumer = consumer;
    if (this.#isOver) consumer.stop();
    this.#forgetSignal = signal && onAbort(signal, () => consumer.stop(signal.reason as Error));
    if (signal?.aborted) consumer.stop(signal.reason as Error);
    void this.#watch(connection, consumer);
    await consumer.open();
    return consumer;
  }

  /** Tells of the connection, and goes on after it was lost. */
  async #watch(connection: NatsConnection, consumer: OrderedConsumer): Promise<void> {
    const { onConnection } = this.#options;
    void connection.closed().then((error) => {
      const isClosed = !(error instanceof Error);
      const text = isClosed ? "the connection to the server was closed" : error.message;
      if (!this.#isOver) consumer.stop(new OSError("ECONNRESET", { syscall: "consume", text, cause: error }));
    });
    for await (const status of connection.status()) {
      if (this.#isOver) return;
      const { type } = status;
      if (type === "disconnect") runListener(() => onConnection?.("disconnected"));
      // A request for messages gets no other answer.
      const forbidden = type === "error" ? forbiddenError("consume", status.error) : undefined;
      if (forbidden) consumer.stop(forbidden);
      if (type !== "reconnect") continue;
      runListener(() => onConnection?.("connected"));
      consumer.reconnected();
    }
  }

  /** As `#isOver`, which others change while something is awaited. */
  get #isEnded(): boolean {
    return this.#isOver;
  }

  async #close(): Promise<void> {
    this.#isOver = true;
    this.#forgetSignal?.();
    this.#consumer?.stop();
    await this.#connection?.close();
  }
}
