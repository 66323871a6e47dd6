import type { Fabric } from "./fabric.js";
import type { Interface, Node } from "./node.js";

/** Destinations that one node remembers; past that many it starts anew. */
const mostKnown = 16_384;

/**
 * The way from one node to others, by the fewest links, and of these the one that was made first. Hosts pass nothing on.
 * Links that are cut count as if they were there: routes are static.
 */
export class Routes {
  readonly #fabric: Fabric;
  readonly #from: Node;
  #known = new Map<Node, Interface | null>();
  #generation = -1;

  constructor(fabric: Fabric, from: Node) {
    this.#fabric = fabric;
    this.#from = from;
  }

  /** The interface that leads to a node; `undefined` where none does. */
  to(node: Node): Interface | undefined {
    const { generation } = this.#fabric;
    if (generation !== this.#generation || this.#known.size >= mostKnown) {
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

  #search(node: Node): Interface | undefined {
    // What the destination hangs on: with that, the search looks at no host but those at its two ends.
    const nextTo = new Set(node.interfaces.map(({ out }) => out.to.node));
    const seen = new Set<Node>([this.#from]);
    let ring: { at: Node; first: Interface | undefined }[] = [{ at: this.#from, first: undefined }];
    while (ring.length > 0) {
      const next: typeof ring = [];
      for (const { at, first } of ring) {
        if (nextTo.has(at)) {
          const last = at.interfaces.find(({ out }) => out.to.node === node);
          return first ?? last;
        }
        for (const each of at.interfaces) {
          const beyond = each.out.to.node;
          if (beyond.kind === "host" || seen.has(beyond)) continue;
          seen.add(beyond);
          next.push({ at: beyond, first: first ?? each });
        }
      }
      ring = next;
    }
    return undefined;
  }
}
