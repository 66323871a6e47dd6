import type { NetworkContext } from "./context.js";
import type { Interface, Node } from "./node.js";

/** The number of destinations that one node remembers. When it is reached, all of them are forgotten. */
const maxKnown = 16_384;

/**
 * The paths from one node to others: by the fewest links, and of equal paths the one whose links were made first. Hosts
 * forward nothing. Paths are static: a link that is cut still counts.
 */
export class ShortestPaths {
  readonly #context: NetworkContext;
  readonly #from: Node;
  #known = new Map<Node, Interface | null>();
  #generation = -1;

  constructor(context: NetworkContext, from: Node) {
    this.#context = context;
    this.#from = from;
  }

  /** The interface that leads to a node; `undefined` if none does. */
  to(node: Node): Interface | undefined {
    const { generation } = this.#context;
    if (generation !== this.#generation || this.#known.size >= maxKnown) {
      this.#known.clear();
      this.#generation = generation;
    }
    let found = this.#known.get(node);
    if (found === undefined) {
      found = this.#search(node) ?? null;
      this.#known.set(node, found);
    }
    return found ?? undefined;
  }

  /** The interface that leads to the nearest router. */
  toRouter(): Interface | undefined {
    this.#generation = this.#context.generation;
    return this.#walk((at, first) => (at.kind === "router" && at !== this.#from ? first : undefined));
  }

  #search(node: Node): Interface | undefined {
    // The search ends at a neighbour of the destination, so that it need not look at hosts.
    const nextTo = new Set(node.interfaces.map(({ out }) => out.to.node));
    return this.#walk((at, first) => {
      if (!nextTo.has(at)) return undefined;
      // This node is the neighbour: the interface is the other end of a link of the destination.
      return first ?? node.interfaces.find(({ out }) => out.to.node === at)?.out.to;
    });
  }

  /** A breadth-first search. `first` is the interface of this node that led to `at`. Ends when `found` returns an interface. */
  #walk(found: (at: Node, first: Interface | undefined) => Interface | undefined): Interface | undefined {
    const seen = new Set<Node>([this.#from]);
    let ring: { at: Node; first: Interface | undefined }[] = [{ at: this.#from, first: undefined }];
    while (ring.length > 0) {
      const next: typeof ring = [];
      for (const { at, first } of ring) {
        const end = found(at, first);
        if (end) return end;
        for (const each of onward(at, this.#generation)) {
          const beyond = each.out.to.node;
          if (seen.has(beyond)) continue;
          seen.add(beyond);
          next.push({ at: beyond, first: first ?? each });
        }
      }
      ring = next;
    }
    return undefined;
  }
}

/** The results of `onward`, with the generation of the network that they are valid for. */
const cache = new WeakMap<Node, { readonly generation: number; readonly interfaces: readonly Interface[] }>();

/** The interfaces of a node that lead to a router or a switch. Cached, because a switch may have very many others. */
function onward(node: Node, generation: number): readonly Interface[] {
  const known = cache.get(node);
  if (known?.generation === generation) return known.interfaces;
  const interfaces = node.interfaces.filter(({ out }) => out.to.node.kind !== "host");
  cache.set(node, { generation, interfaces });
  return interfaces;
}
