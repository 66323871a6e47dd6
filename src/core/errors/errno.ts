import { isMapped, isMulticast, isOfOneLink, parseLiteral } from "../ip.js";

/** What a code means: Linux's number, and a text that tells a person what to do. */
interface Meaning {
  readonly errno: number;
  readonly text: string;
}

/** The codes of socket calls with Linux's numbers (`errno(3)`), which `errno` has on every platform. */
const meanings: Readonly<Record<string, Meaning>> = {
  EPERM: { errno: 1, text: "operation not permitted" },
  ENOENT: { errno: 2, text: "no such file or folder" },
  EINTR: { errno: 4, text: "interrupted" },
  EIO: { errno: 5, text: "input/output error" },
  EBADF: { errno: 9, text: "the socket is closed" },
  EAGAIN: { errno: 11, text: "nothing there now" },
  ENOMEM: { errno: 12, text: "out of memory" },
  EACCES: { errno: 13, text: "permission denied" },
  EFAULT: { errno: 14, text: "bad memory address" },
  EBUSY: { errno: 16, text: "busy" },
  EEXIST: { errno: 17, text: "the file exists" },
  ENODEV: { errno: 19, text: "no such network interface" },
  ENOTDIR: { errno: 20, text: "not a folder" },
  EISDIR: { errno: 21, text: "a folder" },
  EINVAL: { errno: 22, text: "invalid argument" },
  ENFILE: { errno: 23, text: "the system has no descriptor left" },
  EMFILE: { errno: 24, text: "this process has no descriptor left" },
  EFBIG: { errno: 27, text: "the file is too large" },
  ENOSPC: { errno: 28, text: "the disk is full" },
  EROFS: { errno: 30, text: "the file system cannot be written" },
  EPIPE: { errno: 32, text: "nobody reads the pipe any more" },
  ENONET: { errno: 64, text: "the host is not on the network" },
  ENODATA: { errno: 61, text: "the data ends too early" },
  EPROTO: { errno: 71, text: "protocol error" },
  EBADMSG: { errno: 74, text: "the data is damaged" },
  ENOTSOCK: { errno: 88, text: "not a socket" },
  EDESTADDRREQ: {
    errno: 89,
    text: "no destination: the socket is not connected; call connect first, or give sendto or sendMany an address",
  },
  EMSGSIZE: { errno: 90, text: "message too long" },
  ENOPROTOOPT: { errno: 92, text: "no such option" },
  EPROTONOSUPPORT: { errno: 93, text: "protocol not supported" },
  ENOTSUP: { errno: 95, text: "not supported" },
  EAFNOSUPPORT: { errno: 97, text: "address of another family" },
  EADDRINUSE: { errno: 98, text: "another socket has this address" },
  EADDRNOTAVAIL: { errno: 99, text: "this host does not have this address" },
  ENETDOWN: { errno: 100, text: "the network is down" },
  ENETUNREACH: { errno: 101, text: "no route to this network" },
  ENOBUFS: { errno: 105, text: "no room in the queue" },
  EISCONN: { errno: 106, text: "the socket is connected" },
  ENOTCONN: { errno: 107, text: "the socket is not connected" },
  ETIMEDOUT: { errno: 110, text: "timed out" },
  ECONNREFUSED: { errno: 111, text: "nobody is listening there" },
  EHOSTDOWN: { errno: 112, text: "the host is down" },
  EHOSTUNREACH: { errno: 113, text: "no route to this host" },
  EDQUOT: { errno: 122, text: "the quota of the disk is used up" },
  ECANCELED: { errno: 125, text: "canceled" },
  EAI_AGAIN: { errno: 3001, text: "the name server did not answer" },
  ENOTFOUND: { errno: 3008, text: "this name has no address of the socket's family" },
};

/** The calls that need a route. */
const routed: ReadonlySet<string> = new Set(["connect", "send", "sendto", "sendmsg", "sendMany"]);

const byFirewall =
  "this host's own firewall drops it: a rule of nftables or iptables in the output chain (`nft list ruleset`, `iptables -L OUTPUT`)";
const needsBroadcast = "permission denied: a broadcast address needs SO_BROADCAST";

/** More precise texts for a code of one call. */
const meaningsOfCalls: Readonly<Record<string, string>> = {
  "sendmsg EDESTADDRREQ":
    "no destination: the socket is not connected; call connect first, or give sendmsg an address",
  "bind EACCES": "permission denied: only privileged processes may bind this port",
  "bind EINVAL": "the socket has an address already, or this one needs its interface (fe80::1%eth0)",
  "connect EACCES": needsBroadcast,
  "send EPERM": byFirewall,
  "sendto EPERM": byFirewall,
  "send EACCES": needsBroadcast,
  "sendto EACCES": needsBroadcast,
};

const codes: ReadonlyMap<number, string> = new Map(
  Object.entries(meanings).map(([code, { errno }]) => [errno, code]),
);

/** What `code` means for a `syscall` with an `address`. An unknown code has the number 0. */
export function meaningOf(code: string, syscall = "", address = ""): Meaning {
  const { errno, text } = meanings[code] ?? { errno: 0, text: "failed" };
  // For IPv6, the kernel returns EADDRNOTAVAIL if it finds no source address.
  const isUnrouted = (code === "ENETUNREACH" || code === "EADDRNOTAVAIL") && routed.has(syscall);
  // `__ip6_datagram_connect` (net/ipv6/datagram.c) refuses such an address.
  const isUnscoped = code === "EINVAL" && syscall === "connect";
  const ofAddress = isUnrouted ? withoutRoute(address) : isUnscoped ? withoutScope(address) : undefined;
  return { errno, text: ofAddress ?? meaningsOfCalls[`${syscall} ${code}`] ?? text };
}

/** The text for an IPv6 address that is of one link, and does not say of which; `undefined` for other addresses. */
function withoutScope(address: string): string | undefined {
  const literal = parseLiteral(address);
  if (literal?.zone !== "" || !isOfOneLink(literal.bytes)) return undefined;
  return `a link-local address needs a scope, the interface to send through: ${address}%eth0`;
}

/** The text for an address without a route; `undefined` if the usual text says it all. */
function withoutRoute(address: string): string | undefined {
  const literal = parseLiteral(address);
  if (!literal) return undefined;
  const { bytes } = literal;
  const ipv4 = bytes.length === 4 || isMapped(bytes);
  const target = ipv4 ? bytes.subarray(-4) : bytes;
  if (target.length === 4 && target.every((byte) => byte === 255)) {
    return "no route to this broadcast address: name the interface (`interface` of sendmsg, or SO_BINDTODEVICE), or send to the broadcast address of its network";
  }
  if (!isMulticast(target)) {
    return isMapped(bytes)
      ? "no route to this network, or IPV6_V6ONLY keeps IPv4 from this socket"
      : withoutScope(address);
  }
  return ipv4
    ? "no route to this group: name the interface (IP_MULTICAST_IF, or `interface` of sendmsg)"
    : "no route to this group: name the interface (IPV6_MULTICAST_IF, `interface` of sendmsg, or a scope, as in ff05::1%eth0)";
}

/** The code of one of Linux's numbers, such as `"EINVAL"` for 22. */
export function codeOf(errno: number): string {
  return codes.get(errno) ?? `E${errno}`;
}
