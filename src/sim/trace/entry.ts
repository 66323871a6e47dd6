import type { Packet } from "../packet/packet.js";

/** What became of a packet on one link, or at its end. */
export type Fate =
  /** It is on the link. */
  | "travelling"
  /** A socket received it; for broadcast and multicast, one or more sockets. */
  | "delivered"
  /** A router, a switch or a NAT forwarded it. */
  | "forwarded"
  /** A fragment that waits for the other fragments at its destination. */
  | "waits for fragments"
  /** A fragment whose datagram was reassembled. */
  | "reassembled"
  /** An ICMP error that a host has handled. */
  | "noted"
  /** The link lost it: `lossRatio` and the other settings of losses. */
  | "lost"
  /** The queue of the link was full (`rateBps`, `queueBytes`), or the limit of held packets was reached (`network.hold()`). */
  | "queue full"
  /** It waited in the queue of the link because of `rateBps` when the host crashed. */
  | "lost in a crash"
  /** It is at the end of a link, and waits for `network.release()`. */
  | "held"
  /** The link was cut, or a partition separates source and destination. */
  | "cut"
  /** The link lost it silently: `blackHole`. */
  | "black hole"
  /** A rule of the test dropped it. */
  | "dropped by a rule"
  /** A firewall dropped a fragment or an ICMP error. */
  | "dropped by a firewall"
  /** It was too large for the next link, and must not be fragmented. */
  | "too big"
  /** It had passed as many routers as its TTL allows. */
  | "TTL exceeded"
  /** A router has no route to its destination. */
  | "no route"
  /** A NAT has no mapping for it. */
  | "no NAT mapping"
  /** It arrived at a host that does not have its destination address. */
  | "not for this host"
  /** The host had crashed. */
  | "host is down"
  /** The UDP checksum was wrong: it was corrupted on the way. */
  | "wrong checksum"
  /** Nobody listens at that port, or to that group. */
  | "nobody listens"
  /** The receive buffer of the socket was full. */
  | "receive buffer full"
  /** The other fragments did not arrive in time. */
  | "reassembly timed out"
  /** The fragments of its datagram overlapped, contradicted each other, or were invalid. */
  | "overlapping fragments"
  /** The same fragment had arrived before. */
  | "duplicate fragment"
  /** No memory was left for fragments. */
  | "no memory for fragments"
  /** An ICMP error about a packet that no socket of the host sent. */
  | "nobody asked";

/** One packet on one link direction. */
export interface TraceEntry {
  /** The packet as it was on this link. */
  readonly packet: Packet;
  /** The link's direction, such as `"camera→desk"`. */
  readonly link: string;
  /** When it was sent over the link, in milliseconds of virtual time. */
  readonly sentMs: number;
  /** When it arrives or would have arrived, in the same unit; `undefined` if it never entered the link. */
  readonly arrivedMs: number | undefined;
  /** What became of it. It may still change while the network runs. */
  readonly fate: Fate;
  /** Whether it is the duplicate that the link made. */
  readonly duplicated: boolean;
  /** Whether the link flipped a bit of it. */
  readonly corrupted: boolean;
  /** Whether the link delayed it, so that later packets can overtake it. */
  readonly reordered: boolean;
  /** Whether it waited for `network.release()`, or still waits. */
  readonly held: boolean;
}
