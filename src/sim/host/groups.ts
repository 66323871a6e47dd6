import type { MembershipChange, MembershipLimits } from "../../core/driver/membership.js";
import { type SourceFilter, changeFilter, passes } from "../../core/driver/source-filter.js";
import { onTheWire } from "../node/addresses.js";
import type { Interface } from "../node/node.js";

/** The groups that every host is in (RFC 1112 section 4, RFC 4291 section 2.7.1). */
const allHostsGroups: ReadonlySet<string> = new Set(["224.0.0.1", "ff01::1", "ff02::1"]);

/** The limits of one socket on Linux: `igmp_max_memberships` and `igmp_max_msf` (ip(7)), `mld_max_msf` (net/ipv6/mcast.c). */
const limits = { 4: { groups: 20, sources: 10 }, 6: { groups: Infinity, sources: 64 } } as const;

/** The limits for groups of a version of IP. */
export function membershipLimits(version: 4 | 6): MembershipLimits {
  return limits[version];
}

/** The membership of a socket in a group, on one interface. */
interface Joined {
  readonly socket: object;
  readonly at: Interface;
  filter: SourceFilter;
}

/** The multicast memberships of the sockets of one host: group, interface and senders. */
export class Groups {
  /** By group. The last membership comes first, as in the lists of Linux. */
  readonly #joined = new Map<string, Joined[]>();

  /** Changes a membership. @returns the code of the error if the change is refused. */
  change(socket: object, { call, group, source }: MembershipChange, at: Interface): string | undefined {
    const host = onTheWire(group.host);
    const limit = limits[versionOf(host)];
    const before = this.#find(host, socket, at);
    const after = changeFilter(call, before?.filter, source ? onTheWire(source.host) : "", limit.sources);
    if (typeof after === "string") return after;
    if (!after) this.#leave(host, (each) => each === before);
    else if (before) before.filter = after;
    else if (this.#count(socket) >= limit.groups) return "ENOBUFS";
    else this.#joined.set(host, [{ socket, at, filter: after }, ...(this.#joined.get(host) ?? [])]);
    return undefined;
  }

  /** Ends all memberships of a socket. */
  leaveAll(socket: object): void {
    for (const group of [...this.#joined.keys()]) this.#leave(group, (each) => each.socket === socket);
  }

  /** Whether any socket of this host receives from a sender in a group. The interface drops other packets. */
  has(group: string, source: string, at: Interface): boolean {
    if (allHostsGroups.has(group)) return true;
    const joined = this.#joined.get(group);
    return joined?.some((each) => each.at === at && passes(each.filter, source)) === true;
  }

  /**
   * Whether a socket receives a datagram to a group.
   *
   * @param all whether it also receives groups that only other sockets joined (`IP_MULTICAST_ALL`, ip(7)).
   */
  delivers(socket: object, group: string, source: string, at: Interface, all: boolean): boolean {
    // Over IPv6, a membership on one interface counts for all interfaces (`inet6_mc_check`, net/ipv6/mcast.c).
    const own = this.#find(group, socket, versionOf(group) === 4 ? at : undefined);
    return own ? passes(own.filter, source) : all;
  }

  #find(group: string, socket: object, at: Interface | undefined): Joined | undefined {
    return this.#joined.get(group)?.find((each) => each.socket === socket && (!at || each.at === at));
  }

  /** The number of IPv4 groups that a socket is in. */
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
