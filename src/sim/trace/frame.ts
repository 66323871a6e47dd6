import { parseLiteral } from "../../core/ip.js";
import { icmpError, icmpProtocol, icmpv6Error, icmpv6Protocol } from "../../wire/icmp.js";
import { ipv4Header } from "../../wire/ipv4.js";
import { ipv6Header } from "../../wire/ipv6.js";
import { udpHeader, udpProtocol } from "../../wire/udp.js";
import { contentBytes, isFragment, type Packet, udpHeaderBytes } from "../packet/packet.js";

/**
 * The bytes of a packet on a link, starting with the IP header. A corrupted datagram has the checksum that it was sent
 * with, which is wrong now. All other checksums are right.
 */
export function frameOf(packet: Packet): Uint8Array {
  const source = addressBytes(packet.source);
  const destination = addressBytes(packet.destination);
  return joined(ipHeader(packet, source, destination), carried(packet, source, destination));
}

function ipHeader(packet: Packet, source: Uint8Array, destination: Uint8Array): Uint8Array {
  const { version, content, ttl, tos, length } = packet;
  const { identification, dontFragment, moreFragments, offset } = packet;
  const icmp = version === 4 ? icmpProtocol : icmpv6Protocol;
  const protocol = content.protocol === "udp" ? udpProtocol : icmp;
  const fragment = { identification, moreFragments, offset };
  if (version === 4) {
    return ipv4Header({ source, destination, protocol, ttl, tos, dontFragment, ...fragment }, length);
  }
  return ipv6Header(
    {
      source,
      destination,
      protocol,
      hopLimit: ttl,
      trafficClass: tos,
      fragment: isFragment(packet) ? fragment : undefined,
    },
    length,
  );
}

/** The bytes of the content in this packet. */
function carried(packet: Packet, source: Uint8Array, destination: Uint8Array): Uint8Array {
  const { version, content, offset, length } = packet;
  if (content.protocol === "icmp") {
    const quoted = frameOf(content.about).subarray(0, contentBytes(version, content) - 8);
    const whole =
      version === 4 ? icmpError(content, quoted) : icmpv6Error(content, source, destination, quoted);
    return whole.subarray(offset, offset + length);
  }
  // Only the first fragment has the UDP header, with the checksum of the whole datagram.
  const { payload, intact } = content;
  const from = offset - udpHeaderBytes;
  if (offset > 0) return payload.subarray(from, from + length);
  return joined(
    udpHeader(content, source, destination, intact ?? payload),
    payload.subarray(0, from + length),
  );
}

function addressBytes(literal: string): Uint8Array {
  const bytes = parseLiteral(literal)?.bytes;
  if (!bytes) throw new Error(`a packet has the address ${literal}, which is not an IP address`);
  return bytes;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
