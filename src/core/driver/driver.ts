/** The seam between the socket and what carries its datagrams: a kernel, or a network in memory. */

import type { Buffer } from "node:buffer";

import type { Endpoint, Family } from "../address/address.js";
import type { Capabilities } from "../capabilities.js";
import type { Metadata } from "./metadata.js";
import type { Loss, Unreachable, Warning } from "../ledger/reports.js";
import type { InterfaceNumber } from "../address/hosts.js";
import type { Membership } from "./membership.js";
import type { Option, OptionValue } from "./options.js";
import type { Outbound } from "./outbound.js";
import type { DriverCounts, Ledger, Traffic } from "../ledger/ledger.js";

/** What sockets of one driver share: one a process and thread, or one a simulated host. */
export interface Stack {
  readonly name: "native" | "dgram" | "sim";
  readonly clock: Clock;
  readonly capabilities: Capabilities;
  /** What became of the datagrams of all its sockets. */
  readonly ledger: Ledger;
  /** A uniformly random uint32. */
  random(): number;
  /**
   * The addresses of a name, best first, at least one; port 0.
   *
   * @throws `OSError` `ENOTFOUND` or `EAI_AGAIN` naming the host.
   */
  resolve(host: string, family: Family): Promise<readonly Endpoint[]>;
  /** The number of a network interface by its name; `undefined` where there is none. Without this method, numbers are unknown. */
  readonly interfaceNumber?: InterfaceNumber;
  /** Shows a warning that has no listener. Without this method, such warnings are dropped. */
  warn?(warning: Warning): void;
  /**
   * The family of a UDP socket that another has opened.
   *
   * @throws `OSError` `EBADF`, `ENOTSOCK`, `EINVAL` for what is no UDP socket, `EBUSY` for one of this package; `ENOTSUP`.
   */
  familyOf(fd: number): Family;
  /** @throws `OSError` such as `EMFILE` or `EAFNOSUPPORT`, and as `familyOf` where the options have a descriptor. */
  open(family: Family, options: DriverOptions, events: DriverEvents): Driver;
}

/** What a driver must know of a socket from the start. */
export interface DriverOptions {
  /** Nothing leaves in fragments. */
  readonly dontFragment: boolean;
  /** How datagrams came is to be told. */
  readonly metadata: boolean;
  /** The descriptor of the socket, where another has opened it: it may be bound, and connected. */
  readonly fd: number | undefined;
}

/** Time, so that nothing above a driver reads the real one. */
export interface Clock {
  /** Milliseconds, monotonic, with fractions. */
  now(): number;
  /** Nanoseconds since the epoch by the system's clock. If that clock is set, this value changes too. */
  wall(): bigint;
  /**
   * Runs once, `ms` milliseconds from now or later: 0 or more, with fractions, months too. A waiting timer does not keep a
   * process alive.
   *
   * @returns what cancels it.
   * @throws `RangeError` for a negative, endless or undefined `ms` (`NaN`); `TypeError` for what is no number.
   */
  after(ms: number, run: () => void): () => void;
  /** Runs once, when everything that had arrived by now has had the chance to be noticed. */
  turn(run: () => void): void;
}

/** What a driver tells its socket. Never called from inside a call to the driver, nor after `close()`. */
export interface DriverEvents {
  /** Something may be there to receive, where `receive` last found all that was there. */
  readable(): void;
  /**
   * The next `count` datagrams of the batch are settled: sent, or failed as `Outbound.fail` was told. Where some are left,
   * `send` is called again; `count` may be 0, when all that happened is that there may be room.
   */
  settled(count: number): void;
  ledger(event: LedgerEvent): void;
  /** What the program asked for can never arrive. */
  warning(warning: Warning): void;
}

/** What a driver leaves behind. */
export interface Closing {
  /** What had been queued in this process and was never received. */
  readonly unread: Traffic;
  /** What it knows and has not told yet. */
  readonly untold: readonly LedgerEvent[];
}

/** What a driver comes to know of. */
export type LedgerEvent =
  | { readonly type: "dropped"; readonly loss: Loss }
  /** The system has dropped so many for lack of room, since the socket was opened. */
  | { readonly type: "droppedKernel"; readonly total: number }
  | { readonly type: "unreachable"; readonly report: Unreachable }
  /** A router has no way on for a packet so large. The driver's `pathMtu` knows by now. */
  | {
      readonly type: "tooBig";
      readonly destination: Endpoint | undefined;
      readonly from: string | undefined;
    };

/** Where received datagrams go. */
export interface Sink {
  /**
   * One datagram, whole, or a run of them, end to end.
   *
   * @param data the receiver's to keep.
   * @param segment bytes of each datagram of a run but the last, which may be shorter; 0 for one datagram.
   * @param metadata what else is known of all of them, where something is.
   */
  push(data: Buffer, source: Endpoint, segment: number, metadata?: Metadata): void;
}

/**
 * One socket of an operating system or of a network in memory. Errors are `OSError`s, thrown or rejected.
 *
 * The scope of a destination is the interface that datagrams to it leave by, of every kind of address (`wideScope`). A
 * driver that cannot choose it refuses with `ENOTSUP`; a scope that is no interface is `ENODEV`.
 */
export interface Driver {
  /** Whether many datagrams in one `send` are cheaper than one at a time, so that it pays to wait for the end of a tick. */
  readonly batches: boolean;
  bind(at: Endpoint): Promise<void>;
  /** With `null`, dissolves the association; the local address stays. When it fails there is no peer. */
  connect(to: Endpoint | null): Promise<void>;
  /** The local address; `0.0.0.0:0` or `[::]:0` until there is one. */
  local(): Endpoint;
  /** The peer, once `connect` has named one: its address as the kernel has it, with the scope that it was given. */
  remote(): Endpoint;
  /** On an IPv6 socket, sets the twin of an IPv6 option too (`twinOf`). */
  setOption(option: Option, value: OptionValue): void;
  getOption(option: Option): OptionValue;
  /** Sets an option by its numbers to 1 to 4096 bytes, as they are. @throws `OSError` `ENOTSUP` where it cannot. */
  setBytes(level: number, option: number, value: Uint8Array): void;
  /** Reads an option by its numbers: at most `length` bytes, 1 to 4096. @throws `OSError` `ENOTSUP` where it cannot. */
  getBytes(level: number, option: number, length: number): Buffer;
  /** Joins or leaves a multicast group, or chooses its senders; without an interface, on the one that the system chooses. */
  membership(change: Membership): void;
  /**
   * Hands over what is there, as much of it as one system call gives; never waits.
   *
   * @returns whether more may be there.
   * @throws the error that waited on the socket in place of a datagram: an ICMP error of the connected peer.
   */
  receive(sink: Sink): boolean;
  /** Whether `readable()` is of use to anybody now. */
  wantReadable(on: boolean): void;
  /**
   * Sends a batch, from `settled` on, as much of it as one system call takes. It is the driver's until all of it is
   * settled; only then comes the next. A driver waits for room where a buffer is full, never drops in silence, and
   * keeps the process alive meanwhile.
   *
   * @returns how many datagrams from the front are settled now, where it is to be called again for the rest; 0 when it
   *   waits, and `settled()` will tell.
   */
  send(batch: Outbound): number;
  /**
   * Bytes of the largest packet that goes whole to a destination, as far as is known now; `undefined` where it is not.
   *
   * @throws `OSError` `ENODEV` for a scope that is no interface.
   */
  pathMtu(to: Endpoint): number | undefined;
  /** What this socket can do now: less than the stack, where the system refused a thing. */
  readonly capabilities: Capabilities;
  counts(): DriverCounts;
  /** Whether a call waits that keeps the process alive. Off at the start. */
  keepAlive(on: boolean): void;
  /**
   * Gives everything back; may be called at any moment, and twice.
   */
  close(): Closing;
}
