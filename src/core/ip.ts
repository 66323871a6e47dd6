/** IP addresses as text and as bytes: `inet_pton(3)` and `inet_ntop(3)`. IPv6 is written in the form of RFC 5952. */

/** The bytes of a literal, and the zone of a scoped IPv6 literal (`fe80::1%eth0`, RFC 4007 section 11). */
export interface Literal {
  /** 4 or 16 bytes in network byte order. */
  readonly bytes: Uint8Array;
  /** The name or number of the network interface after the `%`; `""` if there is none. */
  readonly zone: string;
}

/** Reads an IPv4 or IPv6 literal. Returns `undefined` for any other text, such as a name. */
export function parseLiteral(text: string): Literal | undefined {
  if (!text.includes(":")) {
    const bytes = parseIPv4(text);
    return bytes && { bytes, zone: "" };
  }
  const percent = text.indexOf("%");
  const zone = percent < 0 ? "" : text.slice(percent + 1);
  if (percent >= 0 && !/^[^\s%/\0]{1,15}$/.test(zone)) return undefined;
  const bytes = parseIPv6(percent < 0 ? text : text.slice(0, percent));
  return bytes && { bytes, zone };
}

/** Writes 4 or 16 bytes as text. */
export function formatLiteral(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join(".") : formatIPv6(bytes);
}

/** Whether a literal is a multicast address (RFC 1112 section 4, RFC 4291 section 2.7). */
export function isMulticast(bytes: Uint8Array): boolean {
  const first = bytes[0] ?? 0;
  return bytes.length === 4 ? first >= 224 && first <= 239 : first === 0xff;
}

/**
 * Whether an IPv6 address can be another host on each link: a link-local address, or multicast within an interface or a link.
 * The kernel reads the scope only of these addresses (`__ipv6_addr_needs_scope_id`, include/net/ipv6.h).
 */
export function isOfOneLink(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes;
  if (bytes.length !== 16) return false;
  if (first === 0xff) return (second & 0x0f) === 1 || (second & 0x0f) === 2;
  return first === 0xfe && (second & 0xc0) === 0x80;
}

/** Whether 16 bytes are an IPv4 address inside IPv6 (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2). */
export function isMapped(bytes: Uint8Array): boolean {
  return (
    bytes.length === 16 &&
    bytes[10] === 0xff &&
    bytes[11] === 0xff &&
    bytes.subarray(0, 10).every((byte) => byte === 0)
  );
}

/**
 * Whether the scope is a part of an IPv6 address: true for link-local unicast and multicast addresses (RFC 4007 section 6).
 * The scope of any other address only tells how to reach it.
 */
export function isScoped(bytes: Uint8Array): boolean {
  return (
    bytes.length === 16 && (bytes[0] === 0xff || (bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80))
  );
}

function parseIPv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes[index] = Number(part);
  }
  return bytes;
}

function parseIPv6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? "", true) : [];
  if (!head || !tail) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** Returns the bytes of groups between colons. With `atEnd`, the last group may be an IPv4 address. */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  if (groups.length > 8) return undefined;
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const dotted = atEnd && index === groups.length - 1 ? parseIPv4(group) : undefined;
    if (!dotted) return undefined;
    bytes.push(...dotted);
  }
  return bytes;
}

function formatIPv6(bytes: Uint8Array): string {
  if (isMapped(bytes)) return `::ffff:${bytes.subarray(12).join(".")}`;
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
  const gap = longestZeros(groups);
  const hex = groups.map((group) => group.toString(16));
  if (gap.length < 2) return hex.join(":");
  return `${hex.slice(0, gap.start).join(":")}::${hex.slice(gap.start + gap.length).join(":")}`;
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
