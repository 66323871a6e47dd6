import { type HostAddress, bytesOf, isWithin } from "../node/addresses.js";
import type { Fabric } from "../node/fabric.js";
import type { Interface, Node } from "../node/node.js";

/** Which address of a host belongs to which of its links: the first behind which a neighbour is in the same network. */
export class Segments {
  readonly #fabric: Fabric;
  readonly #links: readonly Interface[];
  readonly #known = new Map<string, Interface | undefined>();
  #generation = -1;

  /** @param interfaces of the host, the loopback interface first. */
  constructor(fabric: Fabric, interfaces: readonly Interface[]) {
    this.#fabric = fabric;
    this.#links = interfaces;
  }

  /** The link of an address; the first one, where no neighbour tells. */
  of(address: HostAddress): Interface | undefined {
    const links = this.#links.slice(1);
    if (links.length < 2) return links[0];
    if (this.#generation !== this.#fabric.generation) this.#known.clear();
    this.#generation = this.#fabric.generation;
    let found = this.#known.get(address.host);
    if (!found) {
      found = links.find((each) => leadsInto(each, address)) ?? links[0];
      this.#known.set(address.host, found);
    }
    return found;
  }
}

/** Whether a neighbour behind a link, with nothing but switches between, is in the network of an address. */
function leadsInto({ node: self, out }: Interface, address: HostAddress): boolean {
  const seen = new Set<Node>([self]);
  const nodes: Node[] = [out.to.node];
  for (const node of nodes) {
    if (seen.has(node)) continue;
    seen.add(node);
    if (node.kind !== "switch") {
      if (node.addresses.some((each) => isWithin(bytesOf(each), address))) return true;
    } else {
      nodes.push(...node.interfaces.map((each) => each.out.to.node));
    }
  }
  return false;
}
