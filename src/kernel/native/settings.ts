import type { Endpoint } from "../../core/address/address.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import { IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET } from "../../core/constants.js";
import { codeOf } from "../../core/errors/errno.js";
import { OSError } from "../../core/errors/errors.js";
import type { MembershipChange, MembershipCall } from "../../core/driver/membership.js";
import { type SourceFilter, changeFilter } from "../../core/driver/source-filter.js";
import type { Handle } from "./addon.js";
import { encodeMembership } from "./membership-request.js";
import type { Names } from "./socket-names.js";

interface Value {
  readonly level: number;
  readonly option: number;
  readonly bytes: Uint8Array;
}

interface Joined {
  /** The change that joined the group. */
  readonly by: MembershipChange;
  readonly filter: SourceFilter;
}

/**
 * Options that cannot be set again from their last value: the value has an address of memory or a descriptor, or each call
 * adds to the calls before (asm-generic/socket.h, linux/in.h, linux/in6.h).
 */
const unrepeatable: Readonly<Record<number, readonly number[]>> = {
  // SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF.
  [SOL_SOCKET]: [26, 50, 51, 52],
  // Groups: IP_ADD_MEMBERSHIP to IP_MSFILTER, and MCAST_JOIN_GROUP to MCAST_MSFILTER.
  [IPPROTO_IP]: [35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48],
  // Groups as for IPv4, and anycast: IPV6_JOIN_ANYCAST, IPV6_LEAVE_ANYCAST.
  [IPPROTO_IPV6]: [20, 21, 27, 28, 42, 43, 44, 45, 46, 47, 48],
};

/** Records the options and memberships that a program set on a socket, to set them on another socket that replaces it. */
export class Settings {
  readonly #names: Names;
  /** The options by level and number, in the order of the last calls. */
  #values: Map<string, Value> | undefined;
  /** The joined groups, by group and interface. */
  #joined: Map<string, Joined> | undefined;
  #obstacle: string | undefined;

  constructor(names: Names) {
    this.#names = names;
  }

  /** The kernel has accepted an option. */
  set(level: number, option: number, value: Uint8Array): void {
    if (unrepeatable[level]?.includes(option) === true)
      this.#obstacle ??= `option ${option} at level ${level} cannot be set on another socket`;
    const key = `${level} ${option}`;
    const values = (this.#values ??= new Map<string, Value>());
    values.delete(key);
    values.set(key, { level, option, bytes: Uint8Array.from(value) });
  }

  /** The kernel has accepted a change of membership. */
  changed(change: MembershipChange): void {
    const { call, group, source, interface: at } = change;
    const key = `${group.host.replace(/%.*/, "")}%${at ?? group.scope ?? ""}`;
    const joined = (this.#joined ??= new Map<string, Joined>());
    const before = joined.get(key);
    const from = source?.host ?? "";
    let filter = changeFilter(call, before?.filter, from, Infinity);
    // If the change does not fit the record, the interface was created again, or an earlier call named it in another way.
    if (typeof filter === "string") filter = changeFilter(call, undefined, from, 1);
    if (typeof filter === "string")
      this.#obstacle ??= `${group.host} was left or filtered by another name of its interface`;
    else if (filter === undefined) joined.delete(key);
    else joined.set(key, { by: before?.by ?? change, filter });
  }

  /**
   * Sets all options and memberships on a socket that is not bound yet.
   *
   * @returns the reason if not all of them could be set, else `undefined`.
   */
  replay(handle: Handle): string | undefined {
    if (this.#obstacle !== undefined) return this.#obstacle;
    for (const { level, option, bytes } of this.#values?.values() ?? []) {
      const result = handle.setOption(level, option, bytes);
      if (result < 0) return `option ${option} at level ${level} is refused now: ${codeOf(-result)}`;
    }
    for (const { by, filter } of this.#joined?.values() ?? []) {
      const code = this.#join(handle, by, filter);
      // If the interface is gone, no socket receives the group there, so nothing is lost.
      if (code !== undefined && code !== "ENODEV") return `${by.group.host} cannot be joined now: ${code}`;
    }
    return undefined;
  }

  /** Joins a group with its filter. Returns an error code if that fails. */
  #join(handle: Handle, by: MembershipChange, { all, sources }: SourceFilter): string | undefined {
    const calls: MembershipChange[] = all ? [{ ...by, call: "addMembership", source: undefined }] : [];
    const each: MembershipCall = all ? "blockSource" : "addSourceMembership";
    for (const host of sources) calls.push({ ...by, call: each, source: sharedAddress(host, 0) as Endpoint });
    try {
      for (const change of calls) {
        const { level, option, value } = encodeMembership(change, this.#names);
        const result = handle.setOption(level, option, value);
        if (result < 0) return codeOf(-result);
      }
    } catch (error) {
      if (error instanceof OSError) return error.code;
      throw error;
    }
    return undefined;
  }
}
