/** Options that programs may not use by number: the package has set them for itself, or they are unsafe as plain bytes. */

import { IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET } from "../../core/constants.js";
import { OSError } from "../../core/errors/errors.js";
import { SOL_UDP } from "./offload.js";

const timestamps = "it reads arrival times with SO_TIMESTAMPNS, which this would change";
const errorQueue = "it reads ICMP errors from the error queue";
const metadata = "it reads metadata with it (metadata: false switches that off)";

/** The options that the package sets itself, by level and number (asm-generic/socket.h, linux/in.h, linux/in6.h, linux/udp.h). */
const own: Readonly<Record<number, Readonly<Record<number, readonly [name: string, why: string]>>>> = {
  [SOL_SOCKET]: {
    29: ["SO_TIMESTAMP", timestamps],
    35: ["SO_TIMESTAMPNS", timestamps],
    37: ["SO_TIMESTAMPING", timestamps],
    40: ["SO_RXQ_OVFL", "it counts the drops of a full receive buffer with it"],
    45: ["SO_SELECT_ERR_QUEUE", "without it an ICMP error would end all reading"],
    63: ["SO_TIMESTAMP_NEW", timestamps],
    64: ["SO_TIMESTAMPNS_NEW", timestamps],
    65: ["SO_TIMESTAMPING_NEW", timestamps],
  },
  [IPPROTO_IP]: {
    8: ["IP_PKTINFO", metadata],
    11: ["IP_RECVERR", errorQueue],
    12: ["IP_RECVTTL", metadata],
    13: ["IP_RECVTOS", metadata],
  },
  [IPPROTO_IPV6]: {
    1: ["IPV6_ADDRFORM", "a socket keeps its family"],
    25: ["IPV6_RECVERR", errorQueue],
    49: ["IPV6_RECVPKTINFO", metadata],
    51: ["IPV6_RECVHOPLIMIT", metadata],
    66: ["IPV6_RECVTCLASS", metadata],
  },
  [SOL_UDP]: {
    1: ["UDP_CORK", "datagrams of several calls would be sent as one"],
    103: ["UDP_SEGMENT", "it sends runs of datagrams with it, and other datagrams would be cut"],
    104: ["UDP_GRO", "merged datagrams that wait would lose their boundaries"],
  },
};

/** `SO_GET_FILTER`. Its length is in instructions, not bytes (sk_get_filter, net/core/filter.c). */
const soGetFilter = 26;
/** Netfilter's options start here: `IPT_BASE_CTL`, `IP6T_SO_…`. They have memory addresses (linux/netfilter_ipv4/ip_tables.h). */
const netfilter = 64;

/** @throws `OSError` `EPERM`, with the reason, if a program may not set the option. */
export function checkSettable(level: number, option: number): void {
  const [name, why] = own[level]?.[option] ?? [];
  if (name !== undefined) throw refusal("setsockopt", `${name} is set by this package itself: ${why}`);
  checkPlain("setsockopt", level, option);
}

/** @throws `OSError` `EPERM` if the option cannot be read as bytes. */
export function checkGettable(level: number, option: number): void {
  if (level === SOL_SOCKET && option === soGetFilter)
    throw refusal("getsockopt", "SO_GET_FILTER counts instructions, not bytes");
  checkPlain("getsockopt", level, option);
}

function checkPlain(syscall: string, level: number, option: number): void {
  const tables =
    (level === IPPROTO_IP && option >= netfilter && option < 2048) ||
    (level === IPPROTO_IPV6 && (option === netfilter || option === netfilter + 1));
  if (!tables) return;
  const text = `option ${option} at level ${level} is netfilter's, and holds addresses of memory: iptables and nft set it`;
  throw refusal(syscall, text);
}

function refusal(syscall: string, text: string): OSError {
  return new OSError("EPERM", { syscall, text });
}
