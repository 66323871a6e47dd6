import { Buffer } from "node:buffer";

import { type Address, type Endpoint, type Family, isEndpoint } from "./address.js";
import { Datagram, type Replier } from "./datagram.js";
import type { Clock, Driver, Stack } from "./driver.js";
import { OSError } from "./errors.js";
import { type Loss, type Packet, type Tell, runListener } from "./events.js";
import type { Arrival } from "./inbox.js";
import { Receiver, type ReceiverHost } from "./receiver.js";
import { Sender, type SenderHost } from "./sender.js";
import { type DriverCounts, Ledger, type Stats } from "./stats.js";

/** How long `close()` waits for room for what was sent before it, in milliseconds. */
const lingerMs = 5000;

/** How long a process is kept alive after the last call that waited, in milliseconds. */
const letGoMs = 20;

/** Milliseconds after which `recvMany` leaves what still comes to the next call: a flood could fill it for ever. */
const takeMs = 4;
/** Datagrams that it takes between two looks at the clock. */
const takeBatch = 256;

/** What runs beneath one socket: its driver, the ways in and out, the ledger, the taps. */
export class Engine implements SenderHost, ReceiverHost {
  readonly family: Family;
  readonly clock: Clock;
  readonly driver: Driver;
  readonly sender: Sender;
  readonly receiver: Receiver;
  readonly ledger: Ledger = new Ledger();
  peer: Endpoint | null = null;

  readonly #stack: Stack;
  readonly #tell: Tell;
  readonly #lookups = new Set<(reason: OSError) => void>();
  readonly #taps = new Set<(packet: Packet) => void>();
  #referenced = true;
  #waiting = false;
  #held = false;
  #cancelLetGo: (() => void) | undefined;
  #closing = false;
  #closed = false;
  #lastCounts: DriverCounts | undefined;

  /** @param mostQueuedBytes bytes that may wait to be sent, as `sendQueue` counts them. */
  constructor(stack: Stack, family: Family, mostQueuedBytes: number, tell: Tell) {
    this.family = family;
    this.clock = stack.clock;
    this.#stack = stack;
    this.#tell = tell;
    this.driver = stack.open(family, {
      readable: () => {
        this.sender.turned();
        this.receiver.readable();
      },
      settled: (count) => this.sender.settled(count),
      ledger: ({ loss }) => this.#lost(loss),
    });
    this.sender = new Sender(this, mostQueuedBytes);
    this.receiver = new Receiver(this);
  }

  /** The next datagram of the inbox, which has one, cut to `bufsize` bytes. */
  take(bufsize: number, socket: Replier): Datagram {
    const { inbox } = this.receiver;
    const { source } = inbox;
    const data = inbox.next();
    const { bytes } = inbox;
    this.receiver.passed(1);
    this.ledger.received(1, bytes);
    if (bytes <= bufsize) return new Datagram(data, source, bytes, socket);
    const datagram = new Datagram(data.subarray(0, bufsize), source, bytes, socket);
    this.ledger.truncated();
    this.#tell("truncated", datagram);
    return datagram;
  }

  /** What is there, whole, at most `most` datagrams. The inbox has one. */
  takeMany(most: number, socket: Replier): Datagram[] {
    const { inbox } = this.receiver;
    const datagrams: Datagram[] = [];
    const until = this.clock.now() + takeMs;
    do {
      const before = datagrams.length;
      const end = Math.min(most, before + takeBatch);
      let bytes = 0;
      while (datagrams.length < end && !inbox.empty) {
        const { source } = inbox;
        const data = inbox.next();
        bytes += inbox.bytes;
        datagrams.push(new Datagram(data, source, inbox.bytes, socket));
      }
      this.receiver.passed(datagrams.length - before);
      this.ledger.received(datagrams.length - before, bytes);
      this.receiver.refill();
    } while (datagrams.length < most && !inbox.empty && this.clock.now() < until);
    return datagrams;
  }

  /** Chooses the peer. When that fails, the one before stays, where there is still a way to it. */
  async connect(to: Endpoint | null): Promise<void> {
    try {
      await this.driver.connect(to);
    } catch (error) {
      await this.#reconnect();
      throw error;
    }
    this.peer = to && this.driver.remote();
    if (to) this.ledger.watchUnreachable();
  }

  /** Goes back to the peer that was; without a way there, the socket is unconnected and says so. */
  async #reconnect(): Promise<void> {
    const before = this.peer;
    this.peer = null;
    if (!before) return;
    try {
      await this.driver.connect(before);
      this.peer = before;
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
    }
  }

  /** The endpoint of an address that may be a name; `ECANCELED` when the socket is closed first. */
  endpoint(address: Address, syscall: string): Promise<Endpoint> {
    if (isEndpoint(address)) return Promise.resolve(address);
    return this.resolve(address.host).then(
      (found) => found.withPort(address.port) as Endpoint,
      (error: unknown) => {
        if (!(error instanceof OSError)) throw error;
        throw new OSError(error.code, { syscall, address: address.host, port: address.port, cause: error });
      },
    );
  }

  resolve(host: string): Promise<Endpoint> {
    return new Promise((resolve, reject) => {
      if (this.#closing) throw new OSError("ECANCELED", { text: "the socket was closed first" });
      this.#lookups.add(reject);
      this.#stack
        .resolve(host, this.family)
        .then((found) => resolve(found[0] as Endpoint), reject)
        .finally(() => this.#lookups.delete(reject));
    });
  }

  /** Shows `listener` what passes; gives back the call that ends it. */
  tap(listener: (packet: Packet) => void): () => void {
    const own = (packet: Packet): void => listener(packet);
    this.#taps.add(own);
    return () => {
      this.#taps.delete(own);
    };
  }

  get tapped(): boolean {
    return this.#taps.size > 0;
  }

  sent(datagrams: number, bytes: number): void {
    this.ledger.sent(datagrams, bytes);
  }

  showSent(payload: Uint8Array, peer: Endpoint | null): void {
    const destination = peer ?? this.peer;
    if (destination) this.#show("out", Buffer.from(payload), destination);
  }

  failed(error: OSError): void {
    this.ledger.sendFailed(error);
    if (this.peer && error.code === "ECONNREFUSED") this.#unreachable(error);
  }

  arrived(arrivals: readonly Arrival[]): void {
    for (const { data, source } of arrivals) this.#show("in", data, source);
  }

  refused(error: OSError): void {
    this.#unreachable(error);
  }

  waiting(on: boolean): void {
    this.#waiting = on;
    this.#updateHold();
  }

  /** Whether what waits keeps the process alive. */
  reference(on: boolean): void {
    this.#referenced = on;
    this.#updateHold();
  }

  stats(): Stats {
    return this.ledger.snapshot(this.#lastCounts ?? this.driver.counts());
  }

  /** Ends what waits, lets what was sent go out, gives the driver back, then calls `done`. */
  close(done: () => void): void {
    this.#closing = true;
    this.#lost(this.receiver.close());
    for (const cancel of this.#lookups) {
      cancel(new OSError("ECANCELED", { text: "the socket was closed first" }));
    }
    let cancelLinger: (() => void) | undefined;
    const finish = (): void => {
      if (this.#closed) return;
      this.#closed = true;
      cancelLinger?.();
      this.#cancelLetGo?.();
      this.#lastCounts = this.driver.counts();
      this.#lost(this.driver.close());
      this.sender.cancel();
      done();
    };
    this.sender.drain(finish);
    if (!this.#closed) cancelLinger = this.clock.after(lingerMs, finish);
  }

  /** Lets go a moment late: in a loop of receive calls, nearly each let-go would be taken back at once. */
  #updateHold(): void {
    const hold = this.#referenced && this.#waiting;
    if (hold === this.#held || this.#closed) return;
    if (hold) {
      this.#held = true;
      this.driver.hold(true);
    } else {
      this.#cancelLetGo ??= this.clock.after(letGoMs, () => this.#letGo());
    }
  }

  #letGo(): void {
    this.#cancelLetGo = undefined;
    if (this.#closed || (this.#referenced && this.#waiting)) return;
    this.#held = false;
    this.driver.hold(false);
  }

  #lost(loss: Loss): void {
    if (loss.datagrams === 0) return;
    this.ledger.droppedQueue(loss.datagrams);
    this.#tell("dropped", loss);
  }

  #unreachable({ code }: OSError): void {
    this.ledger.unreachable(code);
    if (this.peer) this.#tell("unreachable", { destination: this.peer, code });
  }

  #show(direction: Packet["direction"], data: Buffer, other: Endpoint): void {
    // A listener may have closed the socket.
    if (this.#closed) return;
    const local = this.driver.local();
    const [source, destination] = direction === "in" ? [other, local] : [local, other];
    const packet: Packet = { direction, data, source, destination, timestamp: this.clock.wall() };
    for (const listener of this.#taps) runListener(() => listener(packet));
  }
}
