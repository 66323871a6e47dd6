/**
 * The options that this driver sets on its own: they turn on the error queue and the metadata, and forbid fragments. Sources:
 * ip(7), ipv6(7), socket(7).
 */

import type { Family } from "../../core/address/address.js";
import { type Capability, available, unavailable } from "../../core/capabilities.js";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MTU_DISCOVER,
  IP_MTU_DISCOVER,
  IP_PMTUDISC_DO,
  IP_PMTUDISC_PROBE,
  SOL_SOCKET,
} from "../../core/constants.js";
import { codeOf } from "../../core/errors/errno.js";
import type { Handle } from "./addon.js";
import { SOL_UDP, UDP_GRO } from "./offload.js";

/** The place of an option. */
type Place = readonly [level: number, option: number];

// The numbers are from linux/in.h, linux/in6.h and asm-generic/socket.h.
const IP_RECVERR: Place = [IPPROTO_IP, 11];
const IPV6_RECVERR: Place = [IPPROTO_IPV6, 25];
const IP_PKTINFO: Place = [IPPROTO_IP, 8];
const IP_RECVTTL: Place = [IPPROTO_IP, 12];
const IP_RECVTOS: Place = [IPPROTO_IP, 13];
const IPV6_RECVPKTINFO: Place = [IPPROTO_IPV6, 49];
const IPV6_RECVHOPLIMIT: Place = [IPPROTO_IPV6, 51];
const IPV6_RECVTCLASS: Place = [IPPROTO_IPV6, 66];
const SO_TIMESTAMPNS: Place = [SOL_SOCKET, 35];
const SO_RXQ_OVFL: Place = [SOL_SOCKET, 40];

/** The kernel notes these when a datagram arrives. */
const arrivalMetadata = {
  ipv4: [IP_PKTINFO, SO_TIMESTAMPNS, SO_RXQ_OVFL],
  ipv6: [IPV6_RECVPKTINFO],
};
/** The kernel reads these from the headers when a datagram is received (`ip_cmsg_recv_offset`, net/ipv4/ip_sockglue.c). */
const headerMetadata = {
  ipv4: [IP_RECVTTL, IP_RECVTOS],
  ipv6: [IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS],
};

/**
 * Makes the kernel keep ICMP errors in the error queue. An IPv6 socket can have IPv4 peers (`::ffff:`), whose errors need the
 * IPv4 option.
 *
 * @returns 0, or the first negative errno.
 */
export function enableErrorQueue(handle: Handle, family: Family): number {
  return setAll(handle, family === AF_INET ? [IP_RECVERR] : [IP_RECVERR, IPV6_RECVERR], 1);
}

/** What a socket needs before the first datagram arrives. */
export interface BeforeBind {
  /** Datagrams may arrive merged. It is never switched off again: merged datagrams that wait would lose their boundaries. */
  readonly coalescing: boolean;
  /** No datagram is sent in fragments. */
  readonly dontFragment: boolean;
  /** The kernel records metadata of datagrams when they arrive. */
  readonly metadata: boolean;
}

/** Sets the options of `BeforeBind` by one call of the addon. @returns 0, or the first negative errno. */
export function prepareToBind(handle: Handle, family: Family, needs: BeforeBind): number {
  const { coalescing, dontFragment, metadata } = needs;
  const key =
    (family === AF_INET ? 0 : 8) | (coalescing ? 4 : 0) | (dontFragment ? 2 : 0) | (metadata ? 1 : 0);
  const options = (optionsBeforeBind[key] ??= encodeBeforeBind(family, needs));
  return options.length === 0 ? 0 : handle.setNumbers(options);
}

/** The options by what they are for: every socket of a kind has the same. */
const optionsBeforeBind: (Int32Array | undefined)[] = [];

function encodeBeforeBind(family: Family, { coalescing, dontFragment, metadata }: BeforeBind): Int32Array {
  return Int32Array.from([
    ...(coalescing ? [SOL_UDP, UDP_GRO, 1] : []),
    ...(dontFragment ? encode(discovery(family), IP_PMTUDISC_DO) : []),
    ...(metadata ? encode(ofFamily(arrivalMetadata, family), 1) : []),
  ]);
}

/** Makes receive calls return the metadata in the headers. */
export function enableHeaderMetadata(handle: Handle, family: Family): number {
  return setAll(handle, ofFamily(headerMetadata, family), 1);
}

/** Runs `send` with fragments forbidden and the known path MTU ignored. Afterwards the socket has its former options. */
export function withProbing(handle: Handle, family: Family, send: () => number): number {
  const places = discovery(family);
  const before = places.map(([level, option]) => {
    const value = new Uint8Array(4);
    handle.getOption(level, option, value);
    return value;
  });
  setAll(handle, places, IP_PMTUDISC_PROBE);
  const result = send();
  for (const [index, [level, option]] of places.entries()) {
    handle.setOption(level, option, before[index] as Uint8Array);
  }
  return result;
}

/** Whether this kernel reports ICMP errors and metadata. @param probe a socket that is used for nothing else. */
export function reportingCapabilities(probe: Handle): { icmpErrors: Capability; packetInfo: Capability } {
  return {
    icmpErrors: capability(enableErrorQueue(probe, AF_INET)),
    packetInfo: capability(setAll(probe, [...arrivalMetadata.ipv4, ...headerMetadata.ipv4], 1)),
  };
}

function ofFamily({ ipv4, ipv6 }: typeof arrivalMetadata, family: Family): readonly Place[] {
  return family === AF_INET ? ipv4 : [...ipv4, ...ipv6];
}

function capability(result: number): Capability {
  return result < 0 ? unavailable(`this kernel has no such option: ${codeOf(-result)}`) : available;
}

function discovery(family: Family): readonly Place[] {
  const ipv4: Place = [IPPROTO_IP, IP_MTU_DISCOVER];
  return family === AF_INET6 ? [ipv4, [IPPROTO_IPV6, IPV6_MTU_DISCOVER]] : [ipv4];
}

/** Returns 0, or the first negative errno. */
function setAll(handle: Handle, places: readonly Place[], value: number): number {
  return handle.setNumbers(Int32Array.from(encode(places, value)));
}

function encode(places: readonly Place[], value: number): number[] {
  return places.flatMap(([level, option]) => [level, option, value]);
}
