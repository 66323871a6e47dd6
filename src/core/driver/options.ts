import { type Family, isWildcard } from "../address/address.js";
import * as c from "../constants.js";
import { OSError, outOfRange, wholeNumber, wrongType } from "../errors/errors.js";
import { parseLiteral } from "../ip.js";
import { fromInt32, fromUint, int32 as intBytes, uint64 } from "./bytes.js";

/** The value of an option: a number, or a string for an interface. A boolean is 0 or 1. */
export type OptionValue = number | string;

/** Describes one socket option. To offer another option, add a row to the table below. */
export interface Option {
  readonly name: string;
  readonly level: number;
  readonly option: number;
  /**
   * A flag is 0 or 1, and takes a boolean too. An interface is a name, a number or an address of the interface. A rate is
   * in bytes per second, and `Infinity` is no limit.
   */
  readonly kind: "flag" | "integer" | "rate" | "interface" | "device";
  /** The family of the option; without it, sockets of both families have the option. IPv6 sockets have IPv4 options too. */
  readonly family?: Family;
  /** The smallest and the largest value of an integer. */
  readonly min?: number;
  readonly max?: number;
  /** The option cannot be set. */
  readonly readOnly?: boolean;
  /** The option cannot be read. This option reads the result. */
  readonly readBy?: string;
  /** For an interface: only a name or a number, which the kernel takes as an index in network byte order. `""` is none. */
  readonly networkIndex?: boolean;
  /** The option works only on a real kernel: it needs the feature `kernelOptions`. */
  readonly kernelOnly?: boolean;
  /** The privilege that a process needs to set the option, or to set some values. */
  readonly privilege?: string;
}

const int32 = { min: -0x8000_0000, max: 0x7fff_ffff };
const octet = { min: 0, max: 255 };
const hops = { min: 1, max: 255 };
const bytes = { min: 0, max: 0x3fff_ffff };

/** The version of Linux decides which of the two is enough. */
const adminOrRaw = "CAP_NET_ADMIN or CAP_NET_RAW";

const socketLevel = row(c.SOL_SOCKET);
const ipv4 = row(c.IPPROTO_IP, c.AF_INET);
const ipv6 = row(c.IPPROTO_IPV6, c.AF_INET6);

/** All options that have a name here. */
const table: readonly Option[] = [
  socketLevel("SO_REUSEADDR", "flag"),
  socketLevel("SO_TYPE", "integer", { readOnly: true }),
  socketLevel("SO_ERROR", "integer", { readOnly: true }),
  socketLevel("SO_DONTROUTE", "flag"),
  socketLevel("SO_BROADCAST", "flag"),
  socketLevel("SO_SNDBUF", "integer", bytes),
  socketLevel("SO_RCVBUF", "integer", bytes),
  socketLevel("SO_NO_CHECK", "flag", { kernelOnly: true }),
  socketLevel("SO_PRIORITY", "integer", {
    min: 0,
    max: 0x7fff_ffff,
    privilege: "CAP_NET_ADMIN or CAP_NET_RAW for more than 6",
  }),
  socketLevel("SO_REUSEPORT", "flag"),
  socketLevel("SO_BINDTODEVICE", "device", { privilege: "CAP_NET_RAW" }),
  socketLevel("SO_SNDBUFFORCE", "integer", { ...bytes, readBy: "SO_SNDBUF", privilege: "CAP_NET_ADMIN" }),
  socketLevel("SO_RCVBUFFORCE", "integer", { ...bytes, readBy: "SO_RCVBUF", privilege: "CAP_NET_ADMIN" }),
  socketLevel("SO_MARK", "integer", { ...int32, privilege: adminOrRaw }),
  socketLevel("SO_PROTOCOL", "integer", { readOnly: true }),
  socketLevel("SO_DOMAIN", "integer", { readOnly: true }),
  socketLevel("SO_BUSY_POLL", "integer", {
    min: 0,
    max: 0x7fff_ffff,
    kernelOnly: true,
    privilege: "CAP_NET_ADMIN",
  }),
  socketLevel("SO_MAX_PACING_RATE", "rate", { kernelOnly: true }),
  socketLevel("SO_INCOMING_CPU", "integer", { min: -1, max: 0x7fff_ffff, kernelOnly: true }),
  ipv4("IP_TOS", "integer", octet),
  ipv4("IP_TTL", "integer", hops),
  ipv4("IP_MTU_DISCOVER", "integer", { min: 0, max: 5 }),
  ipv4("IP_MTU", "integer", { readOnly: true }),
  ipv4("IP_FREEBIND", "flag"),
  ipv4("IP_TRANSPARENT", "flag", { kernelOnly: true, privilege: adminOrRaw }),
  ipv4("IP_BIND_ADDRESS_NO_PORT", "flag"),
  ipv4("IP_UNICAST_IF", "interface", { networkIndex: true }),
  ipv4("IP_MULTICAST_IF", "interface"),
  ipv4("IP_MULTICAST_TTL", "integer", octet),
  ipv4("IP_MULTICAST_LOOP", "flag"),
  ipv4("IP_MULTICAST_ALL", "flag"),
  ipv6("IPV6_UNICAST_HOPS", "integer", hops),
  ipv6("IPV6_MULTICAST_IF", "interface"),
  ipv6("IPV6_MULTICAST_HOPS", "integer", octet),
  ipv6("IPV6_MULTICAST_LOOP", "flag"),
  ipv6("IPV6_MULTICAST_ALL", "flag"),
  ipv6("IPV6_MTU_DISCOVER", "integer", { min: 0, max: 5 }),
  ipv6("IPV6_MTU", "integer", { readOnly: true }),
  ipv6("IPV6_V6ONLY", "flag"),
  ipv6("IPV6_TCLASS", "integer", octet),
  ipv6("IPV6_TRANSPARENT", "flag", { kernelOnly: true, privilege: adminOrRaw }),
  ipv6("IPV6_FREEBIND", "flag"),
  ipv6("IPV6_UNICAST_IF", "interface", { networkIndex: true }),
];

const byNumber: ReadonlyMap<string, Option> = new Map(
  table.map((option) => [`${option.level}:${option.option}`, option]),
);

/**
 * Finds the option with a level and a number, for a socket of `family`.
 *
 * @throws `TypeError` if the level or the option is not a number; `OSError` `ENOPROTOOPT` if the option is not in the table,
 *   or if it is an IPv6 option and the socket is IPv4.
 */
export function findOption(level: unknown, option: unknown, family: Family, syscall: string): Option {
  if (typeof level !== "number") throw wrongType("level", "a number", level);
  if (typeof option !== "number") throw wrongType("option", "a number", option);
  const found = byNumber.get(`${level}:${option}`);
  if (!found) {
    throw new OSError("ENOPROTOOPT", { syscall, text: `no option ${option} at level ${level}` });
  }
  // An IPv6 socket carries IPv4 too.
  if (found.family === c.AF_INET6 && family === c.AF_INET) {
    throw new OSError("ENOPROTOOPT", { syscall, text: `${found.name} belongs to AF_INET6 sockets` });
  }
  return found;
}

export const v6OnlyOption: Option = findOption(c.IPPROTO_IPV6, c.IPV6_V6ONLY, c.AF_INET6, "getsockopt");

/** For each IPv6 option, by name, its IPv4 twin: the option with the same meaning for IPv4 peers and groups of an IPv6 socket. */
const twins: Readonly<Record<string, Option | undefined>> = {
  IPV6_TCLASS: byNumber.get(`${c.IPPROTO_IP}:${c.IP_TOS}`),
  IPV6_UNICAST_HOPS: byNumber.get(`${c.IPPROTO_IP}:${c.IP_TTL}`),
  IPV6_UNICAST_IF: byNumber.get(`${c.IPPROTO_IP}:${c.IP_UNICAST_IF}`),
  IPV6_MULTICAST_HOPS: byNumber.get(`${c.IPPROTO_IP}:${c.IP_MULTICAST_TTL}`),
  IPV6_MULTICAST_LOOP: byNumber.get(`${c.IPPROTO_IP}:${c.IP_MULTICAST_LOOP}`),
  IPV6_MULTICAST_IF: byNumber.get(`${c.IPPROTO_IP}:${c.IP_MULTICAST_IF}`),
};

/** Returns the IPv4 twin of an IPv6 option, and the value to set it to; `undefined` if there is no twin. */
export function twinOf(
  { name, kind, networkIndex }: Option,
  value: OptionValue,
): { readonly option: Option; readonly value: OptionValue } | undefined {
  const option = twins[name];
  if (!option) return undefined;
  if (kind !== "interface" || networkIndex === true) return { option, value };
  // An IPv6 address names an interface only by its scope.
  const given = parseLiteral(String(value))?.zone ?? String(value);
  return { option, value: given === "" ? c.INADDR_ANY : given };
}

/**
 * Whether the table has no option with this level and number, but a kernel may have one. The value of such an option is
 * bytes.
 */
export function isUnlisted(level: number, option: number): boolean {
  return isInt32(level) && isInt32(option) && !byNumber.has(`${level}:${option}`);
}

/** The maximum size in bytes of the value of an option that has no name here. */
const longestValue = 4096;

/** Returns the value of an unlisted option as bytes. A number or a boolean is a C `int`. @throws `TypeError`, `RangeError`. */
export function checkBytes(value: unknown): Uint8Array {
  if (typeof value === "boolean") return intBytes(value ? 1 : 0);
  if (typeof value === "number") return intBytes(wholeNumber("value", value, -0x8000_0000, 0xffff_ffff));
  if (!(value instanceof Uint8Array)) throw wrongType("value", "a number, a boolean or a Uint8Array", value);
  wholeNumber("bytes of the value", value.length, 1, longestValue);
  return value;
}

/** Checks the maximum number of bytes that `getsockopt` returns. @throws `TypeError`, `RangeError`. */
export function checkLength(length: unknown): number {
  return wholeNumber("length", length, 1, longestValue);
}

/** Returns a number value of an option as bytes; `undefined` if the value is a string. */
export function bytesOfValue({ kind }: Option, value: OptionValue): Uint8Array | undefined {
  if (typeof value === "string") return undefined;
  return kind === "rate" ? uint64(value) : intBytes(value);
}

/** @throws `OSError` `ENOPROTOOPT` if the option can only be set. */
export function checkReadable({ name, readBy }: Option): void {
  if (readBy === undefined) return;
  const text = `${name} can only be set: ${readBy} reads the result`;
  throw new OSError("ENOPROTOOPT", { syscall: "getsockopt", text });
}

/**
 * Checks a value for `option`, and returns it in the form that drivers take: a number, or a string for an interface.
 *
 * @throws `TypeError` or `RangeError` if the option cannot have this value; `OSError` `ENOPROTOOPT` if the option is read only.
 */
export function checkValue(option: Option, given: unknown): OptionValue {
  if (option.readOnly === true) {
    throw new OSError("ENOPROTOOPT", { syscall: "setsockopt", text: `${option.name} is read only` });
  }
  const value = given instanceof Uint8Array ? fromBytes(option, given) : given;
  switch (option.kind) {
    case "flag":
      if (typeof value === "boolean") return value ? 1 : 0;
      if (typeof value !== "number") throw wrongType(option.name, "a boolean, 0 or 1", value);
      return wholeNumber(option.name, value, 0, 1);
    case "integer":
      return wholeNumber(option.name, value, option.min ?? int32.min, option.max ?? int32.max);
    case "rate":
      return value === Infinity ? value : wholeNumber(option.name, value, 1, Number.MAX_SAFE_INTEGER);
    case "interface":
      // The value for "the system chooses" is the one that `getsockopt` returns.
      return (
        chosenInterface(option.name, value, option, "setsockopt") ??
        (option.level === c.IPPROTO_IP && option.networkIndex !== true ? c.INADDR_ANY : "")
      );
    case "device":
      if (typeof value !== "string") throw wrongType(option.name, "the name of an interface", value);
      if (value !== "" && !/^[^\s%/\0]{1,15}$/.test(value)) {
        throw outOfRange(option.name, "the name of an interface", value);
      }
      return value;
  }
}

/**
 * Returns the interface that a program chose, as a string. Returns `undefined` if the system is to choose: for `""`, 0, or
 * an address of all zeros.
 *
 * @throws `OSError` `EINVAL` if the address cannot name an interface of this family; `TypeError`, `RangeError`.
 */
export function chosenInterface(
  name: string,
  value: unknown,
  { family }: { readonly family?: Family },
  syscall: string,
): string | undefined {
  if (value === "") return undefined;
  const given = checkInterface(name, value);
  if (given === "0" || isWildcard(given)) return undefined;
  const literal = parseLiteral(given);
  if (literal?.zone !== "" || (family === c.AF_INET && literal.bytes.length === 4)) return given;
  const text =
    family === c.AF_INET
      ? "an interface for IPv4 is given by its name, its number or its IPv4 address"
      : "an interface for IPv6 is given by its name or number: several may have one address";
  throw new OSError("EINVAL", { syscall, address: given, text });
}

/** Checks the name, number or address of an interface, and returns it as a string. */
export function checkInterface(name: string, value: unknown): string {
  if (typeof value === "number") return String(wholeNumber(name, value, 0, 0x7fff_ffff));
  if (typeof value !== "string") throw wrongType(name, "the name, number or address of an interface", value);
  if (!/^[^\s/\0]{1,60}$/.test(value)) {
    throw outOfRange(name, "the name, number or address of an interface", value);
  }
  return value;
}

/** Returns the value that the kernel would read from these bytes. Options whose value is a string refuse bytes later. */
function fromBytes({ name, kind }: Option, bytes: Uint8Array): unknown {
  if (kind === "interface" || kind === "device") return bytes;
  const lengths = kind === "rate" ? [4, 8] : [4];
  if (!lengths.includes(bytes.length)) {
    throw outOfRange(`bytes of ${name}`, lengths.join(" or "), bytes.length);
  }
  return kind === "rate" ? fromUint(bytes) : fromInt32(bytes);
}

function isInt32(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0x7fff_ffff;
}

type Limits = Omit<Option, "name" | "level" | "option" | "kind" | "family">;

function row(level: number, family?: Family) {
  return (name: keyof typeof c, kind: Option["kind"], limits: Limits = {}): Option => ({
    name,
    level,
    option: c[name] as number,
    kind,
    ...(family === undefined ? {} : { family }),
    ...limits,
  });
}
