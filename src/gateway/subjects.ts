/** Subjects of messages, in which each peer is one token. Nothing else than checked text becomes a part of a subject. */

import { Address, type AddressLike } from "../core/address/address.js";
import { outOfRange, wrongType } from "../core/errors/errors.js";
import { formatLiteral, isMapped, parseLiteral } from "../core/ip.js";

/** A character of a token. NATS reserves `.`, `*` and `>`, and its key-value buckets take no others than these, `/` and `.`. */
const tokenCharacter = /^[A-Za-z0-9_=-]$/;
const maxSubjectBytes = 200;

/**
 * Returns the token for a peer in subjects of a gateway, such as `10-0-0-7_9000`. The token is also a valid key of a key-value
 * bucket. An IPv4 address that is mapped to IPv6 has the token of the IPv4 address.
 *
 * @param peer with an IP literal as its host.
 * @throws `TypeError` for other types; `RangeError` `ERR_OUT_OF_RANGE` for a name.
 */
export function peerToken(peer: AddressLike): string {
  const { host, port } = Address.from(peer);
  const literal = parseLiteral(host);
  if (!literal) throw outOfRange("peer", "an address with an IP literal", host);
  const { bytes, zone } = literal;
  const text = formatLiteral(isMapped(bytes) ? bytes.subarray(12) : bytes).replaceAll(/[.:]/g, "-");
  return `${text}${zone === "" ? "" : `=${escapeZone(zone)}`}_${port}`;
}

/**
 * Returns the address of a peer whose token `peerToken` has returned.
 *
 * @throws `TypeError` if `token` is not a string; `RangeError` `ERR_OUT_OF_RANGE` if it is no token of a peer.
 */
export function peerOfToken(token: string): Address {
  if (typeof token !== "string") throw wrongType("token", "a string", token);
  const [, text = "", zone, port] =
    /^([0-9a-f-]{1,64})(?:=([A-Za-z0-9=-]{1,200}))?_(\d{1,5})$/.exec(token) ?? [];
  const isIPv4 = /^\d+(?:-\d+){3}$/.test(text);
  const host =
    text.replaceAll("-", isIPv4 ? "." : ":") + (zone === undefined ? "" : `%${unescapeZone(zone)}`);
  if (Number(port) <= 65_535 && parseLiteral(host)) {
    const peer = new Address(host, Number(port));
    // Only one text is the token of a peer.
    if (peerToken(peer) === token) return peer;
  }
  throw outOfRange("token", "the token of a peer, such as 10-0-0-7_9000", token);
}

/** Returns the bucket of a peer, from 0 to `buckets - 1`: FNV-1a of 32 bits over the token. */
export function bucketOf(token: string, buckets: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < token.length; index++)
    hash = Math.imul(hash ^ token.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % buckets;
}

/**
 * Checks the first tokens of subjects. The server stores `*`, `>` and spaces in the subject of a message as they are, and then no
 * reader can ask for it.
 *
 * @throws `TypeError`, `RangeError`.
 */
export function checkPrefix(prefix: unknown): string {
  if (typeof prefix !== "string") throw wrongType("prefix", "a string", prefix);
  if (prefix.length > maxSubjectBytes || !prefix.split(".").every(isPlainToken)) {
    const expected = `tokens of letters, digits, - and _ with a dot between them, at most ${maxSubjectBytes} characters`;
    throw outOfRange("prefix", expected, prefix);
  }
  return prefix;
}

/** Checks the name of a stream. @throws `TypeError`, `RangeError`. */
export function checkStreamName(name: unknown): string {
  if (typeof name !== "string") throw wrongType("stream", "a string", name);
  if (name.length > maxSubjectBytes || !isPlainToken(name))
    throw outOfRange("stream", "a name of letters, digits, - and _", name);
  return name;
}

/** Whether every subject that `wanted` matches is matched by `pattern` too. Both may have the wildcards `*` and `>`. */
export function covers(pattern: string, wanted: string): boolean {
  const [wider, narrower] = [pattern.split("."), wanted.split(".")];
  for (const [index, token] of wider.entries()) {
    const other = narrower[index];
    if (other === undefined) return false;
    if (token === ">") return true;
    if (other === ">" || (token !== "*" && token !== other)) return false;
  }
  return wider.length === narrower.length;
}

/** The subjects that match both patterns; `undefined` if there are none. Both may have the wildcards `*` and `>`. */
export function intersection(one: string, other: string): string | undefined {
  const [first, second] = [one.split("."), other.split(".")];
  const both: string[] = [];
  for (let index = 0; index < Math.max(first.length, second.length); index++) {
    const [left, right] = [first[index], second[index]];
    if (left === ">" && right !== undefined) return [...both, ...second.slice(index)].join(".");
    if (right === ">" && left !== undefined) return [...both, ...first.slice(index)].join(".");
    if (left === undefined || right === undefined) return undefined;
    if (left !== right && left !== "*" && right !== "*") return undefined;
    both.push(left === "*" ? right : left);
  }
  return both.join(".");
}

function isPlainToken(token: string): boolean {
  return /^[A-Za-z0-9_-]+$/.test(token);
}

/** The name of an interface may have any character except spaces, `/`, `%` and NUL. */
function escapeZone(zone: string): string {
  return Array.from(Buffer.from(zone), (byte) => {
    const character = String.fromCharCode(byte);
    const isPlain = tokenCharacter.test(character) && character !== "=" && character !== "_";
    return isPlain ? character : `=${byte.toString(16).padStart(2, "0")}`;
  }).join("");
}

function unescapeZone(text: string): string {
  return Buffer.from(
    text.replaceAll(/=([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    "latin1",
  ).toString();
}
