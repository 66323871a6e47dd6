import type { Flight } from "../link/flight.js";
import { isGroup } from "./addresses.js";
import type { Fabric } from "./fabric.js";
import type { Exit, Interface, Node } from "./node.js";
import { Routes } from "./routes.js";

/**
 * A segment of Ethernet: what comes in goes out to its destination, broadcasts and multicast to everybody else. It
 * changes nothing, and drops what is too big for the next link.
 */
export class Switch implements Node {
  readonly kind = "switch";
  readonly name: string;
  readonly interfaces: Interface[] = [];
  readonly addresses: readonly string[] = [];
  readonly #fabric: Fabric;
  readonly #routes: Routes;

  /** Made by `network.switch()`. */
  constructor(fabric: Fabric, name: string) {
    this.name = name;
    this.#fabric = fabric;
    this.#routes = new Routes(fabric, this);
  }

  attach(out: Exit): Interface {
    const index = this.interfaces.length + 1;
    const made = { node: this, name: `port${index}`, index, out };
    this.interfaces.push(made);
    return made;
  }

  arrive(flight: Flight, at: Interface): boolean {
    const { trace } = this.#fabric;
    const { packet } = flight;
    const toAll = isGroup(packet.destination) || this.#fabric.isBroadcast(packet.destination, packet.source);
    const owner = this.#fabric.owner(packet.destination);
    // What nobody has is for the router that the sender counts on.
    const next = owner ? this.#routes.to(owner) : this.#routes.toRouter();
    if (!toAll && (!next || next === at)) {
      trace.settle(flight, "no route");
      return false;
    }
    trace.settle(flight, "forwarded");
    if (!toAll) next?.out.transmit(packet);
    else for (const each of this.interfaces) if (each !== at) each.out.transmit(packet);
    return false;
  }
}
