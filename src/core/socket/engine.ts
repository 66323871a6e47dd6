import type { Buffer } from "node:buffer";

import { type Address, type Endpoint, type Family, isEndpoint } from "../address/address.js";
import { unavailable } from "../capabilities.js";
import { attempt, notSupported } from "../driver/driver-errors.js";
import type { Ancillary } from "../driver/ancillary.js";
import { inTurn } from "../driver/in-turn.js";
import type {
  Clock,
  CopyPieces,
  Crc32,
  Driver,
  DriverOptions,
  LedgerEvent,
  Stack,
  TakeChunks,
} from "../driver/driver.js";
import type { MembershipChange } from "../driver/membership.js";
import { OSError } from "../errors/errors.js";
import { type DriverCounts, Ledger, type Stats, type Traffic, noCounts } from "../ledger/ledger.js";
import type { Loss, Unreachable, Warning } from "../ledger/reports.js";
import type { Datagram } from "../receive/datagram.js";
import type { Run } from "../receive/inbox.js";
import { Receiver, type ReceiverHost } from "../receive/receiver.js";
import { portTaken } from "../send/failure.js";
import { PathMtus } from "../send/path-mtu-cache.js";
import { Sender, type SenderHost } from "../send/sender.js";
import { Events, type SocketEvents, type TypedEmitter } from "./events.js";
import { KeepAlive } from "./keep-alive.js";
import { Lookups } from "./lookups.js";
import { MembershipWarnings } from "./membership-warnings.js";
import { type DriverListener, OpenEvents } from "./open-events.js";
import { Taps } from "./taps.js";

/** How long `close()` waits for datagrams that were sent before it and have no room yet, in milliseconds. */
const lingerMs = 5000;

/** What an engine needs to know of its socket from the start. */
export interface EngineOptions extends DriverOptions {
  /** Bytes that may wait to be sent. */
  readonly sendQueue: number;
  /** A receive call fails if its datagram is cut. */
  readonly strict: boolean;
  /** Microseconds for which a receive call looks again and again before it waits. */
  readonly busyPoll: number;
}

/** Joins the parts of one socket: the driver, sender and receiver, the ledger, lookups and taps. */
export class Engine implements SenderHost, ReceiverHost, DriverListener {
  readonly family: Family;
  readonly driver: Driver;
  peer: Endpoint | null = null;

  readonly #stack: Stack;
  readonly #options: EngineOptions;
  readonly #socket: TypedEmitter<SocketEvents>;
  // These are made at first use: a program may have many sockets that are idle.
  #ledger: Ledger | undefined;
  #events: Events | undefined;
  #sender: Sender | undefined;
  #receiver: Receiver | undefined;
  #paths: PathMtus | undefined;
  #groups: MembershipWarnings | undefined;
  #lookups: Lookups | undefined;
  #taps: Taps | undefined;
  #keepAlive: KeepAlive | undefined;
  #closing = false;
  /** The driver is closed. */
  #closed = false;
  #lastCounts: DriverCounts | undefined;

  /** @param socket emits the events. */
  constructor(stack: Stack, family: Family, options: EngineOptions, socket: TypedEmitter<SocketEvents>) {
    this.family = family;
    this.#stack = stack;
    this.#options = options;
    this.#socket = socket;
    const events = new OpenEvents(this);
    this.driver = stack.open(family, options, events);
    events.opened = true;
    if (options.fd !== undefined) this.#adoptPeer();
  }

  /** A faster CRC-32 than that of `node:zlib`, if the driver has one. */
  get crc32(): Crc32 | undefined {
    return this.#stack.crc32;
  }

  /** As that of the driver. */
  get copyPieces(): CopyPieces | undefined {
    return this.#stack.copyPieces;
  }

  /** As that of the driver. */
  get takeChunks(): TakeChunks | undefined {
    return this.#stack.takeChunks;
  }

  /** Nothing uses the memory of a run any more. An observer may have kept views of it. */
  reuse({ data, isAlone }: Run): void {
    if (isAlone && !this.#taps) this.#stack.reuse?.(data);
  }

  get clock(): Clock {
    return this.#stack.clock;
  }

  get ledger(): Ledger {
    return (this.#ledger ??= new Ledger(this.#stack.capabilities, this.#stack.ledger));
  }

  get strict(): boolean {
    return this.#options.strict;
  }

  get busyPollUs(): number {
    const { busyPoll } = this.#options;
    return busyPoll > 0 && this.driver.capabilities.busyPoll.available ? busyPoll : 0;
  }

  get sender(): Sender {
    return (this.#sender ??= new Sender(this, this.#options.sendQueue));
  }

  get receiver(): Receiver {
    return this.#receiver ?? this.#makeReceiver();
  }

  get paths(): PathMtus {
    return (this.#paths ??= new PathMtus(
      (to) => this.driver.pathMtu?.(to),
      this.clock,
      (change) => {
        this.#taps?.pathMtu(change);
        this.#emit("pathMtu", change);
      },
    ));
  }

  get lookups(): Lookups {
    if (this.#lookups) return this.#lookups;
    const lookups = new Lookups(this.#stack, this.driver, this.family);
    // Its lookups then fail in the same way as the lookups that were pending at `close()`.
    if (this.#closing) lookups.close();
    return (this.#lookups = lookups);
  }

  get taps(): Taps {
    return (this.#taps ??= new Taps(this.driver, this.clock, this.family));
  }

  get keepAlive(): KeepAlive {
    return (this.#keepAlive ??= new KeepAlive(this.driver, this.clock));
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closing;
  }

  /** Returns this engine. @throws `OSError` `EBADF` after `close()`. */
  open(syscall: string): this {
    if (this.#closing) throw new OSError("EBADF", { syscall });
    return this;
  }

  /** As `Lookups.endpoint`. */
  endpoint(address: Address, syscall: string): Endpoint | Promise<Endpoint> {
    return isEndpoint(address) ? address : this.lookups.endpoint(address, syscall);
  }

  /** Binds the socket. Returns a promise only if the driver must wait. */
  bind(at: Endpoint): Promise<void> | undefined {
    return inTurn(
      () => this.driver.bind(at),
      () => this.#groups?.bound(),
      (error) => {
        if (!(error instanceof OSError) || error.code !== "EADDRINUSE") throw error;
        throw portTaken(at, this.#stack, error);
      },
    );
  }

  changeMembership(change: MembershipChange): void {
    if (!this.driver.changeMembership) {
      throw notSupported(
        change.call,
        unavailable("this driver has no multicast groups: the native driver has"),
      );
    }
    this.driver.changeMembership(change);
    this.#membershipWarnings.changed(change);
  }

  /**
   * Chooses the peer. If that fails, the former peer stays, as long as there is a route to it. Returns a promise only if the
   * driver must wait.
   */
  connect(to: Endpoint | null): Promise<void> | undefined {
    return inTurn(
      () => this.driver.connect(to),
      () => this.#connected(to),
      (error) => this.#reconnect(error),
    );
  }

  /** A datagram was cut. */
  truncated(datagram: Datagram): void {
    this.ledger.truncated();
    this.#taps?.truncated(datagram);
    this.#emit("truncated", datagram);
  }

  /** Emits a warning, also on a closed socket. */
  warn(warning: Warning): void {
    this.#emit("warning", warning);
  }

  stats(): Stats {
    return this.ledger.snapshot(this.#lastCounts ?? this.#count());
  }

  /** Ends calls that wait, lets queued datagrams leave, closes the driver, then calls `done`. */
  close(done: () => void): void {
    this.#closing = true;
    if (this.#receiver) this.#dropped({ cause: "close", ...this.#receiver.close() }, true);
    this.#lookups?.close();
    let cancelLinger: (() => void) | undefined;
    const finish = (): void => {
      if (this.#closed) return;
      this.#closed = true;
      cancelLinger?.();
      this.#keepAlive?.close();
      this.#lastCounts = noCounts;
      attempt(() => {
        this.#lastCounts = this.#count();
      });
      attempt(() => {
        const { unread, unreported } = this.driver.close();
        for (const event of unreported) this.#enter(event);
        this.#dropped({ cause: "close", ...unread });
      });
      this.#sender?.cancel();
      this.#taps?.close();
      done();
    };
    if (this.#sender) this.#sender.drain(finish);
    else finish();
    if (!this.#closed) cancelLinger = this.clock.after(lingerMs, finish);
  }

  /** Fails the datagrams that wait to be sent, and returns how many they are. Only `close()` may follow. */
  dropSends(): Traffic {
    const dropped = this.#sender?.waiting ?? { datagrams: 0, bytes: 0 };
    this.#sender?.cancel();
    return dropped;
  }

  // For the sender.

  get tapped(): boolean {
    return this.#taps?.active === true;
  }

  resolve(host: string): Promise<Endpoint> {
    return this.lookups.resolve(host);
  }

  unused(): void {
    this.#sender = undefined;
  }

  showSent(payload: Buffer, peer: Endpoint | null, ancillary: Ancillary | undefined): void {
    const destination = peer ?? this.peer;
    if (destination) this.taps.showSent(payload, destination, ancillary);
  }

  wholeTo(to: Endpoint): number {
    const counted = this.#stack.capabilities.pathMtu.available && !this.#options.dontFragment;
    return counted ? this.paths.maxPayload(to) : Infinity;
  }

  failed(error: OSError): void {
    this.ledger.sendFailed(error);
    if (error.code === "ECONNREFUSED") this.refused(error);
  }

  // For the receiver.

  arrived(runs: readonly Run[]): void {
    this.taps.showReceived(runs);
  }

  refused({ code }: OSError): void {
    if (!this.peer || this.#stack.capabilities.icmpErrors.available) return;
    if (code === "EMSGSIZE") {
      this.ledger.tooBig();
      return;
    }
    this.#unreachable({ destination: this.peer, code, kind: undefined, from: undefined });
  }

  overflowed(dropped: Traffic): void {
    this.#dropped({ cause: "queue", ...dropped }, true);
  }

  waiting(on: boolean): void {
    if (on) this.#groups?.waits();
    this.keepAlive.setWaiting(on);
  }

  // For the driver, through `OpenEvents`. Events of a closed socket are ignored.

  driverReadable(): void {
    if (this.#closed) return;
    this.#sender?.turned();
    this.receiver.readable();
  }

  driverSettled(count: number): void {
    if (!this.#closed) this.sender.settled(count);
  }

  driverEvent(event: LedgerEvent): void {
    if (!this.#closed) this.#enter(event);
  }

  driverWarning(warning: Warning): void {
    if (!this.#closed) this.#emit("warning", warning);
  }

  #emit<E extends keyof SocketEvents>(event: E, message: SocketEvents[E][0]): void {
    (this.#events ??= new Events(this.#socket, this.#stack)).emit(event, message);
  }

  get #membershipWarnings(): MembershipWarnings {
    return (this.#groups ??= new MembershipWarnings(this.driver, (warning) =>
      this.#emit("warning", warning),
    ));
  }

  #makeReceiver(): Receiver {
    const receiver = new Receiver(this);
    // Its calls then fail in the same way as the calls that waited at `close()`.
    if (this.#closing) receiver.close();
    this.#receiver = receiver;
    return receiver;
  }

  /** The peer of a socket that another process opened, and may have connected. */
  #adoptPeer(): void {
    try {
      this.peer = this.driver.remote();
    } catch (error) {
      if (!(error instanceof OSError) || error.code !== "ENOTCONN") throw error;
      return;
    }
    this.ledger.watchUnreachable();
  }

  #connected(to: Endpoint | null): void {
    this.peer = to && this.driver.remote();
    // Without the feature `icmpErrors`, a failed call on the connected socket is the only sign of an ICMP error.
    if (to) this.ledger.watchUnreachable();
    this.#membershipWarnings.connected(this.peer);
    if (this.#keepAlive?.waiting === true) this.#groups?.waits();
  }

  /** Connects to the former peer again, then throws `error`. If there is no route to that peer, the socket is unconnected. */
  #reconnect(error: unknown): Promise<void> | undefined {
    const before = this.peer;
    this.peer = null;
    if (!before) throw error;
    const later = inTurn(
      () => this.driver.connect(before),
      () => (this.peer = before),
      // The call fails with its first error. A driver may have more to do for a socket that stays unconnected.
      () => inTurn(() => this.driver.connect(null), nothing, nothing),
    );
    if (!later) throw error;
    return later.then(() => {
      throw error;
    });
  }

  /** Enters an event of the driver into the ledger. */
  #enter(event: LedgerEvent): void {
    switch (event.type) {
      case "dropped":
        this.#dropped(event.loss);
        return;
      case "droppedKernel":
        this.#droppedKernel(event.total);
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
    const counts = this.driver.counts?.() ?? noCounts;
    this.#droppedKernel(counts.droppedKernel ?? 0);
    return counts;
  }

  #droppedKernel(total: number): void {
    const datagrams = total - (this.#ledger?.droppedKernel ?? 0);
    this.#dropped({ cause: "receiveBuffer", datagrams, bytes: undefined });
  }

  /** @param isSeen whether the datagrams were read, so that observers have seen them. */
  #dropped(loss: Loss, isSeen = false): void {
    if (loss.datagrams <= 0) return;
    this.ledger.dropped(loss);
    this.#taps?.dropped(loss, isSeen);
    this.#emit("dropped", loss);
  }

  #unreachable(report: Unreachable): void {
    this.ledger.unreachable(report.code);
    this.#taps?.unreachable(report);
    this.#emit("unreachable", report);
  }
}

function nothing(): undefined {
  return undefined;
}
