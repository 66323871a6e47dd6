/**
 * Counts of datagrams, by what happened to them. `ledger.ts` keeps the counts that `stats()` returns, for each socket and
 * for all sockets of a stack. `reports.ts` has the messages of the events about losses, ICMP errors, path MTUs and warnings.
 */

import { assert } from "../assert.js";
import type { Capabilities } from "../capabilities.js";
import type { OSError } from "../errors/errors.js";
import type { Loss } from "../ledger/reports.js";

/** A count of datagrams and of their payload bytes. */
export interface Traffic {
  /** The number of datagrams. */
  readonly datagrams: number;
  /** The bytes of their payloads. */
  readonly bytes: number;
}

/**
 * System calls that sent and received datagrams; calls that found no datagram are counted too. A refused segmented send
 * and the calls that repeat it count as one call. The calls for single datagrams that are made because a local firewall
 * drops some count as one call too.
 */
export interface SystemCalls {
  /** Calls that sent datagrams. */
  readonly send: number;
  /** Calls that read datagrams. */
  readonly receive: number;
}

/**
 * Counts of the datagrams of a socket since it was opened, by what happened to them.
 * `undefined` means that the count cannot be known here, which is not the same as 0.
 */
export interface Stats {
  /** Datagrams that the kernel accepted. Only the peer knows whether they arrived. */
  readonly sent: Traffic;
  /** Datagrams that the program received. */
  readonly received: Traffic;
  /** Received datagrams that were cut to the size that the program asked for. */
  readonly truncated: number;
  /**
   * Datagrams that the kernel dropped because the receive buffer of the socket was full. It is a minimum: the kernel counts
   * a merged run as one. In the sum of all sockets, a drop is counted when a later datagram, `stats()` or `close()` of its
   * socket reports it.
   */
  readonly droppedKernel: number | undefined;
  /**
   * Datagrams that this process dropped: the queue of the `dgram` driver was full; no call took them while a request waited
   * for its answer; or they were read ahead and still unread at `close()`. Datagrams in the buffer of the kernel at
   * `close()` are not counted.
   */
  readonly droppedQueue: number;
  /**
   * ICMP errors by code: `{ ECONNREFUSED: 2 }` means that at least two datagrams did not arrive. Without the feature
   * `icmpErrors`, only connected sockets learn of ICMP errors; it is `undefined` until the socket is connected.
   */
  readonly unreachable: Readonly<Record<string, number>> | undefined;
  /**
   * Datagrams that were refused because they were larger than UDP or the path allows. Reports of routers that dropped a
   * datagram for its size are counted too; one report stands for one datagram or more.
   */
  readonly tooBig: number;
  /**
   * Sent datagrams that left in fragments, because they were larger than the known path MTU. Datagrams of up to 508 bytes
   * are not checked, because every host takes them whole (RFC 791).
   */
  readonly fragmented: number | undefined;
  /** Sends that failed, by code. Sends that were too big are in it, as `EMSGSIZE`. */
  readonly sendErrors: Readonly<Record<string, number>>;
  /** System calls for these datagrams: far fewer than datagrams if runs of datagrams travel together. */
  readonly systemCalls: SystemCalls | undefined;
  /**
   * Segmented sends that the kernel refused, by code; their datagrams were then sent one by one. `EMSGSIZE`: the path MTU to
   * the destination is too small. `EIO`: the network device cannot do it. `EINVAL`: it is not allowed for this socket.
   */
  readonly segmentationRefused: Readonly<Record<string, number>> | undefined;
  /** The room for unread datagrams; `undefined` while the driver has no open socket to ask. */
  readonly receiveBuffer: BufferSize | undefined;
}

/** The size of a buffer that was asked for, and the size that the kernel gave. */
export interface BufferSize {
  /** The size in bytes that was asked for. */
  readonly askedBytes: number;
  /** Not all of it is for payloads: the kernel also counts its own overhead, about 800 bytes for a small datagram. */
  readonly givenBytes: number;
  /** The command that raises the limit, if there was one: `"sudo sysctl -w net.core.rmem_max=4194304"`. */
  readonly advice?: string;
}

/** The counts of the ledger, for one socket or for many. */
type Counts = Omit<Stats, "systemCalls" | "segmentationRefused" | "receiveBuffer">;

/** Counts of the datagrams of many sockets, by what happened to them. */
export interface Totals extends Counts {
  /**
   * Losses that the host counted, for all its sockets, since this thread opened its first socket. The kernel does not
   * report them to any socket. `undefined` if they cannot be read: this needs Linux and /proc.
   */
  readonly host: HostCounts | undefined;
}

/** The counters of datagrams and fragments that a host dropped, by their names in `nstat`. */
export const hostCounters = [
  "IpReasmFails",
  "Ip6ReasmFails",
  "UdpRcvbufErrors",
  "Udp6RcvbufErrors",
  "UdpInErrors",
  "Udp6InErrors",
] as const;
/** The name of a counter of a host, as in `nstat`. */
export type HostCounter = (typeof hostCounters)[number];

/**
 * The counters of a host, for all programs in its network namespace. A counter that the host does not have is `undefined`.
 *
 * - `IpReasmFails`, `Ip6ReasmFails`: fragments for which there was no memory, and fragmented datagrams that were
 *   discarded because a fragment was missing. While the memory for fragments is full, no fragmented datagram arrives.
 * - `UdpRcvbufErrors`, `Udp6RcvbufErrors`: datagrams dropped at a full receive buffer, by IP version.
 * - `UdpInErrors`, `Udp6InErrors`: the datagrams above, and datagrams that were malformed or had a wrong checksum.
 */
export type HostCounts = Readonly<Record<HostCounter, number | undefined>>;

/** The counts that a driver keeps. */
export type DriverCounts = Pick<
  Stats,
  "droppedKernel" | "systemCalls" | "segmentationRefused" | "receiveBuffer"
>;

/** The counts of a driver that counts nothing. */
export const noCounts: DriverCounts = Object.freeze({
  droppedKernel: undefined,
  systemCalls: undefined,
  segmentationRefused: undefined,
  receiveBuffer: undefined,
});

/** Keeps all counts except those of the driver. Everything is also counted in the ledger above, if there is one. */
export class Ledger {
  readonly #above: Ledger | undefined;
  #sent = 0;
  #sentBytes = 0;
  #received = 0;
  #receivedBytes = 0;
  #truncated = 0;
  #droppedQueue = 0;
  #tooBig = 0;
  #droppedKernel: number | undefined;
  #fragmented: number | undefined;
  /** Whether ICMP errors would be seen. */
  #watchesUnreachable = false;
  #unreachable: Map<string, number> | undefined;
  #sendErrors: Map<string, number> | undefined;

  /** @param capabilities of the driver. A count that the driver cannot know stays `undefined`. */
  constructor(capabilities: Capabilities, above?: Ledger) {
    this.#above = above;
    if (capabilities.kernelDropCount.available) this.#droppedKernel = 0;
    if (capabilities.pathMtu.available) this.#fragmented = 0;
    this.#watchesUnreachable = capabilities.icmpErrors.available;
  }

  sent(datagrams: number, bytes: number): void {
    this.#sent += datagrams;
    this.#sentBytes += bytes;
    this.#above?.sent(datagrams, bytes);
  }

  received(datagrams: number, bytes: number): void {
    this.#received += datagrams;
    this.#receivedBytes += bytes;
    this.#above?.received(datagrams, bytes);
  }

  truncated(): void {
    this.#truncated++;
    this.#above?.truncated();
  }

  /** Datagrams sent so far. */
  get sentDatagrams(): number {
    return this.#sent;
  }

  /** The number of datagrams that the kernel is known to have dropped so far. */
  get droppedKernel(): number {
    return this.#droppedKernel ?? 0;
  }

  dropped({ cause, datagrams }: Loss): void {
    assert(datagrams > 0, "a loss is of one datagram or more");
    if (cause === "receiveBuffer") this.#droppedKernel = this.droppedKernel + datagrams;
    else this.#droppedQueue += datagrams;
    this.#above?.dropped({ cause, datagrams, bytes: undefined });
  }

  fragmented(datagrams: number): void {
    this.#fragmented = (this.#fragmented ?? 0) + datagrams;
    this.#above?.fragmented(datagrams);
  }

  tooBig(): void {
    this.#tooBig++;
    this.#above?.tooBig();
  }

  sendFailed(error: OSError): void {
    if (error.code === "EMSGSIZE") this.#tooBig++;
    increase((this.#sendErrors ??= new Map<string, number>()), error.code);
    this.#above?.sendFailed(error);
  }

  /** ICMP errors are counted from now on: a count of 0 then means that there was none. */
  watchUnreachable(): void {
    this.#watchesUnreachable = true;
    this.#above?.watchUnreachable();
  }

  unreachable(code: string): void {
    this.watchUnreachable();
    increase((this.#unreachable ??= new Map<string, number>()), code);
    this.#above?.unreachable(code);
  }

  /** The counts now, frozen. */
  totals(): Counts {
    return Object.freeze({
      sent: Object.freeze({ datagrams: this.#sent, bytes: this.#sentBytes }),
      received: Object.freeze({ datagrams: this.#received, bytes: this.#receivedBytes }),
      truncated: this.#truncated,
      droppedKernel: this.#droppedKernel,
      droppedQueue: this.#droppedQueue,
      unreachable: this.#watchesUnreachable
        ? Object.freeze(Object.fromEntries(this.#unreachable ?? []))
        : undefined,
      tooBig: this.#tooBig,
      fragmented: this.#fragmented,
      sendErrors: Object.freeze(Object.fromEntries(this.#sendErrors ?? [])),
    });
  }

  /** The counts of one socket now, with those of its driver; frozen. */
  snapshot(counts: DriverCounts): Stats {
    return Object.freeze({ ...this.totals(), ...counts });
  }
}

function increase(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
