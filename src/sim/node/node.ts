import type { Transit } from "../link/transit.js";
import type { Packet } from "../packet/packet.js";

/** The way out of a node: one direction of a link. */
export interface OutgoingLink {
  /** The interface at the far end. */
  readonly to: Interface;
  /** Bytes of the largest packet that fits. */
  readonly mtu: number;
  /** Sends a packet on its way, which may be its end. */
  transmit(packet: Packet): void;
  /** Forgets what still waits to leave, as a host does that crashes. */
  discard(): void;
}

/** A node's end of a link, named as Linux would: `"eth0"`, on a switch `"port1"`; `"lo"` is the one of a host that leads back. */
export interface Interface {
  readonly node: Node;
  readonly name: string;
  /** From 1 on, in the order of the links; `lo` is 1 on hosts. */
  readonly index: number;
  readonly out: OutgoingLink;
}

/** Something that links lead to. */
export interface Node {
  readonly name: string;
  readonly kind: "host" | "router" | "switch";
  readonly interfaces: readonly Interface[];
  /** Its own, as `Address` spells them; a switch has none. */
  readonly addresses: readonly string[];
  /**
   * A packet has come by an interface. Sees to it that its fate is settled.
   *
   * @returns whether a program was told of something.
   */
  arrive(transit: Transit, at: Interface): boolean;
  /** A link was attached. */
  attach(out: OutgoingLink): Interface;
}
