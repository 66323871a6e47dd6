import { Buffer } from "node:buffer";

import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";

import { assert } from "../core/assert.js";
import { OSError } from "../core/errors/errors.js";
import { type Datagram, routeOf } from "../core/receive/datagram.js";
import type { Socket } from "../core/socket/socket.js";
import { type AnswerResult, notSent } from "./answer-results.js";
import { AnswerSender } from "./answer-sender.js";
import type { AnswerTaker } from "./broker.js";
import type { AnswerStats } from "./gateway-stats.js";
import type { CheckedAnswers } from "./options.js";
import { Owners } from "./owners.js";
import { SeenPeers } from "./seen-peers.js";
import { intersection, peerOfToken } from "./subjects.js";

/** The largest number of bytes of a payload over UDP. IPv4 takes 20 bytes less: the socket says so. */
const maxPayloadBytes = 65_527;
/** Bytes of payloads that may wait to be sent. */
const maxHeldBytes = 64 << 20;
/** Milliseconds that another gateway has for an answer beside the wait for ICMP errors. */
const orderMs = 1000;
/** Milliseconds that the end of a gateway waits for the server, twice at most. */
const closeMs = 1000;
/** Codes that are counted one by one. Other gateways choose some of them. */
const maxCodes = 64;

const unknown: AnswerResult = {
  sent: null,
  code: "ETIMEDOUT",
  error: "the gateway that saw the peer last did not say whether it sent the answer",
};
const noneSaid: AnswerResult = notSent(
  "ETIMEDOUT",
  "no gateway that answers has seen this peer, and another one did not say whether it has",
);
const ending: AnswerResult = notSent("ECANCELED", "the gateway ends");
/** It is counted, and nobody is told. */
const badReply: AnswerResult = notSent(
  "EINVAL",
  "the reply subject is one of the server, of gateways or of the stream",
);

/** The subjects of answers. @param start `<prefix>.<port>`. */
export function answerSubjects(start: string): string {
  return `${start}.*.reply`;
}

/** Sends answers to peers, which anybody may publish to `<prefix>.<port>.<peer>.reply`. */
export class Answers implements AnswerTaker {
  readonly #connection: NatsConnection;
  readonly #socket: Socket;
  readonly #options: CheckedAnswers;
  readonly #start: string;
  readonly #prefix: string;
  readonly #taken: readonly string[];
  readonly #peers: SeenPeers;
  readonly #owners: Owners;
  readonly #sender: AnswerSender;
  readonly #notSentBy = new Map<string, number>();
  #requests = 0;
  #sent = 0;
  #notSent = 0;
  #unknown = 0;
  #pending = 0;
  /** Answers for other gateways that are not settled yet. */
  #ordered = 0;
  #byOthers = 0;
  #unreachable = 0;
  #heldBytes = 0;
  #unreadable = 0;
  #isClosing = false;
  #requesters: Subscription | undefined;
  #whenSettled: (() => void) | undefined;
  #fail: (error: Error) => void = () => undefined;

  /**
   * @param start `<prefix>.<port>`.
   * @param run names this gateway.
   * @param taken the subjects of the stream, with wildcards.
   */
  constructor(
    s: Socket,
    connection: NatsConnection,
    start: string,
    run: string,
    options: CheckedAnswers,
    taken: readonly string[],
  ) {
    this.#socket = s;
    this.#connection = connection;
    this.#options = options;
    this.#start = start;
    this.#prefix = start.slice(0, start.lastIndexOf("."));
    this.#taken = taken;
    this.#peers = new SeenPeers(options.maxPeers, options.seenWithinMs);
    this.#owners = new Owners(connection, s.clock, start, run, (token) => this.#seenMs(token));
    this.#sender = new AnswerSender(s, options.icmpWaitMs);
  }

  start(fail: (error: Error) => void): void {
    this.#fail = fail;
    const subscribe = (subject: string, listener: (message: Msg) => void, queue?: string): Subscription =>
      this.#connection.subscribe(subject, {
        ...(queue === undefined ? {} : { queue }),
        callback: (error, message) => {
          if (error) {
            const text = `${error.message}: allow ${subject}, or switch answers off`;
            if (!this.#isClosing) fail(new OSError("EACCES", { syscall: "gateway", text, cause: error }));
            return;
          }
          try {
            listener(message);
          } catch {
            // A stranger wrote it: it must not end the gateway. If it was thrown to the client, that would read no more.
            this.#unreadable++;
          }
        },
      });
    for (const [subject, listener] of this.#owners.subscriptions((token, message) =>
      this.#takeOrder(token, message),
    ))
      subscribe(subject, listener);
    // The server gives each message to one gateway of the queue.
    this.#requesters = subscribe(answerSubjects(this.#start), (message) => this.#take(message), "gateways");
    this.#owners.start();
  }

  see(token: string, datagram: Datagram, nowMs: number): void {
    this.#peers.see(token, datagram.source, routeOf(datagram), nowMs);
  }

  reconnected(): void {
    if (!this.#isClosing) this.#owners.start();
  }

  tick(): void {
    this.#peers.prune(this.#socket.clock.now());
  }

  async close(): Promise<void> {
    // From now on the server gives answers to other gateways. Those that are on their way come before drain() ends.
    await this.#atMost(closeMs, this.#requesters?.drain());
    this.#isClosing = true;
    this.#owners.close();
    this.#sender.close();
    if (this.#pending + this.#ordered > 0)
      await new Promise<void>((resolve) => (this.#whenSettled = resolve));
    await this.#atMost(closeMs, this.#connection.flush());
  }

  stats(): AnswerStats {
    this.#check();
    return Object.freeze({
      requests: this.#requests,
      sent: this.#sent,
      notSent: this.#notSent,
      notSentBy: Object.freeze(Object.fromEntries(this.#notSentBy)),
      unknown: this.#unknown,
      pending: this.#pending,
      byOthers: this.#byOthers,
      unreachable: this.#unreachable,
      peers: this.#peers.size,
      forgotten: this.#peers.forgotten,
      unreadable: this.#unreadable,
    });
  }

  /** Takes an answer of a requester. */
  #take({ subject, data, reply = "" }: Msg): void {
    this.#requests++;
    this.#pending++;
    const token = subject.slice(this.#start.length + 1, -".reply".length);
    const answered = this.#isReply(reply) ? this.#answer(token, data) : Promise.resolve(badReply);
    const settled = answered.then(
      (result) => {
        this.#pending--;
        this.#count(result);
        if (result !== badReply) this.#tell(reply, result);
      },
      (error: unknown) => {
        this.#pending--;
        this.#count(unknown);
        throw error;
      },
    );
    settled.catch(this.#fail).finally(() => this.#settle());
  }

  /** Takes an answer of another gateway, which was asked for it by a requester. */
  #takeOrder(token: string, { data, reply = "" }: Msg): void {
    const refusal = this.#refuse(token, data);
    if (refusal) {
      this.#tell(reply, refusal);
      return;
    }
    this.#ordered++;
    this.#heldBytes += data.length;
    const sent = this.#send(token, Buffer.from(data)).then((result) => this.#tell(reply, result));
    sent.catch(this.#fail).finally(() => {
      this.#ordered--;
      this.#heldBytes -= data.length;
      this.#settle();
    });
  }

  /** Waits for the server, which may be away. */
  async #atMost(ms: number, wait: Promise<void> | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#socket.clock.after(ms, resolve);
      // It rejects if the connection is lost: then nobody can be told anything.
      void Promise.allSettled([wait]).then(() => {
        cancel();
        resolve();
      });
    });
  }

  #settle(): void {
    if (this.#pending + this.#ordered === 0) this.#whenSettled?.();
  }

  async #answer(token: string, data: Uint8Array): Promise<AnswerResult> {
    const refusal = this.#refuse(token, data);
    if (refusal) return refusal;
    // A copy: the memory belongs to the client.
    const payload = Buffer.from(data);
    this.#heldBytes += payload.length;
    try {
      const { owners, silent } = await this.#owners.ask(token);
      if (this.#isClosing) return ending;
      for (const { run } of owners) {
        if (run === this.#owners.run) return await this.#send(token, payload);
        const result = await this.#owners.order(run, token, payload, this.#options.icmpWaitMs + orderMs);
        if (result === undefined) return unknown;
        // It has died since it said that it saw the peer: the next one sends.
        if (result === "gone") continue;
        if (result.sent === true) this.#byOthers++;
        return result;
      }
      return silent === 0 ? this.#notSeen() : noneSaid;
    } finally {
      this.#heldBytes -= payload.length;
    }
  }

  async #send(token: string, payload: Uint8Array): Promise<AnswerResult> {
    const peer = this.#peers.find(token, this.#socket.clock.now());
    if (!peer) return this.#notSeen();
    return await this.#sender.send(token, peer, payload);
  }

  /** Why an answer cannot be taken; `undefined` if it can. */
  #refuse(token: string, data: Uint8Array): AnswerResult | undefined {
    if (this.#isClosing) return ending;
    try {
      peerOfToken(token);
    } catch {
      return notSent("EINVAL", "the subject has no peer such as 10-0-0-7_9000 before .reply");
    }
    if (data.length > maxPayloadBytes)
      return notSent("EMSGSIZE", `${data.length} bytes do not fit into a datagram`);
    if (
      this.#pending + this.#ordered > this.#options.maxPending ||
      this.#heldBytes + data.length > maxHeldBytes
    )
      return notSent("EBUSY", "too many answers at once: publish it again later");
    return undefined;
  }

  #notSeen(): AnswerResult {
    const { seenWithinMs } = this.#options;
    return notSent("ENOENT", `no gateway has seen this peer in the last ${seenWithinMs / 1000} s`);
  }

  #seenMs(token: string): number | undefined {
    return this.#isClosing ? undefined : this.#peers.find(token, this.#socket.clock.now())?.seenMs;
  }

  /**
   * Whether a result may be published there: not below the prefix, and not where the stream would store it. A requester may have
   * fewer rights than the gateway: with the reply subject `$JS.API.STREAM.DELETE.cameras`, the gateway would delete the stream
   * for it.
   */
  #isReply(reply: string): boolean {
    if (/[\s*>]/.test(reply) || reply.startsWith("$") || reply.startsWith(`${this.#prefix}.`)) return false;
    return reply === "" || !this.#taken.some((pattern) => intersection(pattern, reply) !== undefined);
  }

  #tell(reply: string, result: AnswerResult): void {
    if (reply !== "" && !this.#connection.isClosed()) this.#connection.publish(reply, JSON.stringify(result));
  }

  #count({ sent, code = "UNKNOWN", icmp }: AnswerResult): void {
    if (sent === true) {
      this.#sent++;
      if (typeof icmp === "object" && icmp !== null) this.#unreachable++;
    } else if (sent === null) {
      this.#unknown++;
    } else {
      this.#notSent++;
      const counted = this.#notSentBy.has(code) || this.#notSentBy.size < maxCodes ? code : "OTHER";
      this.#notSentBy.set(counted, (this.#notSentBy.get(counted) ?? 0) + 1);
    }
    this.#check();
  }

  #check(): void {
    const accounted = this.#sent + this.#notSent + this.#unknown + this.#pending;
    assert(accounted === this.#requests, "each answer is sent, not sent, unknown or pending");
  }
}
