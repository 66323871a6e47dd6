import type { Address } from "./address.js";
import type { Datagram } from "./datagram.js";
import type { Buffer } from "node:buffer";

/** The events of a socket. There is no `"error"`: a failure is a rejected promise. */
export interface SocketEvents {
  /** A datagram was longer than the receive call asked for. */
  truncated: [datagram: Datagram];
  /** Datagrams were dropped inside this process. */
  dropped: [loss: Loss];
  /** ICMP said that datagrams to the connected peer do not arrive. */
  unreachable: [report: Unreachable];
}

/** Datagrams that were dropped, and their payload bytes. */
export interface Loss {
  readonly datagrams: number;
  readonly bytes: number;
}

/** What ICMP said. */
export interface Unreachable {
  readonly destination: Address;
  /** Such as `"ECONNREFUSED"`: nobody is listening there. */
  readonly code: string;
}

/** What a `tap` sees. */
export interface Packet {
  readonly direction: "in" | "out";
  /** A copy of the payload for what goes out; what came in is shared with the program. */
  readonly data: Buffer;
  readonly source: Address;
  readonly destination: Address;
  /** Nanoseconds since the epoch. */
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
