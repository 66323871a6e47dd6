import { scopeConflict } from "../../core/address/scopes.js";
import { AF_INET, IPPROTO_IP, IPPROTO_IPV6 } from "../../core/constants.js";
import { parseLiteral } from "../../core/ip.js";
import type { MembershipChange, MembershipCall } from "../../core/driver/membership.js";
import { int32 } from "../../core/driver/bytes.js";
import type { Names } from "./socket-names.js";
import { zoneIndex } from "./options.js";

/** `IP_ADD_MEMBERSHIP` and similar options, which take an interface by its address (linux/in.h). */
const byAddress: Readonly<Record<MembershipCall, number>> = {
  addMembership: 35,
  dropMembership: 36,
  unblockSource: 37,
  blockSource: 38,
  addSourceMembership: 39,
  dropSourceMembership: 40,
};

/** `MCAST_JOIN_GROUP` and similar options, which take an interface by its index, for both families (RFC 3678, linux/in.h). */
const byIndex: Readonly<Record<MembershipCall, number>> = {
  addMembership: 42,
  blockSource: 43,
  unblockSource: 44,
  dropMembership: 45,
  addSourceMembership: 46,
  dropSourceMembership: 47,
};

/** Bytes of a `struct sockaddr_storage`, and the offset of the first one after a `uint32_t`: 64-bit systems align it. */
const storageBytes = 128;
const firstStorage = ["arm", "ia32", "mips", "mipsel"].includes(process.arch) ? 4 : 8;

/** Encodes a change of membership for `setsockopt`. */
export function encodeMembership(
  { call, group, source, interface: at }: MembershipChange,
  names: Names,
): { level: number; option: number; value: Uint8Array } {
  const level = group.family === AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  const own = group.family === AF_INET && at !== undefined ? parseLiteral(at)?.bytes : undefined;
  if (own?.length === 4) {
    // struct ip_mreq, or ip_mreq_source: the group, the interface, the source.
    const parts = [parseLiteral(group.host)?.bytes, own, source && parseLiteral(source.host)?.bytes];
    return { level, option: byAddress[call], value: Buffer.concat(parts.flatMap((part) => part ?? [])) };
  }
  // struct group_req, or group_source_req: the interface, the group, the source.
  const value = new Uint8Array(firstStorage + (source ? 2 : 1) * storageBytes);
  const named = at === undefined ? undefined : zoneIndex(at, names, call, group.host);
  const scoped = group.scope === undefined ? undefined : zoneIndex(group.scope, names, call, group.host);
  if (named !== undefined && scoped !== undefined && named !== scoped)
    throw scopeConflict(call, group, `the call names ${at}`);
  value.set(int32(named ?? scoped ?? 0));
  value.set(names.write(group, call), firstStorage);
  if (source) value.set(names.write(source, call), firstStorage + storageBytes);
  return { level, option: byIndex[call], value };
}
