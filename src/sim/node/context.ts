import type { Packet } from "../packet/packet.js";
import type { Random } from "../random.js";
import type { CancellableScheduler } from "../time/event.js";
import type { Trace } from "../trace/trace.js";
import type { Node } from "./node.js";

/** What all nodes and links of one network share. */
export interface NetworkContext {
  readonly scheduler: CancellableScheduler;
  readonly trace: Trace;
  /** Changes whenever a node, a link or an address is added. Cached routes are invalid then. */
  readonly generation: number;
  /** The node that has an address, IPv4 or IPv6, as `Address` writes it. */
  owner(address: string): Node | undefined;
  /** Whether a destination is the directed broadcast (RFC 919) of a network that some node is in, and that `source` is in. */
  isBroadcast(address: string, source?: string): boolean;
  /** Gives one more address to a node. @throws `RangeError` if another node has it. */
  claim(address: string, node: Node): void;
  /** A new rank for the events of one link direction or host. */
  nextRank(): number;
  /** The number of the next packet. */
  nextPacketNumber(): number;
  /** The stream of random numbers with this name. */
  randomStream(name: string): Random;
  /** Whether a partition separates the source of a packet from its destination, or from `next` for broadcast and multicast. */
  isPartitioned(packet: Packet, next: Node): boolean;
}
