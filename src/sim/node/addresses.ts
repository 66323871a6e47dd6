import { Address } from "../../core/address/address.js";
import { AF_INET } from "../../core/constants.js";
import { outOfRange, wrongType } from "../../core/errors/errors.js";
import { formatLiteral, isMapped, isMulticast, parseLiteral } from "../../core/ip.js";

/** An address of a host, with its network. */
export interface HostAddress {
  /** As `Address` writes it. */
  readonly host: string;
  readonly version: 4 | 6;
  readonly bytes: Uint8Array;
  /** Prefix length of the network, in bits. */
  readonly prefix: number;
  /** The broadcast address of the network: only for IPv4 networks of more than two addresses (RFC 3021). */
  readonly broadcast: string | undefined;
}

/** The broadcast address for all hosts on a link (RFC 919). */
export const limitedBroadcast = "255.255.255.255";

/**
 * Reads `"10.0.0.2"`, `"10.0.0.2/24"`, `"fd00::2"` or `"fd00::2/64"`.
 *
 * @param text without a prefix length, the length is 24 bits for IPv4 and 64 for IPv6.
 * @throws `TypeError`, `RangeError` naming `where`: for names, scoped addresses, and addresses that a single host cannot have.
 */
export function readHostAddress(text: unknown, where: string): HostAddress {
  const { bytes, prefix } = readPrefix(text, where);
  const host = formatLiteral(bytes);
  const unusable =
    isMulticast(bytes) || isLoopback(host) || bytes.every((byte) => byte === 0) || isMapped(bytes);
  const broadcast = bytes.length === 4 && prefix < 31 ? broadcastOf(bytes, prefix) : undefined;
  if (unusable || host === limitedBroadcast || host === broadcast) {
    throw outOfRange(where, "the address of one host", text);
  }
  return { host, version: bytes.length === 4 ? 4 : 6, bytes, prefix, broadcast };
}

/** A network, such as `"192.168.0.0/16"`. */
export interface Network {
  readonly bytes: Uint8Array;
  readonly prefix: number;
}

/**
 * Reads `"192.168.0.0/16"`; without a prefix length, it is 24 bits for IPv4 and 64 for IPv6.
 *
 * @throws `TypeError`, `RangeError` naming `where`.
 */
export function readPrefix(text: unknown, where: string): Network {
  if (typeof text !== "string") throw wrongType(where, "an IP address such as 10.0.0.2 or 10.0.0.2/24", text);
  const [literal = "", length, ...rest] = text.split("/");
  const found = parseLiteral(literal);
  if (found?.zone !== "" || rest.length > 0) {
    throw outOfRange(where, "an IP address such as 10.0.0.2 or 10.0.0.2/24", text);
  }
  const maxPrefix = found.bytes.length * 8;
  const prefix = length === undefined ? (maxPrefix === 32 ? 24 : 64) : Number(length);
  if (length !== undefined && (!/^\d{1,3}$/.test(length) || prefix > maxPrefix)) {
    throw outOfRange(where, `a prefix of 0 to ${maxPrefix} bits`, text);
  }
  return { bytes: found.bytes, prefix };
}

/** The number of leading bits that two addresses have in common; -1 for addresses of two families. */
export function commonBits(one: Uint8Array, other: Uint8Array): number {
  if (one.length !== other.length) return -1;
  for (let index = 0; index < one.length; index++) {
    const difference = (one[index] ?? 0) ^ (other[index] ?? 0);
    if (difference !== 0) return index * 8 + Math.clz32(difference) - 24;
  }
  return one.length * 8;
}

/** Whether an address is in a network. */
export function isWithin(address: Uint8Array, { bytes, prefix }: Network): boolean {
  return commonBits(address, bytes) >= prefix;
}

/** The bytes of a valid literal. */
export function bytesOf(host: string): Uint8Array {
  return parseLiteral(host)?.bytes ?? new Uint8Array();
}

/** Whether a literal, as it is written in packets, is in 127.0.0.0/8 or is `::1`. */
export function isLoopback(host: string): boolean {
  return host.startsWith("127.") || host === "::1";
}

/** Whether a destination is a multicast group or 255.255.255.255. */
export function isGroup(host: string): boolean {
  if (host === limitedBroadcast) return true;
  // The fourth digit is needed: `ff::1` is 00ff::1.
  if (host.includes(":")) return host.startsWith("ff") && host[4] === ":";
  const first = Number.parseInt(host, 10);
  return first >= 224 && first <= 239;
}

/** The address as it is written in packets: without the scope and the `::ffff:` of sockets. */
export function onTheWire(host: string): string {
  const percent = host.indexOf("%");
  const plain = percent < 0 ? host : host.slice(0, percent);
  return plain.startsWith("::ffff:") && plain.includes(".") ? plain.slice(7) : plain;
}

/** The address of a packet as a socket of this family writes it. */
export function forSocket(host: string, family: number): string {
  return family === AF_INET || host.includes(":") ? host : `::ffff:${host}`;
}

function broadcastOf(bytes: Uint8Array, prefix: number): string {
  const last = bytes.map((byte, index) => byte | (0xff >> Math.min(8, Math.max(0, prefix - index * 8))));
  return new Address(formatLiteral(last), 0).host;
}
