import type { MembershipCall } from "./membership.js";

/** The senders that a socket accepts in one group on one interface: all except some, or only some (RFC 3678, section 3). */
export interface SourceFilter {
  /** `true`: all senders except `sources` are accepted. `false`: only `sources` are accepted. */
  readonly all: boolean;
  /** IP addresses of senders. */
  readonly sources: readonly string[];
}

/** Whether a filter accepts the datagrams of a sender. */
export function passes({ all, sources }: SourceFilter, source: string): boolean {
  return sources.includes(source) !== all;
}

/**
 * Returns the filter of a group after a change, as Linux computes it (`ip_mc_source`, net/ipv4/igmp.c; `ip6_mc_source`,
 * net/ipv6/mcast.c).
 *
 * @param before the filter before the change; `undefined` if the group is not joined.
 * @param source the sender that the call names, if it names one.
 * @param maxSources the maximum number of sources of one group.
 * @returns `undefined` if the socket has left the group; an error code if the system refuses the change.
 */
export function changeFilter(
  call: MembershipCall,
  before: SourceFilter | undefined,
  source: string,
  maxSources: number,
): SourceFilter | undefined | string {
  switch (call) {
    case "addMembership":
      return before ? "EADDRINUSE" : { all: true, sources: [] };
    case "dropMembership":
      return before ? undefined : "EADDRNOTAVAIL";
    case "addSourceMembership":
      if (before?.all !== false) {
        // A filter for all senders can change to one for some senders only if it blocks no source.
        return before && before.sources.length > 0 ? "EINVAL" : { all: false, sources: [source] };
      }
      return withSource(before, source, maxSources);
    case "dropSourceMembership":
      if (!before || (before.all && before.sources.length > 0)) return "EINVAL";
      if (before.sources.length === 1 && before.sources.includes(source)) return undefined;
      return withoutSource(before, source);
    case "blockSource":
      return before?.all === true ? withSource(before, source, maxSources) : "EINVAL";
    case "unblockSource":
      return before?.all === true ? withoutSource(before, source) : "EINVAL";
  }
}

function withSource(before: SourceFilter, source: string, maxSources: number): SourceFilter | string {
  if (before.sources.length >= maxSources) return "ENOBUFS";
  if (before.sources.includes(source)) return "EADDRNOTAVAIL";
  return { all: before.all, sources: [...before.sources, source] };
}

function withoutSource(before: SourceFilter, source: string): SourceFilter | string {
  if (!before.sources.includes(source)) return "EADDRNOTAVAIL";
  return { all: before.all, sources: before.sources.filter((each) => each !== source) };
}
