/** The interface between a socket and its driver. A driver uses a kernel, or a simulated network in memory. */

import type { Buffer } from "node:buffer";

import type { Endpoint, Family } from "../address/address.js";
import type { InterfaceNumber } from "../address/same-host.js";
import type { Capabilities } from "../capabilities.js";
import type { DriverCounts, Ledger, Traffic } from "../ledger/ledger.js";
import type { Loss, Unreachable, Warning } from "../ledger/reports.js";
import type { Metadata } from "./metadata.js";
import type { MembershipChange } from "./membership.js";
import type { Option, OptionValue } from "./options.js";
import type { Outbound } from "./outbound.js";

/** The CRC-32 of zlib, gzip and Ethernet. */
export interface Crc32 {
  /** @param value the CRC of the bytes before. @returns an int32 or a uint32. */
  readonly of: (bytes: Uint8Array, value?: number) => number;
  /** Sets `crcs` to the CRC of each piece. @param pieceBytes of each piece but the last, which may be shorter. */
  readonly ofPieces: (bytes: Uint8Array, pieceBytes: number, crcs: Int32Array) => void;
}

/**
 * Copies `pieces` pieces of `pieceBytes`. A piece starts `fromStride` bytes after the one before it in `from`, and `toStride`
 * bytes after it in `to`. The two do not overlap.
 */
export type CopyPieces = (
  from: Uint8Array,
  fromStart: number,
  fromStride: number,
  to: Uint8Array,
  toStart: number,
  toStride: number,
  pieceBytes: number,
  pieces: number,
) => void;

/**
 * Takes chunks of one message from the `max` datagrams of `segment` bytes that begin at byte `start`: checks each, copies its
 * payload to its place in `message`, sets its bit in `arrived`, and adds it to the CRC. Ends before the first datagram that is
 * no such chunk, that has not the number after that of the one before, that has arrived already, or whose checksum is wrong: it
 * changes nothing. The datagrams are frames of `docs/wire.md`.
 *
 * @param shift the `CrcShift` of the bytes of a chunk.
 * @param series nine numbers, of which the first five are the 20 bytes of the header of the chunks, with the number 0 and without
 *   the flag "report now". Then the CRC of the chunks that arrived last, one after the other, and the number of the chunk after
 *   them. Both are written again. Then it gets the number of the first chunk that it took, and a byte with all flags of those
 *   that it took.
 * @returns the number of the chunks that it took; negative if the datagrams or the numbers are not there.
 */
export type TakeChunks = (
  datagrams: Uint8Array,
  start: number,
  segment: number,
  max: number,
  message: Uint8Array,
  arrived: Uint8Array,
  shift: Int32Array,
  series: Int32Array,
) => number;

/** What all sockets of one driver share. Each thread of a process has one stack, and so has each simulated host. */
export interface Stack {
  readonly name: "native" | "dgram" | "sim";
  readonly clock: Clock;
  readonly capabilities: Capabilities;
  /** The counts of what happened to the datagrams of all sockets of the stack. */
  readonly ledger: Ledger;
  /** A uniformly random uint32. */
  random(): number;
  /**
   * Resolves a name.
   *
   * @returns one or more addresses, the best first, with port 0.
   * @throws `OSError` `ENOTFOUND` or `EAI_AGAIN`, with the host in the error.
   */
  resolve(host: string, family: Family): Promise<readonly Endpoint[]>;
  /** The number of a network interface by its name; `undefined` if there is none. Without this method, numbers are unknown. */
  readonly interfaceNumber?: InterfaceNumber;
  /** A faster CRC-32 than that of `node:zlib`, if the driver has one. */
  readonly crc32?: Crc32 | undefined;
  /** Copies pieces of memory in one call, if the driver has a faster way than one call for each. */
  readonly copyPieces?: CopyPieces | undefined;
  /** Takes chunks of a message together, if the driver can. */
  readonly takeChunks?: TakeChunks | undefined;
  /**
   * Takes the memory of a run back that was pushed as `isAlone` and that nothing uses any more. The next datagrams are received into
   * it. Without this, the garbage collector frees it.
   */
  readonly reuse?: ((data: Buffer) => void) | undefined;
  /** Shows a warning that has no listener. Without this method, such warnings are dropped. */
  warn?(warning: Warning): void;
  /**
   * The family of a UDP socket that another program opened. Without this method, the driver cannot use descriptors
   * (`ENOTSUP`).
   *
   * @throws `OSError` `EBADF` if the descriptor is not open, `ENOTSOCK` if it is not a socket, `EINVAL` if it is not a UDP
   *   socket, `EBUSY` if this package uses it already, `ENOTSUP` if the driver cannot use descriptors.
   */
  familyOf?(fd: number): Family;
  /** @throws `OSError` such as `EMFILE` or `EAFNOSUPPORT`; with a descriptor in the options, also the errors of `familyOf`. */
  open(family: Family, options: DriverOptions, events: DriverEvents): Driver;
}

/** The options that a driver needs when it opens a socket. */
export interface DriverOptions {
  /** No datagram is sent in fragments. */
  readonly dontFragment: boolean;
  /** The driver passes the metadata of received datagrams to the sink. */
  readonly metadata: boolean;
  /** The descriptor, if another program opened the socket. The socket may be bound and connected. */
  readonly fd: number | undefined;
}

/** The time. Code above a driver reads the time only from a `Clock`. */
export interface Clock {
  /** Milliseconds, monotonic, with fractions. */
  now(): number;
  /** Nanoseconds since the epoch by the system's clock. If that clock is set, this value changes too. */
  wall(): bigint;
  /**
   * Calls `run` once, after at least `ms` milliseconds. A waiting timer does not keep the process alive. The clock of the machine
   * lets the event loop turn before a late timer runs, so what has come is read first.
   *
   * @param ms 0 or more, finite, with fractions. Months are possible.
   * @returns a function that cancels the timer.
   * @throws `RangeError` if `ms` is negative, `Infinity` or `NaN`; `TypeError` if `ms` is not a number.
   */
  after(ms: number, run: () => void): () => void;
  /**
   * Calls `run` once, exactly at the time `ms` of this clock, or now if that is past. Only virtual time has it: timers of a machine
   * are late.
   *
   * @returns a function that cancels the timer.
   */
  readonly at?: (ms: number, run: () => void) => () => void;
  /**
   * Keeps the process alive until the returned function is called, since a waiting timer does not. Virtual time does not have it: a
   * run waits for its program.
   */
  readonly keepAlive?: () => () => void;
  /** Calls `run` once, after the sockets have had the chance to read all datagrams that have arrived by now. */
  turn(run: () => void): void;
}

/** The events of a driver. They are never called during a call to the driver, and never after `close()`. */
export interface DriverEvents {
  /** There may be datagrams to receive again, after `receive` returned `false`. */
  readable(): void;
  /**
   * The next `count` datagrams of the batch are settled: each one is sent, or failed if `Outbound.fail` was called for it.
   * If some datagrams are left, the socket calls `send` again. `count` is 0 if there may be room again, and nothing else
   * has changed.
   */
  settled(count: number): void;
  ledger(event: LedgerEvent): void;
  /** Datagrams that the program expects can never arrive at this socket. */
  warning(warning: Warning): void;
}

/** What `close()` returns. */
export interface CloseResult {
  /** The datagrams that were queued in this process and that no call received. */
  readonly unread: Traffic;
  /** Events that the driver has not reported yet. */
  readonly unreported: readonly LedgerEvent[];
}

/** An event that changes the ledger. */
export type LedgerEvent =
  | { readonly type: "dropped"; readonly loss: Loss }
  /** The system has dropped `total` datagrams because the receive buffer was full, since the socket was opened. */
  | { readonly type: "droppedKernel"; readonly total: number }
  | { readonly type: "unreachable"; readonly report: Unreachable }
  /** A router could not forward a packet because the packet was too big. The driver's `pathMtu` has the new value already. */
  | {
      readonly type: "tooBig";
      readonly destination: Endpoint | undefined;
      readonly from: string | undefined;
    };

/** Takes the datagrams that a driver receives. */
export interface Sink {
  /**
   * Takes one whole datagram, or a run of datagrams one after the other.
   *
   * @param data memory that the sink may keep.
   * @param segment bytes of each datagram of a run; the last one may be shorter. 0 for a single datagram.
   * @param metadata of all datagrams of the run, if any is known.
   * @param isAlone whether nothing else is in the memory of `data`, so that `Stack.reuse` takes it.
   */
  push(data: Buffer, source: Endpoint, segment: number, metadata?: Metadata, isAlone?: boolean): void;
}

/**
 * One socket of an operating system or of a simulated network. Errors are `OSError`s, thrown or rejected.
 *
 * For every kind of address, the scope of a destination is the interface through which datagrams to this destination leave
 * (`ignoredScope`). A driver that cannot choose the interface fails with `ENOTSUP`. A scope that names no interface is `ENODEV`.
 */
export interface Driver {
  /** Whether one `send` of many datagrams costs less than many sends of one. If so, the socket sends at the end of a tick. */
  readonly batches: boolean;
  /** Binds the socket. Returns a promise only if the driver must wait; otherwise the socket is bound, or the call throws. */
  bind(at: Endpoint): Promise<void> | undefined;
  /**
   * Connects to a peer. `null` removes the peer and keeps the local address. If the call fails, there is no peer. Returns a
   * promise only if the driver must wait.
   */
  connect(to: Endpoint | null): Promise<void> | undefined;
  /** The local address; `0.0.0.0:0` or `[::]:0` until the socket has one. */
  local(): Endpoint;
  /** The peer after `connect`: its address as the kernel returns it, with the scope that `connect` had. */
  remote(): Endpoint;
  /** Sets an option. For an IPv6 option that has an IPv4 twin, sets the twin too (`twinOf`). */
  setOption(option: Option, value: OptionValue): void;
  getOption(option: Option): OptionValue;
  /** Sets an option by its numbers to 1 to 4096 unchanged bytes. Without this method, the call is `ENOTSUP`. */
  setBytes?(level: number, option: number, value: Uint8Array): void;
  /** Reads an option by its numbers: at most `length` bytes, 1 to 4096. Without this method, the call is `ENOTSUP`. */
  getBytes?(level: number, option: number, length: number): Buffer;
  /**
   * Joins or leaves a multicast group, or changes its senders. If no interface is given, the system chooses one. Without this
   * method, the call is `ENOTSUP`.
   */
  changeMembership?(change: MembershipChange): void;
  /**
   * Passes to `sink` the datagrams that one system call returns. Never waits.
   *
   * @returns whether there may be more datagrams.
   * @throws the pending error of the socket, such as an ICMP error about the connected peer.
   */
  receive(sink: Sink): boolean;
  /** Turns the event `readable` on or off. It is on while a call needs it. */
  wantReadable(on: boolean): void;
  /**
   * Sends as many datagrams of a batch, from index `settled` on, as one system call takes. The driver owns the batch until
   * all its datagrams are settled. The next batch comes only after that. If a buffer is full, the driver waits for room,
   * keeps the process alive meanwhile, and never drops a datagram silently.
   *
   * @returns the number of datagrams, from `settled` on, that are settled now. The socket calls `send` again for the rest.
   *   0 if the driver waits: then it calls `settled()` later.
   */
  send(batch: Outbound): number;
  /**
   * Bytes of the largest packet that reaches a destination without fragments, as known now; `undefined` if not known. Without
   * this method, no path MTU is known.
   *
   * @throws `OSError` `ENODEV` if the scope names no interface.
   */
  pathMtu?(to: Endpoint): number | undefined;
  /** The features of this socket now: fewer than those of the stack, if the system refused one. */
  readonly capabilities: Capabilities;
  /** Without this method, no count is known. */
  counts?(): DriverCounts;
  /** `true` keeps the process alive: a call waits. `false` at the start. Without this method, a call keeps nothing alive. */
  keepAlive?(on: boolean): void;
  /** Closes the socket and frees its resources. May be called at any time, and more than once. */
  close(): CloseResult;
}
