import type { Packet } from "../packet/packet.js";

/** What became of a packet on one link, and behind it. */
export type Fate =
  /** It is on its way. */
  | "travelling"
  /** A socket has it, or several: broadcasts and multicast. */
  | "delivered"
  /** A router, a switch or a NAT sent it on. */
  | "forwarded"
  /** A fragment that waits for the rest at its destination. */
  | "waits for fragments"
  /** A fragment that was put together with the rest. */
  | "reassembled"
  /** An ICMP error that a host has noted. */
  | "noted"
  /** The link lost it: `lossRatio` and its kin. */
  | "lost"
  /** The queue in front of the link was full: `rateBps`, `queueBytes`; or too much is held already: `network.hold()`. */
  | "queue full"
  /** It waited in front of the link for its turn, by `rateBps`, when the host crashed. */
  | "lost in a crash"
  /** It has come to the end of a link that is held, and waits for `network.release()`. */
  | "held"
  /** The link was cut, or lies between parts of a partitioned network. */
  | "cut"
  /** The link swallowed it: `blackHole`. */
  | "black hole"
  /** A rule of the test dropped it. */
  | "dropped by a rule"
  /** A firewall drops fragments, or ICMP. */
  | "dropped by a firewall"
  /** Too large for the next link, and it must not be taken apart. */
  | "too big"
  /** It had passed as many routers as it may. */
  | "TTL exceeded"
  /** A router knows no way to its destination. */
  | "no route"
  /** A NAT knows no inside host for it. */
  | "no NAT mapping"
  /** It came to a host which does not have that address. */
  | "not for this host"
  /** The host had crashed. */
  | "host is down"
  /** The UDP checksum was wrong: it was corrupted on the way. */
  | "wrong checksum"
  /** Nobody listens at that port, or to that group. */
  | "nobody listens"
  /** The receive buffer of the socket was full. */
  | "receive buffer full"
  /** The rest of its fragments did not come in time. */
  | "reassembly timed out"
  /** The fragments of its datagram overlapped, contradicted each other, or were such as no packet has. */
  | "overlapping fragments"
  /** This fragment had come before. */
  | "duplicate fragment"
  /** No memory was left for fragments. */
  | "no memory for fragments"
  /** An ICMP error that no socket of the host asked for. */
  | "nobody asked";

/** One packet on one link. */
export interface TraceEntry {
  readonly packet: Packet;
  /** The link's direction, such as `"camera→desk"`. */
  readonly link: string;
  /** Milliseconds of virtual time at which it was given to the link. */
  readonly sentMs: number;
  /** At which it arrived, or would have; `undefined` where it never entered the link. */
  readonly arrivedMs: number | undefined;
  readonly fate: Fate;
  /** The link made a second one of it. */
  readonly duplicated: boolean;
  /** The link flipped a bit of it. */
  readonly corrupted: boolean;
  /** The link held it back, so that others overtook it. */
  readonly reordered: boolean;
  /** It waited for `network.release()`, or does so. */
  readonly held: boolean;
}
