import { Buffer } from "node:buffer";

import type { Msg, NatsConnection } from "@nats-io/transport-node";

import type { Clock } from "../core/driver/driver.js";
import { statusOf } from "./nats-broker.js";
import { type AnswerResult, parseObject, parseResult } from "./answer-results.js";

/** Milliseconds between two greetings. */
const helloMs = 1000;
/** Milliseconds after the last greeting of a gateway, after which it is not asked any more. */
const goneMs = 3500;
/** Milliseconds that an answer waits for what the other gateways say. A gateway that hangs, or whose machine is away, costs this time. */
const askMs = 1000;
/** Milliseconds after the first greeting, in which the others greet back. */
const settleMs = 500;
/** The largest number of other gateways. */
const maxOthers = 64;
/** Bytes of a number of milliseconds as text. */
const maxAgeBytes = 32;
/** Gateways are named by random text of this form. */
const runForm = /^[\w-]{12}$/;

/** A gateway that has seen a peer. */
export interface Owner {
  /** Its name; that of this gateway too. */
  readonly run: string;
  /** Milliseconds since the last datagram of the peer. */
  readonly ageMs: number;
}

/** What the gateways of a port say about a peer. */
export interface Found {
  /** Those that have seen it, the one that saw it last first. */
  readonly owners: readonly Owner[];
  /** The number of gateways that have not said whether they have seen it. */
  readonly silent: number;
}

/** A question to other gateways. */
interface Question {
  /** Those that have not answered. */
  readonly waitsFor: Set<string>;
  readonly owners: Owner[];
  readonly end: () => void;
}

/**
 * Finds which gateway of a port saw a peer last: asks all of them, when an answer is to be sent. Nothing is written while datagrams
 * arrive. Each gateway tells how long ago it read the last datagram of the peer, so their clocks need not agree.
 *
 * Subjects, below `<prefix>.<port>.gateways`: `all` is for greetings. `<run>.ask` is for questions, and `<run>.send.<peer>` for answers
 * that this gateway is to send. `<run>.bid.<number>.<run>` is for what a gateway says to a question, and `<run>.done.<number>` for what
 * became of an answer. The server itself says there that a gateway is gone, as soon as its connection is closed.
 */
export class Owners {
  /** The name of this gateway. */
  readonly run: string;
  readonly #connection: NatsConnection;
  readonly #clock: Clock;
  readonly #base: string;
  /** When a peer was seen here, on the clock. */
  readonly #seenMs: (token: string) => number | undefined;
  /** The other gateways, and when they greeted last. */
  readonly #others = new Map<string, number>();
  readonly #questions = new Map<number, Question>();
  readonly #orders = new Map<number, (result: AnswerResult | "gone" | undefined) => void>();
  #number = 0;
  /** Until then, other gateways may exist that have not greeted yet. */
  #settledMs: number;
  #cancelHello: () => void = () => undefined;
  /** Ends the wait for the first greetings. */
  readonly #settles = new Set<() => void>();
  #isClosed = false;

  constructor(
    connection: NatsConnection,
    clock: Clock,
    base: string,
    run: string,
    seenMs: (token: string) => number | undefined,
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.#base = `${base}.gateways`;
    this.run = run;
    this.#seenMs = seenMs;
    this.#settledMs = clock.now() + settleMs;
  }

  /** The subjects that this gateway subscribes to, with their listeners. */
  subscriptions(send: (token: string, message: Msg) => void): [string, (message: Msg) => void][] {
    const own = `${this.#base}.${this.run}`;
    return [
      [`${this.#base}.all`, (message) => this.#heard(message)],
      [`${own}.ask`, (message) => this.#asked(message)],
      [`${own}.bid.*.*`, (message) => this.#bid(message)],
      [`${own}.done.*`, (message) => this.#done(message)],
      [`${own}.send.*`, (message) => send(lastToken(message.subject), message)],
    ];
  }

  /** Begins to greet. After a reconnect, too: other gateways may have come meanwhile. */
  start(): void {
    this.#settledMs = this.#clock.now() + settleMs;
    this.#publishAll({ type: "hello", isNew: true });
    this.#cancelHello();
    this.#greetLater();
  }

  /** Tells the others that this gateway ends, and ends all waits. */
  close(): void {
    this.#isClosed = true;
    this.#cancelHello();
    this.#publishAll({ type: "bye" });
    for (const end of [...this.#settles]) end();
    for (const { end } of [...this.#questions.values()]) end();
    for (const settle of [...this.#orders.values()]) settle(undefined);
  }

  /** Asks which gateways have seen a peer. After `close()` nobody is asked. */
  async ask(token: string): Promise<Found> {
    await this.#settled();
    const now = this.#clock.now();
    for (const [run, heardMs] of this.#others) if (now - heardMs > goneMs) this.#others.delete(run);
    const { owners, waitsFor } = await this.#askOthers(token);
    // At the time of the question, as the others say: the wait for a gateway that hangs must not make this one older.
    const ageMs = this.#ageOf(token, now);
    if (ageMs !== undefined) owners.push({ run: this.run, ageMs });
    return { owners: owners.sort((one, other) => one.ageMs - other.ageMs), silent: waitsFor.size };
  }

  /**
   * Asks another gateway to send an answer.
   *
   * @returns what became of it; `"gone"` if that gateway does not exist any more, or after `close()`; `undefined` if it did not say
   * so in time.
   */
  async order(
    run: string,
    token: string,
    data: Uint8Array,
    timeoutMs: number,
  ): Promise<AnswerResult | "gone" | undefined> {
    if (this.#isClosed) return "gone";
    const number = ++this.#number;
    return await new Promise((resolve) => {
      const settle = (result: AnswerResult | "gone" | undefined): void => {
        cancel();
        this.#orders.delete(number);
        resolve(result);
      };
      const cancel = this.#clock.after(timeoutMs, () => settle(undefined));
      this.#orders.set(number, settle);
      const reply = `${this.#base}.${this.run}.done.${number}`;
      this.#connection.publish(`${this.#base}.${run}.send.${token}`, data, { reply });
    });
  }

  /** Waits until all other gateways can have greeted. */
  async #settled(): Promise<void> {
    const unsettledMs = this.#settledMs - this.#clock.now();
    if (unsettledMs <= 0 || this.#isClosed) return;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        this.#settles.delete(end);
        resolve();
      };
      const cancel = this.#clock.after(unsettledMs, end);
      this.#settles.add(end);
    });
  }

  #ageOf(token: string, nowMs: number): number | undefined {
    const seenMs = this.#seenMs(token);
    return seenMs === undefined ? undefined : Math.max(0, nowMs - seenMs);
  }

  async #askOthers(token: string): Promise<Pick<Question, "owners" | "waitsFor">> {
    const question = { waitsFor: new Set(this.#others.keys()), owners: [] as Owner[] };
    if (question.waitsFor.size === 0 || this.#isClosed) return question;
    const number = ++this.#number;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        this.#questions.delete(number);
        resolve();
      };
      const cancel = this.#clock.after(askMs, end);
      this.#questions.set(number, { ...question, end });
      for (const run of question.waitsFor) {
        const reply = `${this.#base}.${this.run}.bid.${number}.${run}`;
        this.#connection.publish(`${this.#base}.${run}.ask`, token, { reply });
      }
    });
    return question;
  }

  #heard({ data }: Msg): void {
    const { type, run, isNew } = parseObject(data) ?? {};
    if (typeof run !== "string" || !runForm.test(run) || run === this.run) return;
    if (type === "bye") {
      this.#forget(run);
      return;
    }
    if (this.#others.has(run) || this.#others.size < maxOthers) this.#others.set(run, this.#clock.now());
    if (type === "hello" && isNew === true) this.#publishAll({ type: "hello" });
  }

  #asked(message: Msg): void {
    const age = this.#ageOf(message.string(), this.#clock.now());
    // A gateway asks at a subject of its own: nobody else can have this one write to the server's.
    if (message.reply?.startsWith(`${this.#base}.`)) message.respond(age === undefined ? "never" : `${age}`);
  }

  #bid(message: Msg): void {
    const { subject, data } = message;
    const [run = "", number] = subject.split(".").reverse();
    const question = this.#questions.get(Number(number));
    if (!question?.waitsFor.delete(run)) return;
    if (data.length === 0 && statusOf(message) === 503) this.#others.delete(run);
    const text = Buffer.from(data.subarray(0, maxAgeBytes)).toString("latin1");
    if (/^\d+(?:\.\d+)?(?:e-\d+)?$/.test(text)) question.owners.push({ run, ageMs: Number(text) });
    if (question.waitsFor.size === 0) question.end();
  }

  #done(message: Msg): void {
    const { subject, data } = message;
    const settle = this.#orders.get(Number(lastToken(subject)));
    if (!settle) return;
    // The server itself answers if nobody is subscribed to the subject.
    const result = data.length === 0 && statusOf(message) === 503 ? "gone" : parseResult(data);
    if (result !== undefined) settle(result);
  }

  #forget(run: string): void {
    this.#others.delete(run);
    for (const question of [...this.#questions.values()])
      if (question.waitsFor.delete(run) && question.waitsFor.size === 0) question.end();
  }

  #greetLater(): void {
    this.#cancelHello = this.#clock.after(helloMs, () => {
      this.#publishAll({ type: "hello" });
      this.#greetLater();
    });
  }

  #publishAll(message: object): void {
    if (this.#connection.isClosed()) return;
    this.#connection.publish(`${this.#base}.all`, JSON.stringify({ run: this.run, ...message }));
  }
}

function lastToken(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}
