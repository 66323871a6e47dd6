import type { MembershipCall } from "./membership.js";

/** Whom a socket hears in one group on one interface (RFC 3678, section 3): all senders but some, or some alone. */
export interface SourceFilter {
  /** All but `sources`; otherwise `sources` alone. */
  readonly all: boolean;
  /** Senders, as literals. */
  readonly sources: readonly string[];
}

/** Whether a filter lets the datagrams of a sender pass. */
export function passes({ all, sources }: SourceFilter, source: string): boolean {
  return sources.includes(source) !== all;
}

/**
 * What a change makes of the filter of its group, as Linux has it (`ip_mc_source`, net/ipv4/igmp.c; `ip6_mc_source`,
 * net/ipv6/mcast.c).
 *
 * @param before `undefined` where the group is not joined.
 * @param source of the calls that have one.
 * @param mostSources that one group may have.
 * @returns `undefined` where the group is left now; the code of an error where the system refuses.
 */
export function changeFilter(
  call: MembershipCall,
  before: SourceFilter | undefined,
  source: string,
  mostSources: number,
): SourceFilter | undefined | string {
  switch (call) {
    case "addMembership":
      return before ? "EADDRINUSE" : { all: true, sources: [] };
    case "dropMembership":
      return before ? undefined : "EADDRNOTAVAIL";
    case "addSourceMembership":
      if (before?.all !== false) {
        // A filter of no sources may turn into the other kind.
        return before && before.sources.length > 0 ? "EINVAL" : { all: false, sources: [source] };
      }
      return withSource(before, source, mostSources);
    case "dropSourceMembership":
      if (!before || (before.all && before.sources.length > 0)) return "EINVAL";
      if (before.sources.length === 1 && before.sources.includes(source)) return undefined;
      return withoutSource(before, source);
    case "blockSource":
      return before?.all === true ? withSource(before, source, mostSources) : "EINVAL";
    case "unblockSource":
      return before?.all === true ? withoutSource(before, source) : "EINVAL";
  }
}

function withSource(before: SourceFilter, source: string, most: number): SourceFilter | string {
  if (before.sources.length >= most) return "ENOBUFS";
  if (before.sources.includes(source)) return "EADDRNOTAVAIL";
  return { all: before.all, sources: [...before.sources, source] };
}

function withoutSource(before: SourceFilter, source: string): SourceFilter | string {
  if (!before.sources.includes(source)) return "EADDRNOTAVAIL";
  return { all: before.all, sources: before.sources.filter((each) => each !== source) };
}
