import { AF_INET } from "../../core/constants.js";
import { OSError } from "../../core/errors/errors.js";
import { formatLiteral, parseLiteral } from "../../core/ip.js";
import type { Option, OptionValue } from "../../core/driver/options.js";
import { fromInt32, fromUint, int32, uint64 } from "../../core/driver/bytes.js";
import type { Names } from "./socket-names.js";

/** The maximum size of an interface name with its NUL: `IFNAMSIZ` (linux/if.h). */
const interfaceNameBytes = 16;

/** Encodes the value of an option for the kernel. */
export function encodeOption(option: Option, value: OptionValue, names: Names): Uint8Array {
  switch (option.kind) {
    case "flag":
    case "integer":
      return int32(value as number);
    case "rate":
      return uint64(value as number);
    case "device":
      return Buffer.from(`${value}\0`);
    case "interface":
      if (option.networkIndex === true) return networkIndex(String(value), names);
      return option.family === AF_INET
        ? ipMreqn(String(value), names, "setsockopt")
        : int32(zoneIndex(String(value), names, "setsockopt"));
  }
}

/** Decodes the bytes that the kernel returned for an option. */
export function decodeOption(option: Option, bytes: Buffer, names: Names): OptionValue {
  if (option.kind === "device") return bytes.toString("latin1").replace(/\0.*$/s, "");
  if (option.kind === "rate") return fromUint(bytes);
  if (option.networkIndex === true) return names.interfaceName(bytes.readInt32BE());
  if (option.kind === "interface" && option.family === AF_INET) return formatLiteral(bytes.subarray(0, 4));
  if (bytes.length === 1) return bytes.readUInt8();
  const value = fromInt32(bytes);
  return option.kind === "interface" ? names.interfaceName(value) : value;
}

/** Bytes of the largest value of an option. */
export function optionRoom(option: Option): number {
  return option.kind === "device" ? interfaceNameBytes : option.kind === "rate" ? 8 : 4;
}

/** Returns the error of an option that the kernel refused with `code`. */
export function optionRefusal(option: Option, value: OptionValue, code: string): OSError {
  const { name, privilege, networkIndex } = option;
  const needs = privilege !== undefined && code === "EPERM" ? `: that needs ${privilege}` : "";
  const text = `${name} cannot be ${JSON.stringify(value)} here${needs}`;
  // If the interface does not exist, Linux returns EADDRNOTAVAIL (do_ip_setsockopt, net/ipv4/ip_sockglue.c).
  const meant = networkIndex === true && code === "EADDRNOTAVAIL" ? "ENODEV" : code;
  return new OSError(meant, { syscall: "setsockopt", text });
}

/** Encodes the index of an interface for `IP_UNICAST_IF` and `IPV6_UNICAST_IF`; 0 for none. */
function networkIndex(given: string, names: Names): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(given === "" ? 0 : names.interfaceIndex(given, "setsockopt"));
  return bytes;
}

/** Encodes `struct ip_mreqn` (ip(7)) without a group, with the address or the index of the interface. */
function ipMreqn(at: string, names: Names, syscall: string): Uint8Array {
  const value = new Uint8Array(12);
  const literal = parseLiteral(at);
  if (literal?.bytes.length === 4) value.set(literal.bytes, 4);
  else value.set(int32(names.interfaceIndex(literal?.zone ?? at, syscall)), 8);
  return value;
}

/** Returns the index of an interface from its name, its number, or an IPv6 address with a zone; 0 for `""`. */
export function zoneIndex(given: string, names: Names, syscall: string, address?: string): number {
  if (given === "") return 0;
  return names.interfaceIndex(parseLiteral(given)?.zone ?? given, syscall, address);
}
