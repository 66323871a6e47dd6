import { outOfRange, wrongType } from "../../core/errors.js";
import type { Node } from "./node.js";

/** In which group each host is. */
type Partition = ReadonlyMap<Node, number>;

/** The partitions that a network is under: between hosts of different groups of any one of them, nothing passes. */
export class Partitions {
  readonly #partitions = new Set<Partition>();

  /**
   * @param isHost whether something is a host of this network.
   * @returns the call that heals it.
   * @throws `TypeError`, `RangeError` for what are no groups of hosts, each host in one.
   */
  add(groups: readonly unknown[], isHost: (given: unknown) => given is Node): () => void {
    const partition = new Map<Node, number>();
    for (const [index, group] of groups.entries()) {
      if (!Array.isArray(group)) throw wrongType(`partition: group ${index}`, "an array of hosts", group);
      for (const host of group as unknown[]) {
        if (!isHost(host))
          throw wrongType(`partition: group ${index}`, "hosts of this network", nameOf(host));
        if (partition.has(host)) {
          throw outOfRange(`partition: group ${index}`, "hosts that no other group has", host.name);
        }
        partition.set(host, index);
      }
    }
    this.#partitions.add(partition);
    return () => {
      this.#partitions.delete(partition);
    };
  }

  /** Whether nothing passes between two nodes. */
  part(one: Node | undefined, other: Node | undefined): boolean {
    if (!one || !other) return false;
    for (const groups of this.#partitions) {
      const [here, there] = [groups.get(one), groups.get(other)];
      if (here !== undefined && there !== undefined && here !== there) return true;
    }
    return false;
  }

  get isEmpty(): boolean {
    return this.#partitions.size === 0;
  }
}

/** What an error names in place of a node. */
export function nameOf(given: unknown): unknown {
  return typeof given === "object" && given !== null && "name" in given ? given.name : given;
}
