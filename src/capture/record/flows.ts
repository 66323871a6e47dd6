import { Buffer } from "node:buffer";

import type { Endpoint } from "../../core/address/address.js";
import { isMapped, parseLiteral } from "../../core/ip.js";
import { foldedSum, internetSum, pseudoHeader } from "../../wire/checksum.js";
import { ipv4Header } from "../../wire/ipv4.js";
import { ipv6Header } from "../../wire/ipv6.js";
import { udpHeader, udpProtocol } from "../../wire/udp.js";

/** The TTL of headers if the datagram's own is not known: the default of Linux. */
export const defaultTtl = 64;

/** Flows that are kept. When there are more, all are forgotten. */
const maxFlows = 4096;
const udpHeaderBytes = 8;
const noPayload = new Uint8Array();

/** The headers of datagrams from one address to another, which differ in a few fields only. */
export interface Flow {
  readonly version: 4 | 6;
  /** 4 or 16 bytes. */
  readonly source: Uint8Array;
  /** 4 or 16 bytes. */
  readonly destination: Uint8Array;
  /** The IP header and the UDP header of a datagram without a payload. */
  readonly headers: Uint8Array;
  /** The sum of the IPv4 header without TOS, length, TTL and checksum. */
  readonly ipSum: number;
  /** The sum of the pseudo header and the UDP header without their lengths, and without the checksum. */
  readonly udpSum: number;
}

/** Makes the headers of flows, and keeps them for later datagrams. */
export class Flows {
  #flows = new Map<Endpoint, Map<Endpoint, Flow>>();
  #count = 0;
  #lastSource: Endpoint | undefined;
  #lastDestination: Endpoint | undefined;
  #last: Flow | undefined;

  of(source: Endpoint, destination: Endpoint): Flow {
    if (this.#last && source === this.#lastSource && destination === this.#lastDestination) return this.#last;
    const flow = this.#flows.get(source)?.get(destination) ?? this.#make(source, destination);
    this.#lastSource = source;
    this.#lastDestination = destination;
    return (this.#last = flow);
  }

  #make(source: Endpoint, destination: Endpoint): Flow {
    if (this.#count >= maxFlows) {
      this.#flows = new Map();
      this.#count = 0;
    }
    this.#count++;
    const flow = makeFlow(source, destination);
    const known = this.#flows.get(source);
    if (known) known.set(destination, flow);
    else this.#flows.set(source, new Map([[destination, flow]]));
    return flow;
  }
}

function makeFlow(from: Endpoint, to: Endpoint): Flow {
  const { version, source, destination } = addressBytes(from.host, to.host);
  const ports = { sourcePort: from.port, destinationPort: to.port };
  const udp = udpHeader(ports, source, destination, noPayload);
  udp.fill(0, 4);
  const common = { source, destination, protocol: udpProtocol };
  const ip =
    version === 4
      ? ipv4Header(
          {
            ...common,
            ttl: 0,
            tos: 0,
            identification: 0,
            dontFragment: true,
            moreFragments: false,
            offset: 0,
          },
          0,
        )
      : ipv6Header({ ...common, hopLimit: 0, trafficClass: 0, fragment: undefined }, 0);
  if (version === 4) ip.fill(0, 2, 4).fill(0, 10, 12);
  const udpSum = sumOf(Buffer.concat([pseudoHeader(source, destination, udpProtocol, 0), udp]));
  return {
    version,
    source,
    destination,
    headers: Buffer.concat([ip, udp]),
    ipSum: version === 4 ? sumOf(ip) : 0,
    udpSum,
  };
}

/**
 * The bytes of two addresses of one IP version. An IPv4 address inside IPv6 (`::ffff:a.b.c.d`) is IPv4. If only one address
 * is IPv4, the other one is the wildcard address of an IPv6 socket.
 */
function addressBytes(
  from: string,
  to: string,
): { version: 4 | 6; source: Uint8Array; destination: Uint8Array } {
  const [source, destination] = [from, to].map((host) => {
    const bytes = parseLiteral(host)?.bytes ?? new Uint8Array(4);
    return isMapped(bytes) ? bytes.subarray(12) : bytes;
  }) as [Uint8Array, Uint8Array];
  if (source.length === destination.length) {
    return { version: source.length === 4 ? 4 : 6, source, destination };
  }
  const any = new Uint8Array(4);
  return source.length === 4
    ? { version: 4, source, destination: any }
    : { version: 4, source: any, destination };
}

/** The sum of bytes, an even number of them. */
function sumOf(bytes: Uint8Array): number {
  const aligned = new Int32Array(Math.ceil(bytes.length / 4));
  new Uint8Array(aligned.buffer).set(bytes);
  return internetSum(aligned, 0, aligned.length);
}

/** The sum of a payload. It starts at a multiple of 4, and up to 3 bytes of 0 follow it. */
export function payloadSum(words: Int32Array, start: number, bytes: number): number {
  return internetSum(words, start >> 2, (start + bytes + 3) >> 2);
}

/**
 * Writes the headers of a datagram whose payload follows them.
 *
 * @param payloadSum the sum of the payload, 0 to 0xffff.
 */
export function writeHeaders(
  { version, headers, ipSum, udpSum }: Flow,
  bytes: Uint8Array,
  start: number,
  payloadBytes: number,
  payloadSum: number,
  ttl: number,
  tos: number,
): void {
  bytes.set(headers, start);
  const length = payloadBytes + udpHeaderBytes;
  const udp = start + headers.length - udpHeaderBytes;
  if (version === 4) {
    const total = length + 20;
    bytes[start + 1] = tos;
    bytes[start + 2] = total >> 8;
    bytes[start + 3] = total;
    bytes[start + 8] = ttl;
    const sum = 0xffff - foldedSum(ipSum + tos + total + (ttl << 8));
    bytes[start + 10] = sum >> 8;
    bytes[start + 11] = sum;
  } else {
    bytes[start] = 0x60 | (tos >> 4);
    bytes[start + 1] = (tos & 0x0f) << 4;
    bytes[start + 4] = length >> 8;
    bytes[start + 5] = length;
    bytes[start + 7] = ttl;
  }
  bytes[udp + 4] = length >> 8;
  bytes[udp + 5] = length;
  // The length is in the pseudo header too. A checksum of 0 is written as 0xffff (RFC 768).
  const checksum = 0xffff - foldedSum(udpSum + 2 * length + payloadSum) || 0xffff;
  bytes[udp + 6] = checksum >> 8;
  bytes[udp + 7] = checksum;
}
