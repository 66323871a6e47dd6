import { type HostAddress, bytesOf, isWithin } from "../node/addresses.js";
import type { NetworkContext } from "../node/context.js";
import type { Interface, Node } from "../node/node.js";

/**
 * The link of each address of a host: the link with the largest number of neighbours in the network of the address. If
 * links are equal, the second address of a family is on the second link, and so on.
 */
export class AddressLinks {
  readonly #context: NetworkContext;
  readonly #interfaces: readonly Interface[];
  readonly #addresses: readonly HostAddress[];
  readonly #known = new Map<HostAddress, Interface>();
  #generation = -1;

  /** @param interfaces of the host; the loopback interface is the first. */
  constructor(context: NetworkContext, interfaces: readonly Interface[], addresses: readonly HostAddress[]) {
    this.#context = context;
    this.#interfaces = interfaces;
    this.#addresses = addresses;
  }

  /** The link of an address of this host; `undefined` if the host has no links. */
  of(address: HostAddress): Interface | undefined {
    if (this.#interfaces.length <= 2) return this.#interfaces[1];
    if (this.#generation !== this.#context.generation) this.#known.clear();
    this.#generation = this.#context.generation;
    let found = this.#known.get(address);
    if (!found) {
      found = this.#search(address);
      this.#known.set(address, found);
    }
    return found;
  }

  #search(address: HostAddress): Interface {
    const [, first, ...others] = this.#interfaces as [Interface, Interface, ...Interface[]];
    const place = this.#addresses.filter(({ version }) => version === address.version).indexOf(address);
    const score = (link: Interface): number =>
      2 * neighbours(link, address) + (link === this.#interfaces[1 + place] ? 1 : 0);
    return others.reduce((best, each) => (score(each) > score(best) ? each : best), first);
  }
}

/** The number of nodes in the network of an address that a link reaches through switches only. */
function neighbours({ node: self, out }: Interface, address: HostAddress): number {
  let found = 0;
  const seen = new Set<Node>([self]);
  const nodes: Node[] = [out.to.node];
  for (const node of nodes) {
    if (seen.has(node)) continue;
    seen.add(node);
    if (node.addresses.some((each) => isWithin(bytesOf(each), address))) found++;
    if (node.kind === "switch") nodes.push(...node.interfaces.map((each) => each.out.to.node));
  }
  return found;
}
