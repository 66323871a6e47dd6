import { assert } from "../core/assert.js";
import type { Clock } from "../core/driver/driver.js";
import type { Datagram } from "../core/receive/datagram.js";
import { reasons } from "./acknowledgement.js";
import type { Broker, BrokerEvents } from "./broker.js";
import type { Bundle, Bundler } from "./bundler.js";
import { FairQueue } from "./fair-queue.js";
import type { GatewayStats } from "./gateway-stats.js";
import { LossCounts, type Losses } from "./losses.js";
import type { EncodedMessage } from "./message-encoder.js";
import type { ShedPolicy } from "./options.js";
import { Entry } from "./outbox-entry.js";

/** After so many reasons, only those of the gateway itself are counted one by one. */
const maxReasons = 32;
const ownReasons: ReadonlySet<string> = new Set(Object.values(reasons));

/** The limits of an outbox, as in `GatewayOptions`. */
export interface OutboxLimits {
  readonly shed: ShedPolicy;
  readonly maxUnacknowledged: number;
  readonly maxWaiting: number;
  readonly maxBytes: number;
  readonly ackTimeoutMs: number;
  readonly giveUpMs: number;
  /** Milliseconds for which the stream knows the ids of its messages. */
  readonly duplicateWindowMs: number;
}

/** The datagrams between a socket and a server, and the account of all of them. */
export class Outbox implements Omit<BrokerEvents, "failed"> {
  readonly #clock: Clock;
  readonly #limits: OutboxLimits;
  readonly #losses = new LossCounts();
  readonly #bundles: Bundler | undefined;
  readonly #waiting = new FairQueue<Entry>();
  /** Datagrams that were sent, by their numbers, in the order of the last send. */
  readonly #sent = new Map<number, Entry>();
  /** The number of datagrams in `#sent`. */
  #sentCount = 0;
  /** The number of datagrams in bundles that are not complete: 0 after `flush()`. */
  #openCount = 0;
  /** Those of `#sent` that no stream took at their last send. */
  readonly #noStream = new Set<Entry>();
  readonly #refusedBy = new Map<string, number>();
  #broker: Broker | undefined;
  #isConnected = false;
  #bytes = 0;
  #received = 0;
  #stored = 0;
  #shed = 0;
  #refused = 0;
  /** Datagrams that still waited at the end. */
  #unsent = 0;
  #resent = 0;
  #resentLate = 0;
  #duplicates = 0;
  #whenEmpty: (() => void) | undefined;
  /** How often there was a new connection. */
  #connections = 0;
  /** Whether the server has not answered a probe of this connection. */
  #isProbing = false;
  /** The server has read what was sent until this time. */
  #readMs = -Infinity;

  /** @param bundles makes one message of several datagrams. Without it, each is a message of its own. */
  constructor(clock: Clock, limits: OutboxLimits, bundles?: Bundler) {
    this.#clock = clock;
    this.#limits = limits;
    this.#bundles = bundles;
  }

  /** The number of datagrams so far. The next one has this number plus 1. */
  get received(): number {
    return this.#received;
  }

  /** Begins to send over a broker that is connected. */
  start(broker: Broker): void {
    this.#broker = broker;
    this.connected(true);
  }

  /** Takes a datagram: sends it, or lets it wait, or sheds one. */
  add(message: EncodedMessage): void {
    const entry = new Entry(++this.#received, message);
    this.#bytes += entry.bytes;
    if (this.#waiting.size === 0 && this.#hasRoom) {
      this.#sendFirst(entry);
      this.#check();
    } else this.#wait(entry);
  }

  /**
   * Sheds the next datagram if `add` or `addToBundle` would shed it at once, so that a peer that floods costs as little as possible.
   *
   * @param peer the token of its peer.
   */
  shedsAtOnce(peer: string): boolean {
    const { maxWaiting, shed } = this.#limits;
    if (this.#waiting.size < maxWaiting || shed !== "newest" || this.#hasRoom) return false;
    if (!this.#waiting.wouldShed(peer)) return false;
    this.#received++;
    this.#shed++;
    this.#losses.shed(peer);
    this.#check();
    return true;
  }

  /** Takes a datagram for a bundle. `flush()` must follow before the program does something else, for all datagrams so far. */
  addToBundle(datagram: Datagram): void {
    const bundles = this.#bundles;
    assert(bundles !== undefined, "an outbox that makes bundles has an encoder");
    const number = ++this.#received;
    if (this.#waiting.size === 0 && this.#hasRoom) {
      this.#openCount++;
      const complete = bundles.append(datagram, number);
      if (complete) this.#sendBundle(complete);
      return;
    }
    const entry = new Entry(number, bundles.encode(datagram));
    this.#bytes += entry.bytes;
    this.#wait(entry);
  }

  /** Sends the bundles that are not complete. */
  flush(): void {
    for (const bundle of this.#bundles?.finish() ?? []) this.#sendBundle(bundle);
    this.#check();
  }

  stored(number: number, isDuplicate: boolean): void {
    const entry = this.#settle(number);
    if (!entry) return;
    this.#stored += entry.count;
    entry.takeMessage().confirm?.();
    if (isDuplicate) this.#duplicates += entry.count;
    this.#sendWaiting();
    this.#check();
  }

  refused(number: number, reason: string): void {
    this.#refuse(number, reason);
    this.#sendWaiting();
    this.#check();
  }

  noStream(number: number): void {
    const entry = this.#sent.get(number);
    if (!entry) return;
    const now = this.#clock.now();
    entry.noStreamMs ??= now;
    if (now - entry.noStreamMs >= this.#limits.giveUpMs) this.refused(number, reasons.noStream);
    else this.#noStream.add(entry);
  }

  forbidden(subject: string): void {
    for (const { number, message } of [...this.#sent.values()])
      if (message.subject === subject) this.#refuse(number, reasons.forbidden);
    this.#sendWaiting();
    this.#check();
  }

  connected(isConnected: boolean): void {
    const isNew = isConnected && !this.#isConnected;
    this.#isConnected = isConnected;
    if (!isNew) return;
    if (this.#broker) this.#bundles?.limit?.(this.#broker.maxMessageBytes);
    this.#connections++;
    this.#isProbing = false;
    this.#readMs = -Infinity;
    // The old connection may have lost any of them.
    for (const entry of [...this.#sent.values()]) {
      entry.noStreamMs = undefined;
      this.#sendAgain(entry);
    }
    this.#sendWaiting();
    this.#check();
  }

  /**
   * Sends again what no stream took, and what the server has read without an acknowledgement in time. To be called regularly.
   *
   * If a message is overdue, the server is asked first whether it still reads: in a connection that hangs, each further send would
   * only take memory. The client closes such a connection, and the next one gets all messages again.
   */
  tick(): void {
    if (!this.#isConnected) return;
    for (const entry of [...this.#noStream]) this.#sendAgain(entry);
    const dueMs = this.#clock.now() - this.#limits.ackTimeoutMs;
    const due: Entry[] = [];
    for (const entry of this.#sent.values()) {
      if (entry.sentMs > dueMs) break;
      if (entry.sentMs > this.#readMs) {
        this.#probe();
        break;
      }
      due.push(entry);
    }
    for (const entry of due) this.#sendAgain(entry);
    this.#sendWaiting();
    this.#check();
  }

  /** Resolves when no datagram is in flight. */
  async empty(): Promise<void> {
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
  }

  /** Ends sending. Datagrams stay in flight: those that wait are never sent, and nobody knows what became of the others. */
  end(): void {
    this.#isConnected = false;
    this.#broker = undefined;
    for (let entry = this.#waiting.shift(); entry; entry = this.#waiting.shift()) {
      this.#bytes -= entry.bytes;
      entry.takeMessage().release?.();
      this.#unsent++;
    }
    this.#check();
  }

  /** Returns the losses since the last call; `undefined` if there were none. */
  takeLosses(): Losses | undefined {
    return this.#losses.take();
  }

  stats(): Omit<GatewayStats, "droppedKernel" | "messages" | "answers" | "folder"> {
    this.#check();
    return {
      received: this.#received,
      stored: this.#stored,
      shed: this.#shed,
      refused: this.#refused,
      refusedBy: Object.freeze(Object.fromEntries(this.#refusedBy)),
      inFlight: this.#inFlight,
      waiting: this.#waiting.size + this.#openCount + this.#unsent,
      resent: this.#resent,
      resentLate: this.#resentLate,
      duplicates: this.#duplicates,
    };
  }

  get #inFlight(): number {
    return this.#waiting.size + this.#openCount + this.#unsent + this.#sentCount;
  }

  get #hasRoom(): boolean {
    const { maxUnacknowledged, maxBytes } = this.#limits;
    if (!this.#isConnected || this.#sentCount + this.#openCount >= maxUnacknowledged) return false;
    return this.#bytes + (this.#bundles?.openBytes ?? 0) <= maxBytes;
  }

  /** Lets a datagram wait, and sheds one if too many wait. */
  #wait(entry: Entry): void {
    this.#waiting.push(entry);
    this.#sendWaiting();
    const { maxWaiting, maxBytes, shed } = this.#limits;
    while (this.#waiting.size > maxWaiting || (this.#bytes > maxBytes && this.#waiting.size > 0))
      this.#drop(this.#waiting.shed(entry.peer, shed));
    this.#check();
  }

  #sendWaiting(): void {
    while (this.#hasRoom) {
      const entry = this.#waiting.shift();
      if (!entry) break;
      if (this.#bundles) this.#bundle(entry, this.#bundles);
      else this.#sendFirst(entry);
    }
    for (const bundle of this.#bundles?.finish() ?? []) this.#sendBundle(bundle);
  }

  /** Puts a datagram that has waited into a bundle. */
  #bundle({ number, message, bytes }: Entry, bundles: Bundler): void {
    this.#bytes -= bytes;
    this.#openCount++;
    const complete = bundles.appendWaiting(message, number);
    if (complete) this.#sendBundle(complete);
  }

  #sendBundle(bundle: Bundle): void {
    const entry = new Entry(bundle.number, bundle, bundle.count);
    this.#openCount -= bundle.count;
    this.#bytes += entry.bytes;
    this.#sendFirst(entry);
  }

  #sendFirst(entry: Entry): void {
    this.#sentCount += entry.count;
    entry.firstSentMs = this.#clock.now();
    this.#send(entry);
  }

  #sendAgain(entry: Entry): void {
    this.#resent += entry.count;
    if (this.#clock.now() - entry.firstSentMs > this.#limits.duplicateWindowMs)
      this.#resentLate += entry.count;
    this.#send(entry);
  }

  /** Asks the server whether it has read all messages so far. */
  #probe(): void {
    if (this.#isProbing) return;
    this.#isProbing = true;
    const connection = this.#connections;
    const askedMs = this.#clock.now();
    this.#broker?.probe(() => {
      if (connection !== this.#connections) return;
      this.#isProbing = false;
      this.#readMs = askedMs;
    });
  }

  #send(entry: Entry): void {
    const { number, message } = entry;
    const broker = this.#broker;
    assert(broker !== undefined, "an outbox that is connected has a broker");
    entry.sentMs = this.#clock.now();
    this.#noStream.delete(entry);
    // At the end, which is the order of sentMs.
    this.#sent.delete(number);
    this.#sent.set(number, entry);
    if (message.bytes.length > broker.maxMessageBytes) this.#refuse(number, reasons.tooLarge);
    else broker.publish(number, message);
  }

  #refuse(number: number, told: string): void {
    const entry = this.#settle(number);
    if (!entry) return;
    entry.takeMessage().release?.();
    this.#refused += entry.count;
    const isCounted = this.#refusedBy.has(told) || this.#refusedBy.size < maxReasons || ownReasons.has(told);
    const reason = isCounted ? told : "other reasons";
    this.#refusedBy.set(reason, (this.#refusedBy.get(reason) ?? 0) + entry.count);
    this.#losses.refused(reason, entry.count);
  }

  #settle(number: number): Entry | undefined {
    const entry = this.#sent.get(number);
    if (!entry) return undefined;
    this.#sent.delete(number);
    this.#sentCount -= entry.count;
    this.#noStream.delete(entry);
    this.#bytes -= entry.bytes;
    return entry;
  }

  #drop(entry: Entry): void {
    this.#bytes -= entry.bytes;
    entry.takeMessage().release?.();
    this.#shed++;
    this.#losses.shed(entry.peer);
  }

  #check(): void {
    const accounted = this.#stored + this.#shed + this.#refused + this.#inFlight;
    assert(accounted === this.#received, "each datagram is stored, shed, refused or in flight");
    if (this.#inFlight > 0) return;
    assert(this.#bytes === 0, "no bytes are in use while no datagram is in flight");
    this.#whenEmpty?.();
    this.#whenEmpty = undefined;
  }
}
