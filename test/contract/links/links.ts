/**
 * Contract rows for a host on two links, with a neighbour at the far end of each. Over the kernel the rows run in a network
 * namespace that test/netns/links.test.ts makes. Over the simulated network they run like all others.
 */

import { AF_INET, AF_INET6, Address, type Family, type Socket } from "datagram";

import { soon } from "../world.js";

/** One of the two links of the host under test. */
export interface LinkEnd {
  /** The interface of the host under test. */
  readonly name: string;
  /** The first characters of the neighbour's answers: `"link0 "` or `"link1 "`. */
  readonly mark: string;
  /** The host's own address on this link. */
  own(family?: Family): string;
  /** The neighbour, which answers each datagram with `mark` and its payload. */
  neighbour(family?: Family): Address;
}

/** The port of both neighbours. They answer to unicast, to broadcast, and to the groups of `heardGroups`. */
export const neighbourPort = 7000;

/** The groups that both neighbours have joined. */
export const heardGroups = {
  [AF_INET]: "239.77.7.7",
  [AF_INET6]: "ff05::4242",
} as const satisfies Record<Family, string>;

/** A group of link-local scope that both neighbours have joined too. */
export const linkLocalGroup = "ff02::4242";

const names = (process.env.DATAGRAM_LINKS ?? "eth0 eth1").split(" ");

/** Both links, in the order of their interfaces: the routes of a host to groups name the first interface. */
export const links: readonly [LinkEnd, LinkEnd] = [linkEnd(0), linkEnd(1)];

/** Makes the neighbour of a link send `text` to `group`, from its address on that link. */
export async function say(from: Socket, { neighbour }: LinkEnd, group: Address, text: string): Promise<void> {
  await from.sendto(`say ${group.host} ${group.port} ${text}`, neighbour(group.family as Family));
}

/** The next answer of a neighbour, as text. */
export async function answer(to: Socket): Promise<string> {
  return (await to.recvmsg(soon)).data.toString();
}

function linkEnd(index: 0 | 1): LinkEnd {
  const at = (family: Family, last: 1 | 2): string =>
    family === AF_INET ? `10.77.${index}.${last}` : `fd00:77:${index}::${last}`;
  return {
    name: names[index] ?? "",
    mark: `link${index} `,
    own: (family = AF_INET) => new Address(at(family, 1), 0).host,
    neighbour: (family = AF_INET) => new Address(at(family, 2), neighbourPort),
  };
}
