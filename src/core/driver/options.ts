import { type Family, isWildcard } from "../address/address.js";
import { fromInt32, fromUint, int32 as intBytes, uint64 } from "./bytes.js";
import * as c from "../constants.js";
import { OSError, outOfRange, wholeNumber, wrongType } from "../errors/errors.js";
import { parseLiteral } from "../ip.js";

/** What an option holds: a number, with 0 and 1 for the booleans, or a string for the interfaces. */
export type OptionValue = number | string;

/** One socket option: everything that this library knows of it. To offer another, add a row to the table below. */
export interface Option {
  readonly name: string;
  readonly level: number;
  readonly option: number;
  /**
   * A flag is 0 or 1 and takes booleans too. An interface is given by name, by number or by an address of its own. A rate is
   * bytes a second, and Infinity is no limit.
   */
  readonly kind: "flag" | "integer" | "rate" | "interface" | "device";
  /** The family that it belongs to; options without one are every socket's, and those of IPv4 IPv6 sockets' too. */
  readonly family?: Family;
  /** The least and the most that an integer may be. */
  readonly least?: number;
  readonly most?: number;
  /** Cannot be set. */
  readonly readOnly?: boolean;
  /** Cannot be read: the option that reads what came of it. */
  readonly readBy?: string;
  /** Of an interface: given by name or number alone, which the kernel has as an index in network order; `""` is none. */
  readonly networkIndex?: boolean;
  /** Works on a real kernel alone: it needs the feature `kernelOptions`. */
  readonly kernelOnly?: boolean;
  /** What a process needs to set it, or to set some values. */
  readonly privilege?: string;
}

const int32 = { least: -0x8000_0000, most: 0x7fff_ffff };
const octet = { least: 0, most: 255 };
const hops = { least: 1, most: 255 };
const bytes = { least: 0, most: 0x3fff_ffff };

/** Which of them, depends on the version of Linux. */
const adminOrRaw = "CAP_NET_ADMIN or CAP_NET_RAW";

const socketLevel = row(c.SOL_SOCKET);
const ipv4 = row(c.IPPROTO_IP, c.AF_INET);
const ipv6 = row(c.IPPROTO_IPV6, c.AF_INET6);

/** Every option that sockets take. */
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
    least: 0,
    most: 0x7fff_ffff,
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
    least: 0,
    most: 0x7fff_ffff,
    kernelOnly: true,
    privilege: "CAP_NET_ADMIN",
  }),
  socketLevel("SO_MAX_PACING_RATE", "rate", { kernelOnly: true }),
  socketLevel("SO_INCOMING_CPU", "integer", { least: -1, most: 0x7fff_ffff, kernelOnly: true }),
  ipv4("IP_TOS", "integer", octet),
  ipv4("IP_TTL", "integer", hops),
  ipv4("IP_MTU_DISCOVER", "integer", { least: 0, most: 5 }),
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
  ipv6("IPV6_MTU_DISCOVER", "integer", { least: 0, most: 5 }),
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
 * The option of a level and a number, for a socket of `family`.
 *
 * @throws `TypeError` for anything but numbers; `OSError` `ENOPROTOOPT` for an option that is not in the table or
 *   belongs to IPv6, of an IPv4 socket.
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

/** `IPV6_V6ONLY`. */
export const v6OnlyOption: Option = findOption(c.IPPROTO_IPV6, c.IPV6_V6ONLY, c.AF_INET6, "getsockopt");

/** By the name of an IPv6 option, the one that says the same of the IPv4 peers and groups of an IPv6 socket. */
const twins: Readonly<Record<string, Option | undefined>> = {
  IPV6_TCLASS: byNumber.get(`${c.IPPROTO_IP}:${c.IP_TOS}`),
  IPV6_UNICAST_HOPS: byNumber.get(`${c.IPPROTO_IP}:${c.IP_TTL}`),
  IPV6_UNICAST_IF: byNumber.get(`${c.IPPROTO_IP}:${c.IP_UNICAST_IF}`),
  IPV6_MULTICAST_HOPS: byNumber.get(`${c.IPPROTO_IP}:${c.IP_MULTICAST_TTL}`),
  IPV6_MULTICAST_LOOP: byNumber.get(`${c.IPPROTO_IP}:${c.IP_MULTICAST_LOOP}`),
  IPV6_MULTICAST_IF: byNumber.get(`${c.IPPROTO_IP}:${c.IP_MULTICAST_IF}`),
};

/** The IPv4 option that is to be set along with an IPv6 one, and its value; `undefined` where there is none. */
export function twinOf(
  { name, kind, networkIndex }: Option,
  value: OptionValue,
): { readonly option: Option; readonly value: OptionValue } | undefined {
  const option = twins[name];
  if (!option) return undefined;
  if (kind !== "interface" || networkIndex === true) return { option, value };
  // An IPv6 address of an interface names it by its scope alone.
  const given = parseLiteral(String(value))?.zone ?? String(value);
  return { option, value: given === "" ? c.INADDR_ANY : given };
}

/**
 * Whether a level and a number can be those of an option and the table lacks it: an option that only a kernel may know, whose
 * value is bytes.
 */
export function isUnlisted(level: number, option: number): boolean {
  return isInt32(level) && isInt32(option) && !byNumber.has(`${level}:${option}`);
}

/** Bytes of the longest value of an option that has no name here. */
const longestValue = 4096;

/** The bytes of an unlisted option: a number or a boolean is a C `int`. @throws `TypeError`, `RangeError`. */
export function checkBytes(value: unknown): Uint8Array {
  if (typeof value === "boolean") return intBytes(value ? 1 : 0);
  if (typeof value === "number") return intBytes(wholeNumber("value", value, -0x8000_0000, 0xffff_ffff));
  if (!(value instanceof Uint8Array)) throw wrongType("value", "a number, a boolean or a Uint8Array", value);
  wholeNumber("bytes of the value", value.length, 1, longestValue);
  return value;
}

/** Bytes that `getsockopt` gives at most. @throws `TypeError`, `RangeError`. */
export function checkLength(length: unknown): number {
  return wholeNumber("length", length, 1, longestValue);
}

/** The bytes of the value of an option that is a number; `undefined` of one that is a string. */
export function bytesOfValue({ kind }: Option, value: OptionValue): Uint8Array | undefined {
  if (typeof value === "string") return undefined;
  return kind === "rate" ? uint64(value) : intBytes(value);
}

/** @throws `OSError` `ENOPROTOOPT` for an option that is for setting alone. */
export function checkReadable({ name, readBy }: Option): void {
  if (readBy === undefined) return;
  const text = `${name} can only be set: ${readBy} reads the result`;
  throw new OSError("ENOPROTOOPT", { syscall: "getsockopt", text });
}

/**
 * A value for `option` in the form that drivers take: a number or, for interfaces, a string.
 *
 * @throws `TypeError` or `RangeError` for a value that the option cannot hold; `OSError` `ENOPROTOOPT` for a
 *   read-only option.
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
      return wholeNumber(option.name, value, option.least ?? int32.least, option.most ?? int32.most);
    case "rate":
      return value === Infinity ? value : wholeNumber(option.name, value, 1, Number.MAX_SAFE_INTEGER);
    case "interface":
      // The system's choice is as `getsockopt` has it.
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
 * An interface that a program chose, as a string; `undefined` where it leaves the choice to the system: `""`, 0, or an
 * address of all zeros.
 *
 * @throws `OSError` `EINVAL` for an address that names no interface of this family; `TypeError`, `RangeError`.
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

/** Gives back an interface's name, number or address, as a string. */
export function checkInterface(name: string, value: unknown): string {
  if (typeof value === "number") return String(wholeNumber(name, value, 0, 0x7fff_ffff));
  if (typeof value !== "string") throw wrongType(name, "the name, number or address of an interface", value);
  if (!/^[^\s/\0]{1,60}$/.test(value)) {
    throw outOfRange(name, "the name, number or address of an interface", value);
  }
  return value;
}

/** The value that the kernel would read of these bytes. Of options that hold a string, a string is to be given. */
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
