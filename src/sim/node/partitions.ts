import { outOfRange, wrongType } from "../../core/errors/errors.js";
import type { Node } from "./node.js";

interface Partition {
  /** The group of each host. */
  readonly groups: ReadonlyMap<Node, number>;
  /** Whether only packets to a later group are lost. */
  readonly oneWay: boolean;
}

/** The partitions of a network. A partition loses the packets between hosts of different groups. */
export class Partitions {
  readonly #partitions = new Set<Partition>();

  /**
   * Adds a partition.
   *
   * @param call of the user. With `"partitionOneWay"`, packets from a group to an earlier group pass.
   * @param isHost whether a value is a host of this network.
   * @returns a function that ends the partition.
   * @throws `TypeError`, `RangeError` unless each group is an array of hosts, and each host is in one group.
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

  /** Whether packets from one node to another are lost. */
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

/** The name of a node or link for an error; another value is returned as it is. */
export function nameOf(given: unknown): unknown {
  return typeof given === "object" && given !== null && "name" in given ? given.name : given;
}
