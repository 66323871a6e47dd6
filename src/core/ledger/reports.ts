import type { Endpoint } from "../address/address.js";

/** Says that datagrams can never arrive, and what to do. */
export interface Warning {
  /**
   * `"JOINED_BUT_BOUND"`: a group was joined, and the socket is bound to another address; `"JOINED_BUT_CONNECTED"`: and the
   * socket is connected; `"CONNECTED_TO_GROUP"`: a call waits for answers of a group that the socket is connected to;
   * `"DISSOLVED_HEARS_FORMER_PEER"`: an IPv6 socket is connected no more, and Linux has it hear that peer's host alone.
   */
  readonly code:
    "JOINED_BUT_BOUND" | "JOINED_BUT_CONNECTED" | "CONNECTED_TO_GROUP" | "DISSOLVED_HEARS_FORMER_PEER";
  readonly message: string;
}

/** Datagrams that had arrived and were dropped. */
export interface Loss {
  /**
   * `"receiveBuffer"`: the kernel's receive buffer was full; `"queue"`: the queue that the `dgram` driver keeps was;
   * `"close"`: they had been read ahead and were unread at `close()`.
   */
  readonly cause: "receiveBuffer" | "queue" | "close";
  /** How many; of `"receiveBuffer"` at least so many, since the kernel counts merged ones as one. */
  readonly datagrams: number;
  /** Their payload bytes, if this process read them. */
  readonly bytes: number | undefined;
}

/** An ICMP error. One stands for one datagram or for many: hosts limit how many they send. */
export interface Unreachable {
  /** Where the datagram was going; `undefined` if the kernel had no room to keep it. */
  readonly destination: Endpoint | undefined;
  /** Such as `"ECONNREFUSED"`: nobody is listening there. */
  readonly code: string;
  /** Such as `"port unreachable"`, if the driver can tell (`icmpErrors`). */
  readonly kind: string | undefined;
  /** The host that sent the error, if the driver can tell: the destination itself, or a router on the way. */
  readonly from: string | undefined;
}

/** A path MTU that is newly known. */
export interface PathMtuChange {
  readonly destination: Endpoint;
  /** Bytes of the largest packet that the path is known to carry whole, IP header and all. */
  readonly mtu: number;
  /** Bytes of payload that a datagram may have there and go in one packet. */
  readonly maxPayload: number;
  /** The router that reported it; `undefined` if the routes of this host have changed. */
  readonly from: string | undefined;
}
