import { type IcmpError, type Packet, contentBytes, isFragment } from "./packet.js";

/** TOS of ICMP errors over IPv4: internetwork control (RFC 1812, section 4.3.2.5). */
const internetworkControl = 0xc0;

/** Type and code of each ICMP error, for each version of IP. */
const typesAndCodes = {
  portUnreachable: { 4: [3, 3], 6: [1, 4] },
  noRoute: { 4: [3, 0], 6: [1, 0] },
  tooBig: { 4: [3, 4], 6: [2, 0] },
  ttlExceeded: { 4: [11, 0], 6: [3, 0] },
  reassemblyTimedOut: { 4: [11, 1], 6: [3, 1] },
} as const;

/** The reason for an ICMP error. */
export type IcmpReason = keyof typeof typesAndCodes;

/**
 * The ICMP error about a packet, addressed to its source.
 *
 * @param from address of the node that sends the error.
 * @param mtu of the next link, for "tooBig".
 * @returns `undefined` for packets that must not cause an error: other errors and later fragments (RFC 1122, section 3.2.2).
 */
export function icmpErrorFor(
  about: Packet,
  reason: IcmpReason,
  from: string,
  number: () => number,
  mtu = 0,
): Packet | undefined {
  const { version, source } = about;
  if (about.content.protocol === "icmp" || (isFragment(about) && about.offset > 0)) return undefined;
  const [type, code] = typesAndCodes[reason][version];
  const content: IcmpError = { protocol: "icmp", type, code, mtu, about };
  const made = number();
  return {
    number: made,
    version,
    source: from,
    destination: source,
    ttl: 64,
    tos: version === 4 ? internetworkControl : 0,
    identification: version === 4 ? made & 0xffff : made,
    dontFragment: version === 6,
    content,
    offset: 0,
    length: contentBytes(version, content),
    moreFragments: false,
  };
}
