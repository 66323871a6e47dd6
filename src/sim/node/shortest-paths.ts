import type { NetworkContext } from "./context.js";
import type { Interface, Node } from "./node.js";

/** Destinations that one node remembers; past that many it starts anew. */
const maxKnown = 16_384;

/**
 * The way from one node to others, by the fewest links, and of these the one that was made first. Hosts pass nothing on.
 * Links that are cut count as if they were there: routes are static.
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

  /** The interface that leads to a node; `undefined` where none does. */
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
    // What the destination hangs on: with that, the search looks at no host.
    const nextTo = new Set(node.interfaces.map(({ out }) => out.to.node));
    return this.#walk((at, first) => {
      if (!nextTo.has(at)) return undefined;
      // The way back from there, seen from this end.
      return first ?? node.interfaces.find(({ out }) => out.to.node === at)?.out.to;
    });
  }

  /** Goes from ring to ring, until `found` says that it was there, by the interface that led there. */
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

/** What `onward` has found, and in which state of the network. */
const found = new WeakMap<Node, { readonly generation: number; readonly interfaces: readonly Interface[] }>();

/** The interfaces of a node that lead on, to a router or a switch: of those of a switch, few. */
function onward(node: Node, generation: number): readonly Interface[] {
  const known = found.get(node);
  if (known?.generation === generation) return known.interfaces;
  const interfaces = node.interfaces.filter(({ out }) => out.to.node.kind !== "host");
  found.set(node, { generation, interfaces });
  return interfaces;
}
