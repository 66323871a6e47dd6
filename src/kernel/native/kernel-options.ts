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
import { int32 } from "../../core/driver/bytes.js";

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

/** Makes the kernel record metadata of datagrams that arrive from now on. */
export function enableArrivalMetadata(handle: Handle, family: Family): number {
  return enable(handle, family, arrivalMetadata);
}

/** Makes receive calls return the metadata in the headers. */
export function enableHeaderMetadata(handle: Handle, family: Family): number {
  return enable(handle, family, headerMetadata);
}

/** Forbids fragments of sent datagrams. @returns 0, or the first negative errno. */
export function forbidFragments(handle: Handle, family: Family): number {
  return setAll(handle, discovery(family), IP_PMTUDISC_DO);
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
    packetInfo: capability(enableArrivalMetadata(probe, AF_INET) || enableHeaderMetadata(probe, AF_INET)),
  };
}

function enable(handle: Handle, family: Family, { ipv4, ipv6 }: typeof arrivalMetadata): number {
  return setAll(handle, ipv4, 1) || (family === AF_INET ? 0 : setAll(handle, ipv6, 1));
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
  const bytes = int32(value);
  for (const [level, option] of places) {
    const result = handle.setOption(level, option, bytes);
    if (result < 0) return result;
  }
  return 0;
}
