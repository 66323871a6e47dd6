/**
 * What became of datagrams. `ledger.ts` counts, for each socket and for all sockets of a stack, what `stats()` returns;
 * `reports.ts` has the messages of the events that tell of losses, ICMP errors, path MTUs and warnings.
 */

import { assert } from "../assert.js";
import type { Capabilities } from "../capabilities.js";
import type { OSError } from "../errors/errors.js";
import type { Loss } from "../ledger/reports.js";

/** A count of datagrams and of their payload bytes. */
export interface Traffic {
  readonly datagrams: number;
  readonly bytes: number;
}

/**
 * System calls by which datagrams were sent and received, whether they found any or not. One that was refused a segmented
 * send counts with what repeated it as one, and so do those that go one by one since a local firewall drops some of them.
 */
export interface SystemCalls {
  readonly send: number;
  readonly receive: number;
}

/**
 * What became of the datagrams of a socket since it was opened, by cause.
 * A number is what is known; `undefined` means that it cannot be known here, which is not 0.
 */
export interface Stats {
  /** Handed to the kernel. Whether they arrived, only the peer can tell. */
  readonly sent: Traffic;
  /** Handed to the program. */
  readonly received: Traffic;
  /** Of those received: cut to the size that the program asked for. */
  readonly truncated: number;
  /**
   * Dropped by the kernel because the socket's receive buffer was full: at least so many, since it counts merged ones as
   * one. Of all sockets together: as far as a datagram behind the gap, `stats()` or `close()` of the socket has told.
   */
  readonly droppedKernel: number | undefined;
  /**
   * Dropped by this process: the `dgram` driver's own queue was full, or they had been read ahead and were unread at
   * `close()`. What lies in the kernel's buffer at `close()` is not counted.
   */
  readonly droppedQueue: number;
  /**
   * ICMP errors by code, `{ ECONNREFUSED: 2 }`: at least so many datagrams did not arrive. Without the feature
   * `icmpErrors` only a connected socket is told of them; `undefined` until then.
   */
  readonly unreachable: Readonly<Record<string, number>> | undefined;
  /**
   * Refused because they were longer than a datagram, or than the path, can carry; and reports of routers that dropped
   * one for that, each of which stands for one or more.
   */
  readonly tooBig: number;
  /**
   * Of those sent: went in fragments, being longer than the path is known to carry whole. Those of up to 508 bytes, which
   * every host takes whole (RFC 791), are not looked at.
   */
  readonly fragmented: number | undefined;
  /** Sends that failed, by code: `tooBig` among them, as `EMSGSIZE`. */
  readonly sendErrors: Readonly<Record<string, number>>;
  /** What it took: far fewer than datagrams, where runs of them travel together. */
  readonly systemCalls: SystemCalls | undefined;
  /**
   * Segmented sends that the kernel refused, by code, and whose datagrams then went one by one: `EMSGSIZE` where the path
   * to a destination is too narrow, `EIO` where the device on the way cannot, `EINVAL` where this socket must not.
   */
  readonly segmentationRefused: Readonly<Record<string, number>> | undefined;
  /** The room for unread datagrams, where there is a socket to ask yet. */
  readonly receiveBuffer: BufferSize | undefined;
}

/** What was asked of the kernel for a buffer, and what it gave. */
export interface BufferSize {
  readonly askedBytes: number;
  /** Payloads take less of it than this: the kernel counts its own overhead too, about 800 bytes a small datagram. */
  readonly givenBytes: number;
  /** What would lift the limit that it met: `"sudo sysctl -w net.core.rmem_max=4194304"`. */
  readonly advice?: string;
}

/** What the ledger counts, of one socket or of many. */
type Counts = Omit<Stats, "systemCalls" | "segmentationRefused" | "receiveBuffer">;

/** What became of the datagrams of many sockets. */
export interface Totals extends Counts {
  /**
   * Losses that the host counted since this thread's first socket, for all its sockets; the kernel tells no socket of them.
   * `undefined` if they cannot be read: this needs Linux and /proc.
   */
  readonly host: HostCounts | undefined;
}

/** The counters of a host that say that it dropped what came, by the names that `nstat` has for them. */
export const hostCounters = [
  "IpReasmFails",
  "Ip6ReasmFails",
  "UdpRcvbufErrors",
  "Udp6RcvbufErrors",
  "UdpInErrors",
  "Udp6InErrors",
] as const;
export type HostCounter = (typeof hostCounters)[number];

/**
 * What a host has counted, of all programs in its network namespace; `undefined` of a counter that it does not have.
 *
 * - `IpReasmFails`, `Ip6ReasmFails`: fragments for which there was no memory, and fragmented datagrams that were
 *   discarded because a fragment was missing. While the memory for fragments is full, no fragmented datagram arrives.
 * - `UdpRcvbufErrors`, `Udp6RcvbufErrors`: datagrams dropped at a full receive buffer, by IP version.
 * - `UdpInErrors`, `Udp6InErrors`: those, and what had a wrong checksum or was malformed.
 */
export type HostCounts = Readonly<Record<HostCounter, number | undefined>>;

/** The counts that the driver keeps. */
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

/** Keeps the other counts. The ledger above counts everything that this one counts. */
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

  /** @param capabilities of the driver: what it cannot tell stays `undefined`. */
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

  /** From now on, ICMP errors are counted: a count of 0 means that there was none. */
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
