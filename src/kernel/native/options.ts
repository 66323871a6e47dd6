import { AF_INET } from "../../core/constants.js";
import { OSError } from "../../core/errors/errors.js";
import { formatLiteral, parseLiteral } from "../../core/ip.js";
import type { Option, OptionValue } from "../../core/driver/options.js";
import { fromInt32, fromUint, int32, uint64 } from "../../core/driver/bytes.js";
import type { Names } from "./names.js";

/** The longest name of an interface, with its NUL: `IFNAMSIZ` (linux/if.h). */
const interfaceNameBytes = 16;

/** The bytes of an option's value as the kernel takes them. */
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

/** The value of the bytes that the kernel gave for an option. */
export function decodeOption(option: Option, bytes: Buffer, names: Names): OptionValue {
  if (option.kind === "device") return bytes.toString("latin1").replace(/\0.*$/s, "");
  if (option.kind === "rate") return fromUint(bytes);
  if (option.networkIndex === true) return names.interfaceName(bytes.readInt32BE());
  if (option.kind === "interface" && option.family === AF_INET) return formatLiteral(bytes.subarray(0, 4));
  if (bytes.length === 1) return bytes.readUInt8();
  const value = fromInt32(bytes);
  return option.kind === "interface" ? names.interfaceName(value) : value;
}

/** Room for the value of any option. */
export function optionRoom(option: Option): number {
  return option.kind === "device" ? interfaceNameBytes : option.kind === "rate" ? 8 : 4;
}

/** The error of an option that the kernel refused with `code`. */
export function optionRefusal(option: Option, value: OptionValue, code: string): OSError {
  const { name, privilege, networkIndex } = option;
  const needs = privilege !== undefined && code === "EPERM" ? `: that needs ${privilege}` : "";
  const text = `${name} cannot be ${JSON.stringify(value)} here${needs}`;
  // Linux says of an interface that is not there that the address is not available (do_ip_setsockopt, net/ipv4/ip_sockglue.c).
  const meant = networkIndex === true && code === "EADDRNOTAVAIL" ? "ENODEV" : code;
  return new OSError(meant, { syscall: "setsockopt", text });
}

/** An interface's index as `IP_UNICAST_IF` and `IPV6_UNICAST_IF` take it; 0 for none. */
function networkIndex(given: string, names: Names): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(given === "" ? 0 : names.interfaceIndex(given, "setsockopt"));
  return bytes;
}

/** `struct ip_mreqn` (ip(7)): no group, the interface's address, or its index. */
function ipMreqn(at: string, names: Names, syscall: string): Uint8Array {
  const value = new Uint8Array(12);
  const literal = parseLiteral(at);
  if (literal?.bytes.length === 4) value.set(literal.bytes, 4);
  else value.set(int32(names.interfaceIndex(literal?.zone ?? at, syscall)), 8);
  return value;
}

/** The index of an interface that is given by name, by number, or by an IPv6 address with a zone; 0 of `""`. */
export function zoneIndex(given: string, names: Names, syscall: string, address?: string): number {
  if (given === "") return 0;
  return names.interfaceIndex(parseLiteral(given)?.zone ?? given, syscall, address);
}
