import type { Membership, MembershipLimits } from "../../core/membership.js";
import { type SourceFilter, changeFilter, passes } from "../../core/source-filter.js";
import { onTheWire } from "../node/addresses.js";
import type { Interface } from "../node/node.js";

/** What every host is in (RFC 1112 section 4, RFC 4291 section 2.7.1). */
const everybody: ReadonlySet<string> = new Set(["224.0.0.1", "ff01::1", "ff02::1"]);

/** Linux's own: `igmp_max_memberships` and `igmp_max_msf` (ip(7)), `mld_max_msf` (net/ipv6/mcast.c). */
const limits = { 4: { groups: 20, sources: 10 }, 6: { groups: Infinity, sources: 64 } } as const;

/** The limits for groups of a version of IP. */
export function membershipLimits(version: 4 | 6): MembershipLimits {
  return limits[version];
}

/** The multicast groups that the sockets of one host are in, on which interfaces, and from which senders. */
export class Groups {
  readonly #filters = new Map<string, Map<object, SourceFilter>>();

  /** @returns the code of the error where it is refused. */
  change(socket: object, { call, group, source }: Membership, at: Interface): string | undefined {
    const host = onTheWire(group.host);
    const key = keyOf(host, at);
    const most = limits[host.includes(":") ? 6 : 4];
    const filters = this.#filters.get(key) ?? new Map<object, SourceFilter>();
    const before = filters.get(socket);
    const after = changeFilter(call, before, source ? onTheWire(source.host) : "", most.sources);
    if (typeof after === "string") return after;
    if (!after) {
      this.#remove(key, socket);
      return undefined;
    }
    if (!before && this.#count(socket) >= most.groups) return "ENOBUFS";
    this.#filters.set(key, filters.set(socket, after));
    return undefined;
  }

  /** A socket was closed. */
  leaveAll(socket: object): void {
    for (const key of [...this.#filters.keys()]) this.#remove(key, socket);
  }

  /** Whether any socket of this host wants what a sender sends to a group: the interface takes nothing else. */
  has(group: string, source: string, at: Interface): boolean {
    if (everybody.has(group)) return true;
    for (const filter of this.#filters.get(keyOf(group, at))?.values() ?? [])
      if (passes(filter, source)) return true;
    return false;
  }

  /**
   * Whether a socket hears what has come to a group.
   *
   * @param all what others joined too (`IP_MULTICAST_ALL`, ip(7)).
   */
  hears(socket: object, group: string, source: string, at: Interface, all: boolean): boolean {
    const own = this.#filters.get(keyOf(group, at))?.get(socket);
    return own ? passes(own, source) : all;
  }

  #count(socket: object): number {
    let count = 0;
    for (const filters of this.#filters.values()) if (filters.has(socket)) count++;
    return count;
  }

  #remove(key: string, socket: object): void {
    const filters = this.#filters.get(key);
    filters?.delete(socket);
    if (filters?.size === 0) this.#filters.delete(key);
  }
}

function keyOf(group: string, at: Interface): string {
  return `${group}%${at.index}`;
}
