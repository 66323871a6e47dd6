import type { Transit } from "../link/transit.js";
import { isGroup } from "./addresses.js";
import type { NetworkContext } from "./context.js";
import type { OutgoingLink, Interface, Node } from "./node.js";
import { ShortestPaths } from "./shortest-paths.js";

/**
 * A switch joins its links to one Ethernet segment. It forwards packets to their destination, and broadcasts and multicast to
 * all other links. It changes no packet. The next link drops packets that are too big for it.
 */
export class Switch implements Node {
  /** Tells a switch from a host and a router. */
  readonly kind = "switch";
  /** The name, as given to `network.switch()`. */
  readonly name: string;
  /** The interfaces, in the order of the links. @internal */
  readonly interfaces: Interface[] = [];
  /** Always empty: a switch has no address. */
  readonly addresses: readonly string[] = [];
  readonly #context: NetworkContext;
  readonly #paths: ShortestPaths;

  /** Made by `network.switch()`. @internal */
  constructor(context: NetworkContext, name: string) {
    this.name = name;
    this.#context = context;
    this.#paths = new ShortestPaths(context, this);
  }

  /** Adds an interface for a new link. @internal */
  attach(out: OutgoingLink): Interface {
    const index = this.interfaces.length + 1;
    const made = { node: this, name: `port${index}`, index, out };
    this.interfaces.push(made);
    return made;
  }

  /** Takes a packet that arrived at an interface. @internal */
  arrive(transit: Transit, at: Interface): boolean {
    const { trace } = this.#context;
    const { packet } = transit;
    const toAll = isGroup(packet.destination) || this.#context.isBroadcast(packet.destination, packet.source);
    const owner = this.#context.owner(packet.destination);
    // If no node has the address, the packet is for the router that the sender expects here.
    const next = owner ? this.#paths.to(owner) : this.#paths.toRouter();
    if (!toAll && (!next || next === at)) {
      trace.setFate(transit, "no route");
      return false;
    }
    trace.setFate(transit, "forwarded");
    if (!toAll) next?.out.transmit(packet);
    else for (const each of this.interfaces) if (each !== at) each.out.transmit(packet);
    return false;
  }
}
