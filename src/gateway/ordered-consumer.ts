import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";

import type { Clock } from "../core/driver/driver.js";
import type { OSError } from "../core/errors/errors.js";
import type { CheckedConsume } from "./consume-options.js";
import { type Delivered, DeliveredQueue, placeOf } from "./delivered.js";
import { forbiddenError } from "./nats-connection.js";
import { ask, streamNotFound } from "./stream.js";
import { type Answer, failure, lastOf, refusal, warnOfBucket, warnOfEnd } from "./stream-state.js";
import { intersection } from "./subjects.js";

/** The largest number of messages that are asked for together: what the server documents as the largest. */
const maxBatch = 256;
/**
 * Bytes of messages that are asked for together, at least; with more in memory, none are asked for. Messages in memory have at most
 * about twice as many.
 */
const minPullBytes = 4 << 20;
/** Bytes that a message can have beside its payload and its headers: its subject and its reply subject. */
const subjectBytes = 64 << 10;
/** Milliseconds between two signs of life of the server while a request waits, and those without one that are too many. */
const heartbeatMs = 5000;
const silenceMs = 2 * heartbeatMs;
/** Milliseconds for which a request waits at the server, and for which it waits if the reading ends with the last message. */
const pullMs = 30_000;
const lastPullMs = 1000;
/** The server removes a consumer that asks for nothing for this time. */
const inactiveMs = 300_000;
/** Milliseconds between two attempts to make the consumer again, and for how long the server may refuse them. */
const retryMs = 500;
const refusedMs = 10_000;
const nsPerMs = 1_000_000;

/** Where a consumer starts, and which messages it gets. */
export interface ConsumerTerms {
  readonly stream: string;
  readonly from: "beginning" | "new" | { readonly sequence: number } | { readonly time: bigint };
  /** Whether it ends with the last message that the stream has now. */
  readonly untilNow: boolean;
  /** The wanted subjects, with wildcards. The server may deliver others too. */
  readonly filter: string | undefined;
  /** If the filter has the number of a bucket, or a peer. */
  readonly bucket: CheckedConsume["bucket"];
  readonly onWarning: CheckedConsume["onWarning"];
  /** The largest number of messages in memory. */
  readonly prefetch: number;
}

interface StreamInfo {
  readonly created: string;
  readonly config: { readonly subjects?: readonly string[] };
  readonly state: { readonly last_seq: number };
}

interface ConsumerInfo {
  readonly name: string;
  readonly num_pending?: number;
}

/**
 * Reads the messages of a stream in their order, each once, with a consumer that the server forgets afterwards. It asks for
 * messages while there is room for them. If messages are lost on the way, if the connection was cut or if the server has
 * forgotten the consumer, it makes another one, which starts after the last message that arrived.
 */
export class OrderedConsumer {
  readonly #connection: NatsConnection;
  readonly #newInbox: () => string;
  readonly #terms: ConsumerTerms;
  readonly #clock: Clock;
  readonly #queue = new DeliveredQueue();
  /** Messages that the server may still send for the request that waits there; 0: none waits. */
  #asked = 0;
  /** Messages that the request asked for. */
  #askedFor = 0;
  #subscription: Subscription | undefined;
  #inbox = "";
  #name = "";
  /** The number of the next message, in the count of the consumer. */
  #expected = 1;
  /** The number of the last message that arrived, or of the one before the first that is wanted; `undefined`: not known. */
  #last: number | undefined;
  #hasArrived = false;
  /** Whether the next message is longer than the server delivers with other messages. */
  #isNextLong = false;
  /** The subjects that the server delivers; `undefined`: all. */
  #filter: string | undefined;
  /** The last message that is read. */
  #end = Infinity;
  #created: string | undefined;
  /** When the server began to refuse another consumer. */
  #refusedSince: number | undefined;
  /** Whether the consumer is being made. Then nobody else makes one. */
  #isOpening = true;
  #isOver = false;
  #failure: Error | undefined;
  #aliveMs = 0;
  #cancelWatch: () => void = () => undefined;
  #wake: (() => void) | undefined;
  /** How often another consumer took over. */
  resumed = 0;

  constructor(connection: NatsConnection, newInbox: () => string, terms: ConsumerTerms, clock: Clock) {
    this.#connection = connection;
    this.#newInbox = newInbox;
    this.#terms = terms;
    this.#clock = clock;
    if (typeof terms.from === "object" && "sequence" in terms.from) this.#last = terms.from.sequence - 1;
  }

  /** The last message that is read; `Infinity` without an end. */
  get end(): number {
    return this.#end;
  }

  /**
   * Finds the stream and its end, and starts.
   *
   * @throws (rejects) `OSError` `ENOENT`, `ENOTSUP`, `ETIMEDOUT`, `EINVAL`, `EAGAIN`.
   */
  async open(): Promise<void> {
    const info = await this.#findStream();
    // Not "new" for the server: another consumer has to start there too.
    if (this.#terms.from === "new") this.#last = info.state.last_seq;
    this.#filter = this.#filterFor(info);
    warnOfEnd(this.#terms, info.state.last_seq);
    if (this.#filter !== undefined) await warnOfBucket(this.#connection, this.#terms, this.#filter);
    if (this.#terms.untilNow) await this.#findEnd(info);
    if (!this.#isOver) await this.#open();
    this.#isOpening = false;
    this.#ask();
    this.#watch();
  }

  /** The next message, if it is there. */
  take(): Delivered | undefined {
    const delivered = this.#queue.take();
    if (delivered) this.#ask();
    return delivered;
  }

  /** Waits for a message, or for the end. @returns whether there can be one. @throws (rejects) the failure. */
  async wait(): Promise<boolean> {
    while (this.#queue.length === 0) {
      if (this.#failure) throw this.#failure;
      if (this.#isOver) return false;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return true;
  }

  /** Makes another consumer, after the connection was lost. Requests that wait meanwhile are sent again by the client. */
  reconnected(): void {
    void this.#reopen();
  }

  /** Ends with an error, or without one. */
  stop(failure?: Error): void {
    this.#failure ??= failure;
    this.#isOver = true;
    this.#subscription?.unsubscribe();
    this.#cancelWatch();
    this.#wake?.();
  }

  /** Whether the server leaves out messages, so that the numbers of those that arrive have gaps. */
  get isFiltered(): boolean {
    return this.#filter !== undefined;
  }

  /**
   * The part of the wanted subjects that the stream takes, because the server refuses others in a filter. Before version 2.10 it takes
   * one filter only, so with several parts everything is delivered.
   */
  #filterFor({ config }: StreamInfo): string | undefined {
    const { stream, filter } = this.#terms;
    if (filter === undefined) return undefined;
    const { subjects = [] } = config;
    const parts = subjects.flatMap((each) => intersection(each, filter) ?? []);
    if (parts.length === 0)
      throw failure(
        "EINVAL",
        `the stream ${stream} takes ${subjects.join(", ") || "no subjects"}, and not ${filter}`,
      );
    return parts.length === 1 ? parts[0] : undefined;
  }

  async #findStream(): Promise<StreamInfo> {
    const { stream } = this.#terms;
    const info = await ask<Answer<StreamInfo>>("consume", this.#connection, `$JS.API.STREAM.INFO.${stream}`);
    if (info.error?.err_code === streamNotFound) throw failure("ENOENT", `there is no stream ${stream}`);
    if (info.error) throw refusal(info.error);
    this.#created ??= info.created;
    if (info.created !== this.#created || (this.#hasArrived && info.state.last_seq < (this.#last ?? 0)))
      throw failure("ESTALE", `the stream ${stream} was made again, or lost its last messages`);
    return info;
  }

  /** Finds the last message that is read. */
  async #findEnd({ state }: StreamInfo): Promise<void> {
    this.#end = state.last_seq;
    if (this.#filter !== undefined)
      this.#end = await lastOf(this.#connection, this.#terms.stream, this.#filter);
    if (this.#end <= (this.#last ?? 0)) this.stop();
  }

  /** Makes a consumer. */
  async #open(): Promise<void> {
    this.#subscription?.unsubscribe();
    const inbox = this.#newInbox();
    const { stream } = this.#terms;
    const answer = await ask<Answer<ConsumerInfo>>(
      "consume",
      this.#connection,
      `$JS.API.CONSUMER.CREATE.${stream}`,
      {
        stream_name: stream,
        config: {
          ...this.#start(),
          filter_subject: this.#filter,
          ack_policy: "none",
          mem_storage: true,
          num_replicas: 1,
          inactive_threshold: inactiveMs * nsPerMs,
        },
      },
    );
    if (answer.error) throw refusal(answer.error);
    if (this.#isOver) return;
    this.#name = answer.name;
    this.#expected = 1;
    this.#asked = 0;
    const subscription = this.#connection.subscribe(inbox, {
      callback: (error, message) => {
        if (error) {
          this.stop(forbiddenError("consume", error) ?? error);
          return;
        }
        try {
          if (subscription === this.#subscription) this.#arrived(message);
        } catch {
          // Its headers cannot be read. If the client got the error, it would read nothing more
          // (findings/nats-callback-error-deafens-the-connection.sh).
          void this.#reopen();
        }
      },
    });
    this.#subscription = subscription;
    this.#inbox = inbox;
    if (this.#terms.untilNow && (answer.num_pending ?? 0) === 0) this.stop();
  }

  #start(): object {
    const { from } = this.#terms;
    if (this.#last !== undefined)
      return { deliver_policy: "by_start_sequence", opt_start_seq: this.#last + 1 };
    if (typeof from !== "object" || !("time" in from)) return { deliver_policy: "all" };
    const ns = from.time;
    const seconds = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
    const time = `${seconds}.${String(ns % 1_000_000_000n).padStart(9, "0")}Z`;
    return { deliver_policy: "by_start_time", opt_start_time: time };
  }

  /** Asks for messages, if less than half of the prefetch is there and nothing is asked for. */
  #ask(): void {
    const room = this.#terms.prefetch - this.#queue.length;
    if (this.#asked > 0 || this.#isOver || this.#isOpening || this.#connection.isClosed()) return;
    if (2 * room < this.#terms.prefetch || this.#queue.bytes > minPullBytes) return;
    const { max_payload: maxPayload = 0 } = this.#connection.info ?? {};
    this.#asked = this.#isNextLong ? 1 : Math.min(room, maxBatch);
    this.#askedFor = this.#asked;
    this.#aliveMs = this.#clock.now();
    const expiresMs = this.#terms.untilNow ? lastPullMs : pullMs;
    const request = {
      batch: this.#asked,
      ...(this.#isNextLong ? {} : { max_bytes: Math.max(minPullBytes, maxPayload + subjectBytes) }),
      expires: expiresMs * nsPerMs,
      ...(this.#terms.untilNow ? {} : { idle_heartbeat: heartbeatMs * nsPerMs }),
    };
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#terms.stream}.${this.#name}`;
    this.#connection.publish(subject, JSON.stringify(request), { reply: this.#inbox });
  }

  #arrived(message: Msg): void {
    this.#aliveMs = this.#clock.now();
    const place = message.reply === undefined ? undefined : placeOf(message.reply);
    if (!place) {
      this.#told(message);
      return;
    }
    const { consumerSequence, sequence, storedAt } = place;
    if (consumerSequence !== this.#expected) {
      void this.#reopen();
      return;
    }
    this.#expected++;
    this.#isNextLong = false;
    this.#asked = Math.max(0, this.#asked - 1);
    if (sequence > this.#end) {
      this.stop();
      return;
    }
    // A server starts earlier if the stream does not have the wanted number yet.
    if (sequence <= (this.#last ?? 0)) {
      this.#ask();
      return;
    }
    this.#hasArrived = true;
    this.#queue.push({ message, sequence, storedAt, before: this.#last });
    this.#last = sequence;
    if (sequence === this.#end) this.stop();
    this.#ask();
    this.#wake?.();
  }

  /** The server tells of a request, with a status in the headers. */
  #told(message: Msg): void {
    const { code = 0, description = "" } = message.headers ?? {};
    if (code === 100) return;
    const isUnanswered = this.#asked === this.#askedFor;
    this.#asked = 0;
    if (code === 404 || code === 408) {
      if (this.#terms.untilNow) void this.#lookForEnd();
      else this.#ask();
    } else if (code === 409 && /message size|batch completed/i.test(description)) {
      this.#isNextLong = isUnanswered;
      this.#ask();
    } else if (code === 409 || code === 503) {
      void this.#reopen();
    } else if (code >= 400) {
      this.stop(failure("EINVAL", `the server refuses to deliver: ${code} ${description}`));
    }
  }

  /** Nothing came for a while: the last messages may be deleted meanwhile. */
  async #lookForEnd(): Promise<void> {
    try {
      const subject = `$JS.API.CONSUMER.INFO.${this.#terms.stream}.${this.#name}`;
      const info = await ask<Answer<ConsumerInfo>>("consume", this.#connection, subject);
      if (info.error) await this.#reopen();
      else if ((info.num_pending ?? 0) === 0 && this.#asked === 0) this.stop();
      else this.#ask();
    } catch {
      await this.#reopen();
    }
  }

  /** Makes another consumer, until that succeeds. */
  async #reopen(): Promise<void> {
    if (this.#isOpening || this.#isOver) return;
    this.#isOpening = true;
    this.resumed++;
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    while (!this.#isStopped) {
      try {
        await this.#findStream();
        await this.#open();
        this.#refusedSince = undefined;
        break;
      } catch (error) {
        if (this.#isFinal(error as OSError)) this.stop(error as OSError);
        else await new Promise<void>((resolve) => this.#clock.after(retryMs, resolve));
      }
    }
    this.#isOpening = false;
    this.#ask();
  }

  /** As `#isOver`, which others change while something is awaited. */
  get #isStopped(): boolean {
    return this.#isOver;
  }

  /** Whether another attempt is of no use. A cluster that elects a leader may not know its streams and consumers for a moment. */
  #isFinal({ code }: OSError): boolean {
    if (code === "ESTALE") return true;
    if (code !== "ENOENT" && code !== "EINVAL") {
      this.#refusedSince = undefined;
      return false;
    }
    const now = this.#clock.now();
    this.#refusedSince ??= now;
    return now - this.#refusedSince > refusedMs;
  }

  /** Looks at the signs of life of the server. */
  #watch(): void {
    if (this.#isOver) return;
    this.#cancelWatch = this.#clock.after(heartbeatMs, () => {
      const isSilent = this.#asked > 0 && this.#clock.now() - this.#aliveMs > silenceMs;
      if (isSilent) void this.#reopen();
      this.#watch();
    });
  }
}
