import { icmpTypeOf } from "../../core/driver/icmp.js";
import { parseLiteral } from "../../core/ip.js";
import type { Unreachable } from "../../core/ledger/reports.js";
import { icmpError, icmpProtocol, icmpv6Error, icmpv6Protocol } from "../../wire/icmp.js";
import { ipv4Header } from "../../wire/ipv4.js";
import { ipv6Header } from "../../wire/ipv6.js";
import { type Flow, defaultTtl, writeHeaders } from "./flows.js";

const notFragmented = { identification: 0, dontFragment: true, moreFragments: false, offset: 0 } as const;

/**
 * The IP packet of an ICMP error. It quotes the headers of an empty datagram, because the socket does not know which of its
 * datagrams the error is about.
 *
 * @param about the flow of the datagram.
 * @param mtu of the next link in bytes, if the datagram was too big for it (RFC 1191 section 4, RFC 4443 section 3.2); otherwise 0.
 * @returns `undefined` if the host that sent the error, or the type of the error, is not known.
 */
export function icmpPacket({ from, kind }: Unreachable, about: Flow, mtu: number): Uint8Array | undefined {
  const { version, source: host, headers } = about;
  const router = from === undefined ? undefined : parseLiteral(from)?.bytes;
  const type = kind === undefined ? undefined : icmpTypeOf(version, kind);
  if (!type || router?.length !== host.length) return undefined;
  const quoted = new Uint8Array(headers.length);
  writeHeaders(about, quoted, 0, 0, 0, defaultTtl, 0);
  const header = { type: type[0], code: type[1], mtu };
  const addresses = { source: router, destination: host };
  const content = version === 4 ? icmpError(header, quoted) : icmpv6Error(header, router, host, quoted);
  const ip =
    version === 4
      ? ipv4Header(
          { ...addresses, ...notFragmented, protocol: icmpProtocol, ttl: defaultTtl, tos: 0 },
          content.length,
        )
      : ipv6Header(
          {
            ...addresses,
            protocol: icmpv6Protocol,
            hopLimit: defaultTtl,
            trafficClass: 0,
            fragment: undefined,
          },
          content.length,
        );
  const packet = new Uint8Array(ip.length + content.length);
  packet.set(ip);
  packet.set(content, ip.length);
  return packet;
}
