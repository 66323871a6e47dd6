import type { Membership, MembershipLimits } from "../../core/driver/membership.js";
import { type SourceFilter, changeFilter, passes } from "../../core/driver/source-filter.js";
import { onTheWire } from "../node/addresses.js";
import type { Interface } from "../node/node.js";

/** What every host is in (RFC 1112 section 4, RFC 4291 section 2.7.1). */
const everybody: ReadonlySet<string> = new Set(["224.0.0.1", "ff01::1", "ff02::1"]);

/** Of one socket, as Linux has them: `igmp_max_memberships` and `igmp_max_msf` (ip(7)), `mld_max_msf` (net/ipv6/mcast.c). */
const limits = { 4: { groups: 20, sources: 10 }, 6: { groups: Infinity, sources: 64 } } as const;

/** The limits for groups of a version of IP. */
export function membershipLimits(version: 4 | 6): MembershipLimits {
  return limits[version];
}

/** A group that a socket is in, on one interface. */
interface Joined {
  readonly socket: object;
  readonly at: Interface;
  filter: SourceFilter;
}

/** The multicast groups that the sockets of one host are in, on which interfaces, and from which senders. */
export class Groups {
  /** By group; what was joined last comes first, as in Linux's lists. */
  readonly #joined = new Map<string, Joined[]>();

  /** @returns the code of the error where it is refused. */
  change(socket: object, { call, group, source }: Membership, at: Interface): string | undefined {
    const host = onTheWire(group.host);
    const most = limits[versionOf(host)];
    const before = this.#find(host, socket, at);
    const after = changeFilter(call, before?.filter, source ? onTheWire(source.host) : "", most.sources);
    if (typeof after === "string") return after;
    if (!after) this.#leave(host, (each) => each === before);
    else if (before) before.filter = after;
    else if (this.#count(socket) >= most.groups) return "ENOBUFS";
    else this.#joined.set(host, [{ socket, at, filter: after }, ...(this.#joined.get(host) ?? [])]);
    return undefined;
  }

  /** A socket was closed. */
  leaveAll(socket: object): void {
    for (const group of [...this.#joined.keys()]) this.#leave(group, (each) => each.socket === socket);
  }

  /** Whether any socket of this host wants what a sender sends to a group: the interface takes nothing else. */
  has(group: string, source: string, at: Interface): boolean {
    if (everybody.has(group)) return true;
    const joined = this.#joined.get(group);
    return joined?.some((each) => each.at === at && passes(each.filter, source)) === true;
  }

  /**
   * Whether a socket hears what has come to a group.
   *
   * @param all what others joined too (`IP_MULTICAST_ALL`, ip(7)).
   */
  delivers(socket: object, group: string, source: string, at: Interface, all: boolean): boolean {
    // Over IPv6 a group that was joined on one interface counts for all (`inet6_mc_check`, net/ipv6/mcast.c).
    const own = this.#find(group, socket, versionOf(group) === 4 ? at : undefined);
    return own ? passes(own.filter, source) : all;
  }

  #find(group: string, socket: object, at: Interface | undefined): Joined | undefined {
    return this.#joined.get(group)?.find((each) => each.socket === socket && (!at || each.at === at));
  }

  /** How many IPv4 groups a socket is in. */
  #count(socket: object): number {
    let count = 0;
    for (const [group, joined] of this.#joined) {
      if (versionOf(group) === 4) count += joined.filter((each) => each.socket === socket).length;
    }
    return count;
  }

  #leave(group: string, which: (joined: Joined) => boolean): void {
    const left = this.#joined.get(group)?.filter((each) => !which(each)) ?? [];
    if (left.length > 0) this.#joined.set(group, left);
    else this.#joined.delete(group);
  }
}

function versionOf(host: string): 4 | 6 {
  return host.includes(":") ? 6 : 4;
}
