import { Buffer } from "node:buffer";

import { Address, type Endpoint, type Family, anyAddress, isEndpoint } from "../address/address.js";
import { AF_INET, AF_INET6 } from "../constants.js";
import { Datagram, type Replier, TruncatedError } from "../receive/datagram.js";
import type { Metadata } from "../driver/metadata.js";
import type { Clock, Driver, DriverOptions, LedgerEvent, Stack } from "../driver/driver.js";
import { brokenContract, toOSError } from "../driver/driver-fault.js";
import { OSError } from "../errors/errors.js";
import { portTaken } from "../send/failure.js";
import { MembershipWarnings } from "./membership-warnings.js";
import { type Packet, type Tell, runListener } from "./events.js";
import type { Loss, Unreachable } from "../ledger/reports.js";
import type { Arrival } from "../receive/inbox.js";
import type { Membership } from "../driver/membership.js";
import { v6OnlyOption } from "../driver/options.js";
import { PathMtus } from "../send/path-mtu.js";
import { Receiver, type ReceiverHost } from "../receive/receiver.js";
import { Sender, type SenderHost } from "../send/sender.js";
import { type DriverCounts, Ledger, type Stats, noCounts } from "../ledger/ledger.js";

/** How long `close()` waits for room for what was sent before it, in milliseconds. */
const lingerMs = 5000;

/** How long a process is kept alive after the last call that waited, in milliseconds. */
const letGoMs = 20;

/** Milliseconds after which `recvMany` leaves what still comes to the next call: a flood could fill it for ever. */
const takeMs = 4;
/** Datagrams that it takes between two looks at the clock. */
const takeBatch = 256;

/** What an engine must know of its socket from the start. */
export interface EngineOptions extends DriverOptions {
  /** Bytes that may wait to be sent. */
  readonly sendQueue: number;
  /** A datagram that is cut fails the call. */
  readonly strict: boolean;
}

/** What runs beneath one socket: its driver, the ways in and out, the ledger, the taps. */
export class Engine implements SenderHost, ReceiverHost {
  readonly family: Family;
  readonly clock: Clock;
  readonly driver: Driver;
  readonly sender: Sender;
  readonly receiver: Receiver;
  readonly ledger: Ledger;
  readonly paths: PathMtus;
  readonly groups: MembershipWarnings;
  peer: Endpoint | null = null;

  readonly #stack: Stack;
  readonly #options: EngineOptions;
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

  constructor(stack: Stack, family: Family, options: EngineOptions, tell: Tell) {
    this.family = family;
    this.clock = stack.clock;
    this.#stack = stack;
    this.#options = options;
    this.#tell = tell;
    this.ledger = new Ledger(stack.capabilities, stack.ledger);
    let opened = false;
    // What a driver tells of a socket that is closed is of use to nobody.
    const heard = (tell: () => void): void => {
      if (!opened) throw brokenContract("it reported something before it was open");
      if (!this.#closed) tell();
    };
    this.driver = stack.open(family, options, {
      readable: () =>
        heard(() => {
          this.sender.turned();
          this.receiver.readable();
        }),
      settled: (count) => heard(() => this.sender.settled(count)),
      ledger: (event) => heard(() => this.#enter(event)),
      warning: (warning) => heard(() => tell("warning", warning)),
    });
    opened = true;
    this.paths = new PathMtus(
      (to) => this.driver.pathMtu(to),
      stack.clock,
      (change) => tell("pathMtu", change),
    );
    if (options.fd !== undefined) this.#adoptPeer();
    this.groups = new MembershipWarnings(this.driver, (warning) => tell("warning", warning));
    this.sender = new Sender(this, options.sendQueue);
    this.receiver = new Receiver(this);
  }

  /**
   * The next datagram of the inbox, which has one, cut to `bufsize` bytes.
   *
   * @throws `TruncatedError` where it was cut, and the socket is strict.
   */
  take(bufsize: number, replier: Replier, syscall: string): Datagram {
    const { inbox } = this.receiver;
    const { source, metadata } = inbox;
    const data = inbox.next();
    const { bytes } = inbox;
    this.receiver.passed(1);
    this.ledger.received(1, bytes);
    if (bytes <= bufsize) return new Datagram(data, source, bytes, replier, metadata);
    const datagram = new Datagram(data.subarray(0, bufsize), source, bytes, replier, metadata);
    this.ledger.truncated();
    this.#tell("truncated", datagram);
    if (this.#options.strict) throw new TruncatedError(datagram, syscall);
    return datagram;
  }

  /** What is there, whole, at most `most` datagrams. The inbox has one. */
  takeMany(most: number, replier: Replier): Datagram[] {
    const { inbox } = this.receiver;
    const datagrams: Datagram[] = [];
    const until = this.clock.now() + takeMs;
    do {
      const before = datagrams.length;
      const end = Math.min(most, before + takeBatch);
      let bytes = 0;
      while (datagrams.length < end && !inbox.empty) {
        const { source, metadata } = inbox;
        const data = inbox.next();
        bytes += inbox.bytes;
        datagrams.push(new Datagram(data, source, inbox.bytes, replier, metadata));
      }
      this.receiver.passed(datagrams.length - before);
      this.ledger.received(datagrams.length - before, bytes);
      this.receiver.refill();
    } while (datagrams.length < most && !inbox.empty && this.clock.now() < until);
    return datagrams;
  }

  async bind(at: Endpoint): Promise<void> {
    try {
      await this.driver.bind(at);
    } catch (error) {
      if (!(error instanceof OSError) || error.code !== "EADDRINUSE") throw error;
      throw portTaken(at, this.#stack.capabilities.reusePort.available, error);
    }
    this.groups.bound();
  }

  membership(change: Membership): void {
    this.driver.membership(change);
    this.groups.changed(change);
  }

  /** Chooses the peer. When that fails, the one before stays, where there is still a way to it. */
  async connect(to: Endpoint | null): Promise<void> {
    try {
      await this.driver.connect(to);
      this.peer = to && this.driver.remote();
    } catch (error) {
      await this.#reconnect();
      throw error;
    }
    // Where the driver tells of none, what fails a call on the connected socket is all that is seen of ICMP.
    if (to) this.ledger.watchUnreachable();
    this.groups.connected(this.peer);
    if (this.#waiting) this.groups.waits();
  }

  /** The peer of a socket that another has opened, and may have connected. */
  #adoptPeer(): void {
    try {
      this.peer = this.driver.remote();
    } catch (error) {
      if (!(error instanceof OSError) || error.code !== "ENOTCONN") throw error;
      return;
    }
    this.ledger.watchUnreachable();
  }

  /** Goes back to the peer that was; without a way there, the socket is unconnected and says so. */
  async #reconnect(): Promise<void> {
    const before = this.peer;
    this.peer = null;
    if (!before) return;
    try {
      await this.driver.connect(before);
      this.peer = before;
    } catch {
      // The call fails with what went wrong first. A driver may have more to do for a socket that stays unconnected.
      await this.driver.connect(null).catch(() => undefined);
    }
  }

  /** The endpoint of an address that may be a name; `ECANCELED` when the socket is closed first. */
  endpoint(address: Address, syscall: string): Promise<Endpoint> {
    if (isEndpoint(address)) return Promise.resolve(address);
    return this.resolve(address.host).then(
      (found) => found.withPort(address.port) as Endpoint,
      (thrown: unknown) => {
        const error = toOSError(thrown, syscall);
        throw new OSError(error.code, { syscall, address: address.host, port: address.port, cause: error });
      },
    );
  }

  resolve(host: string): Promise<Endpoint> {
    return new Promise((resolve, reject) => {
      if (this.#closing) throw new OSError("ECANCELED", { text: "the socket was closed first" });
      this.#lookups.add(reject);
      this.#resolved(host)
        .then(resolve, reject)
        .finally(() => this.#lookups.delete(reject));
    });
  }

  async #resolved(host: string): Promise<Endpoint> {
    const [first] = await this.#lookUp(host);
    if (first) return first;
    throw brokenContract(`resolve() found no address of ${host}, and did not say so`);
  }

  /** An IPv6 socket reaches a name that has IPv4 addresses alone by them, as `::ffff:a.b.c.d` (`AI_V4MAPPED`, getaddrinfo(3)). */
  async #lookUp(host: string): Promise<readonly Endpoint[]> {
    const falls = this.family === AF_INET6 && this.driver.getOption(v6OnlyOption) !== 1;
    try {
      return await this.#stack.resolve(host, this.family);
    } catch (error) {
      if (!falls || !(error instanceof OSError) || error.code !== "ENOTFOUND") throw error;
      const found = await this.#stack.resolve(host, AF_INET);
      return found.map((each) => new Address(`::ffff:${each.host}`, each.port) as Endpoint);
    }
  }

  /** Shows `listener` what passes; gives back the call that ends it. */
  tap(listener: (packet: Packet) => void): () => void {
    const own = (packet: Packet): void => listener(packet);
    this.#taps.add(own);
    return () => {
      this.#taps.delete(own);
    };
  }

  get sentDatagrams(): number {
    return this.ledger.sentDatagrams;
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

  wholeTo(to: Endpoint): number {
    const counted = this.#stack.capabilities.pathMtu.available && !this.#options.dontFragment;
    return counted ? this.paths.maxPayload(to) : Infinity;
  }

  fragmented(datagrams: number): void {
    this.ledger.fragmented(datagrams);
  }

  failed(error: OSError): void {
    this.ledger.sendFailed(error);
    if (error.code === "ECONNREFUSED") this.refused(error);
  }

  arrived(arrivals: readonly Arrival[]): void {
    for (const { data, source, metadata } of arrivals) this.#show("in", data, source, metadata);
  }

  refused({ code }: OSError): void {
    if (!this.peer || this.#stack.capabilities.icmpErrors.available) return;
    if (code === "EMSGSIZE") {
      this.ledger.tooBig();
      return;
    }
    this.#unreachable({ destination: this.peer, code, kind: undefined, from: undefined });
  }

  waiting(on: boolean): void {
    this.#waiting = on;
    if (on) this.groups.waits();
    this.#updateHold();
  }

  /** Whether what waits keeps the process alive. */
  reference(on: boolean): void {
    this.#referenced = on;
    this.#updateHold();
  }

  stats(): Stats {
    return this.ledger.snapshot(this.#lastCounts ?? this.#count());
  }

  /** Ends what waits, lets what was sent go out, gives the driver back, then calls `done`. */
  close(done: () => void): void {
    this.#closing = true;
    this.#lost({ cause: "close", ...this.receiver.close() });
    for (const cancel of this.#lookups) {
      cancel(new OSError("ECANCELED", { text: "the socket was closed first" }));
    }
    let cancelLinger: (() => void) | undefined;
    const finish = (): void => {
      if (this.#closed) return;
      this.#closed = true;
      cancelLinger?.();
      this.#cancelLetGo?.();
      this.#lastCounts = noCounts;
      attempt(() => {
        this.#lastCounts = this.#count();
      });
      attempt(() => {
        const { unread, untold } = this.driver.close();
        for (const event of untold) this.#enter(event);
        this.#lost({ cause: "close", ...unread });
      });
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
      this.driver.keepAlive(true);
      this.#held = true;
    } else {
      this.#cancelLetGo ??= this.clock.after(letGoMs, () => this.#letGo());
    }
  }

  #letGo(): void {
    this.#cancelLetGo = undefined;
    if (this.#closed || (this.#referenced && this.#waiting)) return;
    // Where that fails, the process is kept alive until `close()`.
    attempt(() => {
      this.driver.keepAlive(false);
      this.#held = false;
    });
  }

  /** What the driver has come to know. */
  #enter(event: LedgerEvent): void {
    switch (event.type) {
      case "dropped":
        this.#lost(event.loss);
        return;
      case "droppedKernel":
        this.#lostInKernel(event.total);
        return;
      case "unreachable":
        this.#unreachable(event.report);
        return;
      case "tooBig":
        this.ledger.tooBig();
        if (event.destination) this.paths.narrowed(event.destination, event.from);
    }
  }

  #count(): DriverCounts {
    const counts = this.driver.counts();
    this.#lostInKernel(counts.droppedKernel ?? 0);
    return counts;
  }

  #lostInKernel(total: number): void {
    const datagrams = total - this.ledger.droppedKernel;
    this.#lost({ cause: "receiveBuffer", datagrams, bytes: undefined });
  }

  #lost(loss: Loss): void {
    if (loss.datagrams <= 0) return;
    this.ledger.dropped(loss);
    this.#tell("dropped", loss);
  }

  #unreachable(report: Unreachable): void {
    this.ledger.unreachable(report.code);
    this.#tell("unreachable", report);
  }

  #show(direction: Packet["direction"], data: Buffer, other: Endpoint, metadata?: Metadata): void {
    // A listener may have closed the socket.
    if (this.#closed) return;
    const local = metadata?.destination ?? this.#local();
    const [source, destination] = direction === "in" ? [other, local] : [local, other];
    const timestamp = metadata?.timestamp ?? this.clock.wall();
    const packet: Packet = { direction, data, source, destination, timestamp };
    for (const listener of this.#taps) runListener(() => listener(packet));
  }

  /** The local address as far as the driver tells: what passes is shown all the same. */
  #local(): Endpoint {
    try {
      return this.driver.local();
    } catch {
      return anyAddress(this.family);
    }
  }
}

/** Runs what may fail while a driver is let go of: nobody is left who could do anything about it, and the rest must be done. */
function attempt(run: () => void): void {
  try {
    run();
  } catch {
    // See above.
  }
}
