import type { OSError } from "./errors.js";

/** A count of datagrams and of their payload bytes. */
export interface Traffic {
  readonly datagrams: number;
  readonly bytes: number;
}

/**
 * System calls by which datagrams were sent and received, whether they found any or not. One that was refused a segmented
 * send counts with what repeated it as one.
 */
export interface SystemCalls {
  readonly send: number;
  readonly receive: number;
}

/**
 * What became of the datagrams of a socket since it was opened, by cause.
 * A number counts what is known; `undefined` says that nobody here can tell, which is not 0.
 */
export interface Stats {
  /** Handed to the kernel. Whether they arrived, only the peer can tell. */
  readonly sent: Traffic;
  /** Handed to the program. */
  readonly received: Traffic;
  /** Of those received: cut to the size that the program asked for. */
  readonly truncated: number;
  /** Dropped by the kernel because the socket's receive buffer was full: at least so many. */
  readonly droppedKernel: number | undefined;
  /**
   * Dropped by this process: the `dgram` driver's own queue was full, or they had been read ahead and were unread at
   * `close()`. What lies in the kernel's buffer at `close()` is not counted.
   */
  readonly droppedQueue: number;
  /** ICMP errors by code. Only a connected socket is told of them; `undefined` until then. */
  readonly unreachable: Readonly<Record<string, number>> | undefined;
  /** Refused because they were longer than a datagram, or than the path, can carry. */
  readonly tooBig: number;
  /** Sends that failed, by code: `tooBig` among them, as `EMSGSIZE`. */
  readonly sendErrors: Readonly<Record<string, number>>;
  /** What it took: far fewer than datagrams, where runs of them travel together. */
  readonly systemCalls: SystemCalls | undefined;
  /**
   * Segmented sends that the kernel refused, by code, and whose datagrams then went one by one: `EMSGSIZE` where the path
   * to a destination is too narrow, `EIO` where the device on the way cannot, `EINVAL` where this socket must not.
   */
  readonly segmentationRefused: Readonly<Record<string, number>> | undefined;
}

/** The part of them that the driver keeps. */
export type DriverCounts = Pick<Stats, "droppedKernel" | "systemCalls" | "segmentationRefused">;

/** Keeps the rest. */
export class Ledger {
  #sent = 0;
  #sentBytes = 0;
  #received = 0;
  #receivedBytes = 0;
  #truncated = 0;
  #droppedQueue = 0;
  #tooBig = 0;
  #unreachable: Map<string, number> | undefined;
  readonly #sendErrors = new Map<string, number>();

  sent(datagrams: number, bytes: number): void {
    this.#sent += datagrams;
    this.#sentBytes += bytes;
  }

  received(datagrams: number, bytes: number): void {
    this.#received += datagrams;
    this.#receivedBytes += bytes;
  }

  truncated(): void {
    this.#truncated++;
  }

  droppedQueue(datagrams: number): void {
    this.#droppedQueue += datagrams;
  }

  sendFailed({ code }: OSError): void {
    if (code === "EMSGSIZE") this.#tooBig++;
    increase(this.#sendErrors, code);
  }

  /** From now on, ICMP errors would be seen. */
  watchUnreachable(): void {
    this.#unreachable ??= new Map();
  }

  unreachable(code: string): void {
    increase((this.#unreachable ??= new Map<string, number>()), code);
  }

  /** The counts now, frozen. */
  snapshot(counts: DriverCounts): Stats {
    return Object.freeze({
      sent: Object.freeze({ datagrams: this.#sent, bytes: this.#sentBytes }),
      received: Object.freeze({ datagrams: this.#received, bytes: this.#receivedBytes }),
      truncated: this.#truncated,
      ...counts,
      droppedQueue: this.#droppedQueue,
      unreachable: this.#unreachable && Object.freeze(Object.fromEntries(this.#unreachable)),
      tooBig: this.#tooBig,
      sendErrors: Object.freeze(Object.fromEntries(this.#sendErrors)),
    });
  }
}

function increase(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
