import type { Packet } from "../packet/packet.js";
import type { Random } from "../random.js";
import type { CancellableScheduler } from "../time/event.js";
import type { Trace } from "../trace/trace.js";
import type { Node } from "./node.js";

/** What all parts of one network share. */
export interface NetworkContext {
  readonly scheduler: CancellableScheduler;
  readonly trace: Trace;
  /** Changes whenever a node, a link or an address is added: what is known of routes is void then. */
  readonly generation: number;
  /** Who has an address, IPv4 or IPv6, as `Address` spells it. */
  owner(address: string): Node | undefined;
  /** Whether a destination is everybody on the network of some node, one that `source` is in: its directed broadcast (RFC 919). */
  isBroadcast(address: string, source?: string): boolean;
  /** Gives a node one more address. @throws `RangeError` where another has it. */
  claim(address: string, node: Node): void;
  /** A rank on the timeline that nobody else has. */
  nextRank(): number;
  /** The number of the next packet. */
  nextPacketNumber(): number;
  /** A stream of random numbers of that name. */
  randomStream(name: string): Random;
  /** Whether the network is partitioned between the source of a packet and its destination, or `next` of one to everybody. */
  isPartitioned(packet: Packet, next: Node): boolean;
}
