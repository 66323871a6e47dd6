import type { Transit } from "../link/transit.js";
import type { Packet } from "../packet/packet.js";

/** A link as the node sees it that sends over it: one direction of the link. */
export interface OutgoingLink {
  /** The interface at the far end. */
  readonly to: Interface;
  /** Bytes of the largest packet that fits. */
  readonly mtu: number;
  /** Sends a packet over the link, which may lose it. */
  transmit(packet: Packet): void;
  /** Discards the packets that wait to leave, because the host crashed. */
  discard(): void;
}

/** The end of a link at a node, named as on Linux: `"eth0"`, on a switch `"port1"`. `"lo"` of a host leads back to it. */
export interface Interface {
  readonly node: Node;
  readonly name: string;
  /** From 1 on, in the order of the links; `lo` is 1 on hosts. */
  readonly index: number;
  readonly out: OutgoingLink;
}

/**
 * A node of the network: a host, a router or a switch.
 *
 * The other files of this folder: `router.ts` and `switch.ts` are two kinds of nodes; hosts are in `host/`. `nat.ts`
 * translates addresses for a router. `addresses.ts` and `address-book.ts` read addresses and know their owners.
 * `shortest-paths.ts` finds the interface that leads to another node. `partitions.ts` separates hosts. `context.ts` is what
 * all nodes and links of one network share.
 */
export interface Node {
  readonly name: string;
  readonly kind: "host" | "router" | "switch";
  readonly interfaces: readonly Interface[];
  /** The addresses of the node, as `Address` writes them; a switch has none. */
  readonly addresses: readonly string[];
  /**
   * Takes a packet that arrived at an interface, and sets its fate in the trace.
   *
   * @returns whether a program was called.
   */
  arrive(transit: Transit, at: Interface): boolean;
  /** Adds an interface for a new link. */
  attach(out: OutgoingLink): Interface;
}
