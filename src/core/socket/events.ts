import type { Address } from "../address/address.js";
import type { Loss, PathMtuChange, Unreachable, Warning } from "../ledger/reports.js";
import type { Datagram } from "../receive/datagram.js";
import type { Buffer } from "node:buffer";

/**
 * The events of a socket. There is no `"error"`: a failure is a rejected promise. Each is a message on the
 * `node:diagnostics_channel` named `datagram:<event>` too, as `{ socket, message }`.
 */
export interface SocketEvents {
  /** A datagram was longer than the receive call asked for. */
  truncated: [datagram: Datagram];
  /** Datagrams that had arrived were dropped before the program had them. */
  dropped: [loss: Loss];
  /** ICMP said that a datagram did not arrive. */
  unreachable: [report: Unreachable];
  /** The path to a destination carries packets of another size than was known. */
  pathMtu: [change: PathMtuChange];
  /**
   * What the program waits for can never arrive, and no call fails. If there is no listener, the first warning of each `code`
   * is a warning of the process (`process.emitWarning`), except on simulated hosts.
   */
  warning: [warning: Warning];
}

/** What a `tap` sees. */
export interface Packet {
  readonly direction: "in" | "out";
  /** A copy of the payload for what goes out; what came in is shared with the program. */
  readonly data: Buffer;
  readonly source: Address;
  readonly destination: Address;
  /** Nanoseconds since the epoch: when the kernel had what came in, where that is known, else when it was read. */
  readonly timestamp: bigint;
}

/** Tells whoever listens on a socket, and on the `node:diagnostics_channel` named `datagram:<event>`. */
export type Tell = <E extends keyof SocketEvents>(event: E, message: SocketEvents[E][0]) => void;

/** Runs a listener of the program's: what it throws is the program's uncaught exception, and harms nobody here. */
export function runListener(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
