import { type Family, isWildcard } from "./address.js";
import * as c from "./constants.js";
import { OSError, outOfRange, wholeNumber, wrongType } from "./errors.js";

/** What an option holds: a number, with 0 and 1 for the booleans, or a string for the interfaces. */
export type OptionValue = number | string;

/** One socket option: everything that this library knows of it. To offer another, add a row to the table below. */
export interface Option {
  readonly name: string;
  readonly level: number;
  readonly option: number;
  /** A flag is 0 or 1 and takes booleans too. An interface is given by name, by number or by an address of its own. */
  readonly kind: "flag" | "integer" | "interface" | "device";
  /** The family that it belongs to; options without one are every socket's. */
  readonly family?: Family;
  /** The least and the most that an integer may be. */
  readonly least?: number;
  readonly most?: number;
  /** Cannot be set. */
  readonly readOnly?: boolean;
}

const int32 = { least: -0x8000_0000, most: 0x7fff_ffff };
const octet = { least: 0, most: 255 };
const hops = { least: 1, most: 255 };
const bytes = { least: 0, most: 0x3fff_ffff };

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
  socketLevel("SO_PRIORITY", "integer", { least: 0, most: 0x7fff_ffff }),
  socketLevel("SO_REUSEPORT", "flag"),
  socketLevel("SO_BINDTODEVICE", "device"),
  socketLevel("SO_MARK", "integer", int32),
  socketLevel("SO_PROTOCOL", "integer", { readOnly: true }),
  socketLevel("SO_DOMAIN", "integer", { readOnly: true }),
  socketLevel("SO_BUSY_POLL", "integer", { least: 0, most: 0x7fff_ffff }),
  ipv4("IP_TOS", "integer", octet),
  ipv4("IP_TTL", "integer", hops),
  ipv4("IP_MTU_DISCOVER", "integer", { least: 0, most: 5 }),
  ipv4("IP_MTU", "integer", { readOnly: true }),
  ipv4("IP_FREEBIND", "flag"),
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
];

const byNumber: ReadonlyMap<string, Option> = new Map(
  table.map((option) => [`${option.level}:${option.option}`, option]),
);

/**
 * The option of a level and a number, for a socket of `family`.
 *
 * @throws `TypeError` for anything but numbers; `OSError` `ENOPROTOOPT` for an option that is not in the table or
 *   belongs to the other family.
 */
export function findOption(level: unknown, option: unknown, family: Family, syscall: string): Option {
  if (typeof level !== "number") throw wrongType("level", "a number", level);
  if (typeof option !== "number") throw wrongType("option", "a number", option);
  const found = byNumber.get(`${level}:${option}`);
  if (!found) {
    throw new OSError("ENOPROTOOPT", { syscall, text: `no option ${option} at level ${level}` });
  }
  if (found.family !== undefined && found.family !== family) {
    throw new OSError("ENOPROTOOPT", {
      syscall,
      text: `${found.name} belongs to ${found.family === c.AF_INET ? "AF_INET" : "AF_INET6"} sockets`,
    });
  }
  return found;
}

/**
 * A value for `option` in the form that drivers take: a number or, for interfaces, a string.
 *
 * @throws `TypeError` or `RangeError` for a value that the option cannot hold; `OSError` `ENOPROTOOPT` for a
 *   read-only option.
 */
export function checkValue(option: Option, value: unknown): OptionValue {
  if (option.readOnly === true) {
    throw new OSError("ENOPROTOOPT", { syscall: "setsockopt", text: `${option.name} is read only` });
  }
  switch (option.kind) {
    case "flag":
      if (typeof value === "boolean") return value ? 1 : 0;
      if (typeof value !== "number") throw wrongType(option.name, "a boolean, 0 or 1", value);
      return wholeNumber(option.name, value, 0, 1);
    case "integer":
      return wholeNumber(option.name, value, option.least ?? int32.least, option.most ?? int32.most);
    case "interface":
      // The system's choice is as `getsockopt` has it.
      return chosenInterface(option.name, value) ?? (option.level === c.IPPROTO_IP ? c.INADDR_ANY : "");
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
 */
export function chosenInterface(name: string, value: unknown): string | undefined {
  if (value === "") return undefined;
  const given = checkInterface(name, value);
  return given === "0" || isWildcard(given) ? undefined : given;
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

type Limits = Pick<Option, "least" | "most" | "readOnly">;

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
