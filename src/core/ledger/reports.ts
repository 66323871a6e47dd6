import type { Endpoint } from "../address/address.js";

/** Tells that some datagrams cannot arrive, and what to do about it. */
export interface Warning {
  /**
   * - `"JOINED_BUT_BOUND"`: the socket joined a group, but it is bound to another address.
   * - `"JOINED_BUT_CONNECTED"`: the socket joined a group, but it is connected to a peer.
   * - `"CONNECTED_TO_GROUP"`: the socket is connected to a group, and a call waits for answers. They do not come from the
   *   address of the group.
   * - `"DISSOLVED_HEARS_FORMER_PEER"`: an IPv6 socket is no longer connected, but on Linux it still receives only from the
   *   host of its former peer.
   * - `"NO_SUCH_EVENT"`: a listener was added for an event that does not exist: an event of `node:dgram`, such as "message",
   *   or a name that is nearly the name of an event.
   * - `"HANDLER_FAILED"`: a handler of `serve` failed, or its answer could not be sent, and `serve` has no `onError`.
   * - `"CHUNKS_VANISH"`: chunks of `messages()` above 1,200 bytes vanish on the path to a peer, and small datagrams arrive.
   */
  readonly code:
    | "JOINED_BUT_BOUND"
    | "JOINED_BUT_CONNECTED"
    | "CONNECTED_TO_GROUP"
    | "DISSOLVED_HEARS_FORMER_PEER"
    | "NO_SUCH_EVENT"
    | "HANDLER_FAILED"
    | "CHUNKS_VANISH";
  /** What is wrong, and what to do. */
  readonly message: string;
}

/** Datagrams that had arrived and were dropped. */
export interface Loss {
  /**
   * - `"receiveBuffer"`: the receive buffer of the kernel was full.
   * - `"queue"`: the queue of the `dgram` driver was full; or a request waited for its answer, and 1,024 other datagrams were
   *   read that no call took.
   * - `"close"`: the datagrams were read ahead and still unread at `close()`.
   */
  readonly cause: "receiveBuffer" | "queue" | "close";
  /** The number of datagrams. For `"receiveBuffer"` it is a minimum: the kernel counts a merged run as one. */
  readonly datagrams: number;
  /** Their payload bytes, if this process read them. */
  readonly bytes: number | undefined;
}

/** An ICMP error. It stands for one datagram or more: hosts limit the rate of their ICMP errors. */
export interface Unreachable {
  /** The destination of the datagram; `undefined` if the kernel had no room to keep it. */
  readonly destination: Endpoint | undefined;
  /** For example `"ECONNREFUSED"`: no socket listens at the destination. */
  readonly code: string;
  /** For example `"port unreachable"`; needs the feature `icmpErrors`. */
  readonly kind: string | undefined;
  /** The host that sent the error, the destination or a router on the way; needs the feature `icmpErrors`. */
  readonly from: string | undefined;
}

/** A path MTU that was learned. */
export interface PathMtuChange {
  /** The destination of the path. */
  readonly destination: Endpoint;
  /** The path MTU in bytes: the largest packet that the path carries whole, with its IP header. */
  readonly mtu: number;
  /** The largest payload in bytes that travels to the destination in one packet. */
  readonly maxPayload: number;
  /** The router that reported it; `undefined` if a route of this host has changed. */
  readonly from: string | undefined;
}
