import { type Endpoint, type Family, scopeConflict } from "../../core/address.js";
import { AF_INET, IPPROTO_IP, IPPROTO_IPV6 } from "../../core/constants.js";
import { OSError } from "../../core/errors.js";
import { formatLiteral, parseLiteral } from "../../core/ip.js";
import type { Option, OptionValue } from "../../core/options.js";
import { int32, littleEndian } from "./bytes.js";
import type { Names } from "./names.js";

/** `IP_ADD_MEMBERSHIP`, `IP_DROP_MEMBERSHIP` (linux/in.h); `IPV6_JOIN_GROUP`, `IPV6_LEAVE_GROUP` (linux/in6.h). */
const membershipOptions = { 2: { add: 35, drop: 36 }, 10: { add: 20, drop: 21 } } as const;
/** The longest name of an interface, with its NUL: `IFNAMSIZ` (linux/if.h). */
const interfaceNameBytes = 16;

/** The bytes of an option's value as the kernel takes them. */
export function encodeOption(option: Option, value: OptionValue, family: Family, names: Names): Uint8Array {
  switch (option.kind) {
    case "flag":
    case "integer":
      return int32(value as number);
    case "device":
      return Buffer.from(`${value}\0`);
    case "interface":
      return family === AF_INET
        ? ipMreqn(undefined, String(value), names, "setsockopt")
        : int32(zoneIndex(String(value), names, "setsockopt"));
  }
}

/** The value of the bytes that the kernel gave for an option. */
export function decodeOption(option: Option, bytes: Buffer, family: Family, names: Names): OptionValue {
  if (option.kind === "device") return bytes.toString("latin1").replace(/\0.*$/s, "");
  if (option.kind === "interface" && family === AF_INET) return formatLiteral(bytes.subarray(0, 4));
  if (bytes.length === 1) return bytes.readUInt8();
  const value = littleEndian ? bytes.readInt32LE() : bytes.readInt32BE();
  return option.kind === "interface" ? names.interfaceName(value) : value;
}

/** Room for the value of any option. */
export function optionRoom(option: Option): number {
  return option.kind === "device" ? interfaceNameBytes : 4;
}

/** A change of membership as `setsockopt` takes it. */
export function encodeMembership(
  change: "add" | "drop",
  group: Endpoint,
  at: string | undefined,
  names: Names,
): { level: number; option: number; value: Uint8Array } {
  const syscall = change === "add" ? "addMembership" : "dropMembership";
  const option = membershipOptions[group.family][change];
  const bytes = parseLiteral(group.host)?.bytes ?? new Uint8Array();
  if (group.family === AF_INET)
    return { level: IPPROTO_IP, option, value: ipMreqn(bytes, at, names, syscall) };
  // struct ipv6_mreq: the group, the index of the interface.
  const value = new Uint8Array(20);
  value.set(bytes);
  const named = at === undefined ? undefined : zoneIndex(at, names, syscall);
  const scoped = group.scope === undefined ? undefined : zoneIndex(group.scope, names, syscall);
  if (named !== undefined && scoped !== undefined && named !== scoped) {
    throw scopeConflict(syscall, group, `the call names ${at}`);
  }
  value.set(int32(named ?? scoped ?? 0), 16);
  return { level: IPPROTO_IPV6, option, value };
}

/** `struct ip_mreqn` (ip(7)): the group, the interface's address, or its index. */
function ipMreqn(
  group: Uint8Array | undefined,
  at: string | undefined,
  names: Names,
  syscall: string,
): Uint8Array {
  const value = new Uint8Array(12);
  if (group) value.set(group);
  if (at === undefined) return value;
  const literal = parseLiteral(at);
  if (literal?.bytes.length === 4) value.set(literal.bytes, 4);
  else value.set(int32(names.interfaceIndex(at, syscall)), 8);
  return value;
}

/** The index of an interface that is given by name, by number, or by an IPv6 address with a zone. */
function zoneIndex(given: string, names: Names, syscall: string): number {
  const zone = parseLiteral(given)?.zone ?? given;
  if (zone === "") {
    throw new OSError("EINVAL", {
      syscall,
      address: given,
      text: "an IPv6 interface is given by its name or number",
    });
  }
  return names.interfaceIndex(zone, syscall);
}
