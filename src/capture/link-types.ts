/** Where the IP packet starts in a packet of a link. */

import { uint16, uint32 } from "../wire/numbers.js";

/** An IP packet in a packet of a link. */
export interface IpPlace {
  /** The offset of its first byte. */
  readonly start: number;
  /** The direction, for link types that have it. */
  readonly direction: "in" | "out" | undefined;
  /** The numbers of the VLANs of the packet as one number, 0 without. Different VLANs have different numbers. */
  readonly vlan: number;
}

/** Finds the IP packet. Returns the reason if there is none. */
type LinkType = (bytes: Uint8Array, start: number, end: number) => IpPlace | "otherProtocol" | "malformed";

const ipv4Type = 0x0800;
const ipv6Type = 0x86dd;
/** VLAN tags: IEEE 802.1Q, 802.1ad, and two that were used for QinQ before it. */
const tagTypes: readonly number[] = [0x8100, 0x88a8, 0x9100, 0x9200];
/** The numbers of the innermost four VLANs. */
const maxVlans = 2 ** 48;
/** Address families of IPv4 and, by system, of IPv6: NetBSD and Linux, FreeBSD, macOS. */
const families: readonly number[] = [2, 10, 24, 28, 30];
/** The packet type of Linux for a packet that this host sent. */
const outgoing = 4;

const raw: LinkType = (_, start) => ({ start, direction: undefined, vlan: 0 });
const ethernet: LinkType = (bytes, start, end) => typed(bytes, start + 12, start + 14, end);
/** BSD loopback: the family in the byte order of the recording host. */
const bsdNull: LinkType = (bytes, start) => {
  const reversed = bytes.slice(start, start + 4).reverse();
  return family(start + 4, uint32(bytes, start), uint32(reversed, 0));
};
/** OpenBSD loopback: the family in network byte order. */
const bsdLoop: LinkType = (bytes, start) => family(start + 4, uint32(bytes, start));
const cooked: LinkType = (bytes, start, end) =>
  typed(bytes, start + 14, start + 16, end, direction(uint16(bytes, start)));
const cooked2: LinkType = (bytes, start, end) =>
  typed(bytes, start, start + 20, end, direction(bytes[start + 10] ?? 0));

/** By the numbers of https://www.tcpdump.org/linktypes.html. 12 and 14 are raw IP in files of some systems. */
const linkTypes: ReadonlyMap<number, { readonly headerBytes: number; readonly find: LinkType }> = new Map([
  [0, { headerBytes: 4, find: bsdNull }],
  [1, { headerBytes: 14, find: ethernet }],
  [12, { headerBytes: 0, find: raw }],
  [14, { headerBytes: 0, find: raw }],
  [101, { headerBytes: 0, find: raw }],
  [108, { headerBytes: 4, find: bsdLoop }],
  [113, { headerBytes: 16, find: cooked }],
  [228, { headerBytes: 0, find: raw }],
  [229, { headerBytes: 0, find: raw }],
  [276, { headerBytes: 20, find: cooked2 }],
]);

/** Finds the IP packet in a packet of a link, whose bytes are those from `start` to `end`. Returns the reason if there is none. */
export function findIp(
  linkType: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): IpPlace | "otherLink" | "otherProtocol" | "malformed" {
  const link = linkTypes.get(linkType);
  if (!link) return "otherLink";
  return start + link.headerBytes > end ? "malformed" : link.find(bytes, start, end);
}

/** After an Ethernet type at `at`, with the content at `start`. Passes over VLAN tags. */
function typed(
  bytes: Uint8Array,
  at: number,
  start: number,
  end: number,
  direction?: "in" | "out",
): IpPlace | "otherProtocol" | "malformed" {
  let type = uint16(bytes, at);
  let vlan = 0;
  while (tagTypes.includes(type)) {
    // A tag has two bytes, and the type of the content follows it.
    if (start + 4 > end) return "malformed";
    vlan = (vlan * 4096 + (uint16(bytes, start) & 0x0fff)) % maxVlans;
    type = uint16(bytes, start + 2);
    start += 4;
  }
  return type === ipv4Type || type === ipv6Type ? { start, direction, vlan } : "otherProtocol";
}

function family(start: number, ...readings: readonly number[]): IpPlace | "otherProtocol" {
  return readings.some((each) => families.includes(each))
    ? { start, direction: undefined, vlan: 0 }
    : "otherProtocol";
}

function direction(packetType: number): "in" | "out" {
  return packetType === outgoing ? "out" : "in";
}
