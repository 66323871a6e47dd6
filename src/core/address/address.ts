/**
 * Addresses: a host and a port. `address.ts` has the class `Address`, `shared-addresses.ts` keeps addresses to use them again,
 * `same-host.ts` compares hosts, and `scopes.ts` is about the interface after the `%` of an IPv6 address.
 */

import { assert } from "../assert.js";
import { AF_INET, AF_INET6, AF_UNSPEC, INADDR_BROADCAST } from "../constants.js";
import { OSError, outOfRange, wholeNumber, wrongType } from "../errors/errors.js";
import { formatLiteral, isMapped, parseLiteral } from "../ip.js";
import { sameHost } from "./same-host.js";

/** `AF_INET` or `AF_INET6`. */
export type Family = typeof AF_INET | typeof AF_INET6;

/**
 * The forms of an address that every call takes: an `Address`; a pair, as in Python; `{ host, port }`, which is also the JSON
 * of an `Address`; and `{ address, port }`, as in Node. An object may have other fields, but not both `host` and `address`.
 */
export type AddressLike =
  | Address
  | readonly [host: string, port: number]
  | { readonly host: string; readonly port: number; readonly address?: undefined }
  | { readonly address: string; readonly port: number; readonly host?: undefined };

/** An `Address` whose host is a literal. Drivers take and return endpoints. */
export type Endpoint = Address & { readonly family: Family };

const longestName = 253;

/** The forms of an address, for errors. */
const forms = "an Address, [host, port], { host, port } or { address, port }";

/** The loopback addresses. As a destination, the second address of a pair means the first. */
const loopbacks = [
  ["127.0.0.1", "0.0.0.0"],
  ["::ffff:127.0.0.1", "::ffff:0.0.0.0"],
  ["::1", "::"],
] as const;

/** The count of free numbers that `startNumbering` guarantees for one batch. */
const numbersOfBatch = 16_384;
/** `destinationNumber` returns less than this. */
export const maxDestinations = 65_536;
let numbers = new Map<string, number>();
/** Goes up by 1 each time that the numbering starts again. Numbers of different rounds cannot be compared. */
let numberingRound = 1;

/**
 * Must be called before the destinations of a batch are numbered, so that all numbers of the batch are of one round.
 *
 * @returns the round.
 */
export function startNumbering(): number {
  if (numbers.size > maxDestinations - numbersOfBatch) {
    numbers = new Map();
    numberingRound++;
  }
  return numberingRound;
}

/**
 * Returns the number of a destination, a small one that can be an index of a table. All spellings of a destination have the
 * same number. Destinations that differ only in their scope have the same number too, because an interface has several names.
 */
export let destinationNumber: (address: Address) => number;

/**
 * A host and a port. Frozen; iterable as `[host, port]`; `String(address)` is `host:port`, or `[host]:port` for IPv6.
 */
export class Address implements Iterable<string | number> {
  /** An IPv4 or IPv6 literal, or a name that is not resolved yet. A scope follows an IPv6 literal as `%interface`. */
  readonly host: string;
  /** 0 to 65535. */
  readonly port: number;
  /** `AF_INET` or `AF_INET6` for a literal; `AF_UNSPEC` for a name. */
  readonly family: Family | typeof AF_UNSPEC;
  /** For `destinationNumber`. */
  #round = 0;
  #number = 0;

  /**
   * @param host a literal, or a name of at most 253 characters. As in Python, `""` is every interface and `"<broadcast>"` is
   *   255.255.255.255.
   * @param port 0 to 65535.
   * @throws `TypeError` for other types; `RangeError` `ERR_SOCKET_BAD_PORT` for a bad port, `ERR_OUT_OF_RANGE` for a bad name.
   */
  constructor(host: string, port: number) {
    if (typeof host !== "string") throw wrongType("host", "a string", host);
    this.port = checkPort(port);
    const literal = parseLiteral(host);
    if (literal) {
      this.host = formatLiteral(literal.bytes) + (literal.zone && `%${literal.zone}`);
      this.family = literal.bytes.length === 4 ? AF_INET : AF_INET6;
    } else if (host === "<broadcast>") {
      this.host = INADDR_BROADCAST;
      this.family = AF_INET;
    } else {
      this.host = checkName(host);
      this.family = AF_UNSPEC;
    }
    Object.freeze(this);
  }

  /**
   * Reads `host:port` or `[v6]:port`, for command lines and settings.
   *
   * @param text such as `"192.168.1.20:9000"`, `"camera.local:9000"`, `"[fe80::1%eth0]:9000"`.
   * @param defaultHost the host if the text is only a port. Without it, such a text is an error.
   * @throws `TypeError` if `text` is not a string; `RangeError` if it is not an address with a port.
   */
  static parse(text: string, defaultHost?: string): Address {
    if (typeof text !== "string") throw wrongType("address", "a string such as host:port", text);
    const match = /^(?:\[([^\]]*)\]:|([^:[\]]*):)?(\d{1,5})$/.exec(text);
    const host = match?.[1] ?? match?.[2] ?? defaultHost;
    if (!match || host === undefined || (match[1] !== undefined && !match[1].includes(":"))) {
      throw outOfRange("address", "host:port or [v6]:port", text);
    }
    return new Address(host, Number(match[3]));
  }

  /** Whether the constructor made and checked `value`. An object of the same shape is not enough. */
  static is(value: unknown): value is Address {
    return typeof value === "object" && value !== null && #number in value;
  }

  /** Returns the `Address` for any form that calls take. Reads each part once. */
  static from(input: AddressLike): Address {
    if (Address.is(input)) return input;
    if (Array.isArray(input)) {
      const pair = input as readonly unknown[];
      if (pair.length !== 2) throw wrongType("address", "a pair [host, port]", input, ` of ${pair.length}`);
      return new Address(pair[0] as string, pair[1] as number);
    }
    if (typeof input !== "object" || input === null) {
      throw wrongType("address", forms, input, hintFor(input));
    }
    const { host, address, port } = input as { host?: unknown; address?: unknown; port: number };
    if (host !== undefined && address !== undefined) {
      throw wrongType("address", "an object with host or with address, not with both", input);
    }
    const given = host ?? address;
    if (given === undefined) throw wrongType("address", forms, input);
    if (typeof given !== "string") {
      throw wrongType(host === undefined ? "address.address" : "address.host", "a string", given);
    }
    return new Address(given, port);
  }

  /** The name or number of the interface in a scoped IPv6 literal (`"eth0"` in `fe80::1%eth0`), else `undefined`. */
  get scope(): string | undefined {
    const percent = this.host.indexOf("%");
    return percent < 0 ? undefined : this.host.slice(percent + 1);
  }

  static {
    destinationNumber = (address) => {
      if (address.#round === numberingRound) return address.#number;
      const key = `${address.host.replace(/%.*/, "")}:${address.port}`;
      const number = numbers.get(key) ?? numbers.size;
      if (number === numbers.size) numbers.set(key, number);
      assert(number < maxDestinations, "a batch has no more destinations than numbers are free");
      address.#number = number;
      address.#round = numberingRound;
      return number;
    };
  }

  /** Returns an address with the same host and another port. */
  withPort(port: number): Address {
    return new Address(this.host, port);
  }

  /**
   * Whether both addresses are the same port of the same host. Spelling does not count: `::ffff:127.0.0.1` is `127.0.0.1`. A
   * scope that is a name and a scope that is a number count as the same, because this call does not ask the system.
   */
  equals(other: Address): boolean {
    return this.port === other.port && sameHost(this.host, other.host);
  }

  /** The host and the port, for `const [host, port] = address`. */
  *[Symbol.iterator](): Generator<string | number, void, undefined> {
    yield this.host;
    yield this.port;
  }

  toString(): string {
    return this.family === AF_INET6 ? `[${this.host}]:${this.port}` : `${this.host}:${this.port}`;
  }

  /** `{ host, port }`, which every call takes as an address. The host has the scope, and tells the family. */
  toJSON(): { host: string; port: number } {
    return { host: this.host, port: this.port };
  }
}

/** Whether a host means every interface: `0.0.0.0`, `::`, or `""` for either of them. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::" || host === "";
}

/** Returns the destination that the kernel uses: for a wildcard address, the loopback address (Linux: ip(7), ipv6(7)). */
export function destinationOf(to: Endpoint): Endpoint {
  const [host] = loopbacks.find(([, every]) => every === to.host) ?? [];
  return host === undefined ? to : (new Address(host, to.port) as Endpoint);
}

/** Returns the address of every interface of a family, `0.0.0.0` or `::`, with `port`. */
export function anyAddress(family: Family, port = 0): Endpoint {
  return new Address(family === AF_INET ? "0.0.0.0" : "::", port) as Endpoint;
}

/**
 * Returns the address in a form that a socket of `family` can use: an endpoint, or a name that is not resolved yet.
 *
 * @throws `OSError` `EAFNOSUPPORT` for a literal of the other family.
 */
export function forFamily(address: Address, family: Family, syscall: string): Address {
  if (address.host === "") return anyAddress(family, address.port);
  if (address.family === AF_UNSPEC || address.family === family) return address;
  throw new OSError("EAFNOSUPPORT", {
    syscall,
    address: address.host,
    port: address.port,
    text: otherFamily(family, address.host),
  });
}

/** The text about a literal of the family that a socket of `family` cannot use. */
export function otherFamily(family: Family, host: string): string {
  return family === AF_INET
    ? "this is an IPv6 address and the socket is AF_INET"
    : `this is an IPv4 address and the socket is AF_INET6, which reaches it as ::ffff:${host}`;
}

/** Whether the host of `address` is a literal, so that it needs no resolver. */
export function isEndpoint(address: Address): address is Endpoint {
  return address.family !== AF_UNSPEC;
}

/** Whether datagrams to an address are IPv4 packets. From an IPv6 socket, this is true for `::ffff:a.b.c.d`. */
export function isOverIPv4({ host, family }: Address): boolean {
  if (family !== AF_INET6) return family === AF_INET;
  const literal = parseLiteral(host);
  return literal !== undefined && isMapped(literal.bytes);
}

/** Returns the IPv4 address inside an IPv6 address (`::ffff:a.b.c.d`) with the same port; any other address unchanged. */
export function unmapped(address: Address): Address {
  const literal = address.family === AF_INET6 ? parseLiteral(address.host) : undefined;
  if (!literal || !isMapped(literal.bytes)) return address;
  return new Address(formatLiteral(literal.bytes.subarray(12)), address.port);
}

/** What the caller may have meant by a value that is not an address. */
function hintFor(input: unknown): string {
  if (typeof input === "number")
    return ': write [host, port]; for bind, ["", port] is a port of every interface';
  if (typeof input === "string") return ": Address.parse reads host:port";
  return "";
}

function checkPort(port: unknown): number {
  if (typeof port !== "number") throw wrongType("port", "a number", port);
  try {
    return wholeNumber("port", port, 0, 65_535);
  } catch (error) {
    throw Object.assign(error as RangeError, { code: "ERR_SOCKET_BAD_PORT" });
  }
}

function checkName(host: string): string {
  if (host.length > longestName) {
    throw outOfRange("host", `a name of at most ${longestName} characters`, host);
  }
  // A NUL would end the name early in the resolver. No name has colons, brackets or white space.
  if (/[\0\s[\]%/:]/.test(host)) throw outOfRange("host", "a name or an IP address", host);
  return host;
}
