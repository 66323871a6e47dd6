import { outOfRange, wrongType } from "../../core/errors/errors.js";
import type { Node } from "./node.js";

interface Partition {
  /** In which group each host is. */
  readonly groups: ReadonlyMap<Node, number>;
  /** Whether only what goes to a later group is stopped. */
  readonly oneWay: boolean;
}

/** The partitions that a network is under: between hosts of different groups of any one of them, nothing passes. */
export class Partitions {
  readonly #partitions = new Set<Partition>();

  /**
   * @param call that asks for it: `"partitionOneWay"` lets pass what goes from a group to one before it.
   * @param isHost whether something is a host of this network.
   * @returns the call that heals it.
   * @throws `TypeError`, `RangeError` for what are no groups of hosts, each host in one.
   */
  add(
    call: "partition" | "partitionOneWay",
    groups: readonly unknown[],
    isHost: (given: unknown) => given is Node,
  ): () => void {
    const members = new Map<Node, number>();
    for (const [index, group] of groups.entries()) {
      if (!Array.isArray(group)) throw wrongType(`${call}: group ${index}`, "an array of hosts", group);
      for (const host of group as unknown[]) {
        if (!isHost(host)) throw wrongType(`${call}: group ${index}`, "hosts of this network", nameOf(host));
        if (members.has(host)) {
          throw outOfRange(`${call}: group ${index}`, "hosts that no other group has", host.name);
        }
        members.set(host, index);
      }
    }
    const partition = { groups: members, oneWay: call === "partitionOneWay" };
    this.#partitions.add(partition);
    return () => {
      this.#partitions.delete(partition);
    };
  }

  /** Whether nothing passes from one node to another. */
  separates(from: Node | undefined, to: Node | undefined): boolean {
    if (!from || !to) return false;
    for (const { groups, oneWay } of this.#partitions) {
      const [here, there] = [groups.get(from), groups.get(to)];
      if (here === undefined || there === undefined) continue;
      if (oneWay ? here < there : here !== there) return true;
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
