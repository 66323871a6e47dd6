import type { Flight } from "../link/flight.js";
import type { Channel } from "../link/channel.js";

/** A node's end of a link, named as Linux would: `"eth0"`; `"lo"` is the one that leads back. */
export interface Interface {
  readonly node: Node;
  readonly name: string;
  /** From 1 on, in the order of the links; `lo` is 1 on hosts. */
  readonly index: number;
  /** The way out. */
  readonly out: Channel;
}

/** Something that links lead to. */
export interface Node {
  readonly name: string;
  readonly kind: "host" | "router" | "switch";
  readonly interfaces: readonly Interface[];
  /**
   * A packet has come by an interface. Sees to it that its fate is settled.
   *
   * @returns whether a program was told of something.
   */
  arrive(flight: Flight, at: Interface): boolean;
  /** A link was attached. */
  attach(out: Channel): Interface;
}
