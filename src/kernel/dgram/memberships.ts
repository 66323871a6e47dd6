import type dgram from "node:dgram";

import { scopeConflict } from "../../core/address/scopes.js";
import type { Family } from "../../core/address/address.js";
import { AF_INET } from "../../core/constants.js";
import { OSError } from "../../core/errors/errors.js";
import type { MembershipChange, MembershipCall } from "../../core/driver/membership.js";
import { type SourceFilter, changeFilter } from "../../core/driver/source-filter.js";
import { interfaceAddress, interfaceNamed } from "../interfaces.js";
import { membershipLimits, membershipRefused } from "../membership-limits.js";
import { codeOfError } from "./errors.js";

/** A group that was joined, with its interface in the form that `node:dgram` takes. */
interface Joined {
  /** The call that joined it. */
  readonly change: MembershipChange;
  readonly group: string;
  readonly at: string | undefined;
  readonly filter: SourceFilter;
}

/**
 * The groups of one socket of `node:dgram`. Once the socket is open, the kernel decides about each call. The list is for the
 * time before that, and for joining the groups again on another socket.
 */
export class DgramMemberships {
  readonly #joined = new Map<string, Joined>();

  change(change: MembershipChange, socket: dgram.Socket | undefined): void {
    const { call, group, source } = change;
    if (call === "blockSource" || call === "unblockSource") {
      const text = "node:dgram has no call that blocks a source: the native driver does";
      throw new OSError("ENOTSUP", { syscall: call, address: group.host, text });
    }
    const at = groupInterface(change);
    // Without its scope, which libuv does not read: the interface is an argument of its own.
    const host = group.host.replace(/%.*/, "");
    const key = `${host} ${at ?? ""}`;
    const before = this.#joined.get(key)?.filter;
    const from = source?.host ?? "";
    const after = changeFilter(call, before, from, membershipLimits(group.family).sources);
    if (!socket) {
      if (before === undefined && typeof after === "object" && this.#isFull(group.family))
        throw membershipRefused("ENOBUFS", change);
      if (typeof after === "string") throw membershipRefused(after, change);
      this.#keep(key, after && { change, group: host, at, filter: after });
      return;
    }
    try {
      apply(socket, call, host, source?.host ?? "", at);
    } catch (error) {
      const code = codeOfError(error);
      if (call === "dropMembership" && code === "EADDRNOTAVAIL") this.#joined.delete(key);
      // The kernel has turned the filter into one without sources: no datagram of the group arrives (`ip_mc_source`, net/ipv4/igmp.c).
      if (call === "dropSourceMembership" && code === "EADDRNOTAVAIL" && before?.all === true)
        joinAgain(socket, host, at);
      throw membershipRefused(code, change, error);
    }
    // If the list did not allow the call and the kernel did, the interface was removed and created again.
    const known = typeof after === "string" ? changeFilter(call, undefined, from, 1) : after;
    this.#keep(key, typeof known === "object" ? { change, group: host, at, filter: known } : undefined);
  }

  /**
   * Joins all groups on a socket that has just been opened. @throws `OSError` of the first group that the kernel refuses.
   */
  replay(socket: dgram.Socket): void {
    for (const { change, group, at, filter } of this.#joined.values()) {
      try {
        if (filter.all) socket.addMembership(group, at);
        else for (const source of filter.sources) socket.addSourceSpecificMembership(source, group, at);
      } catch (error) {
        throw membershipRefused(codeOfError(error), change, error);
      }
    }
  }

  /** Whether the kernel's settings allow no more groups of this family. */
  #isFull(family: Family): boolean {
    if (family !== AF_INET) return false;
    const joined = [...this.#joined.values()].filter(({ change }) => change.group.family === family);
    return joined.length >= membershipLimits(family).groups;
  }

  #keep(key: string, joined: Joined | undefined): void {
    if (joined) this.#joined.set(key, joined);
    else this.#joined.delete(key);
  }
}

function apply(
  socket: dgram.Socket,
  call: Exclude<MembershipCall, "blockSource" | "unblockSource">,
  group: string,
  source: string,
  at: string | undefined,
): void {
  switch (call) {
    case "addMembership":
      socket.addMembership(group, at);
      break;
    case "dropMembership":
      socket.dropMembership(group, at);
      break;
    case "addSourceMembership":
      socket.addSourceSpecificMembership(source, group, at);
      break;
    case "dropSourceMembership":
      socket.dropSourceSpecificMembership(source, group, at);
  }
}

/** The interface of a group: the scope of its address, or the one that the call names. */
function groupInterface({ call, group, interface: at }: MembershipChange): string | undefined {
  const { family, scope } = group;
  const named = at === undefined ? undefined : interfaceAddress(at, family, call, group.host);
  if (scope === undefined) return named;
  const scoped = interfaceAddress(interfaceNamed(scope) ?? scope, family, call, group.host);
  if (named !== undefined && named !== scoped) throw scopeConflict(call, group, `the call names ${at}`);
  return scoped;
}

function joinAgain(socket: dgram.Socket, group: string, at: string | undefined): void {
  socket.dropMembership(group, at);
  socket.addMembership(group, at);
}
