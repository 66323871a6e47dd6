/** What a code means: Linux's number and a text that a person can act on. */
interface Meaning {
  readonly errno: number;
  readonly text: string;
}

/** The codes that sockets give, with Linux's numbers (`errno(3)`), which stand in `errno` on every platform. */
const meanings: Readonly<Record<string, Meaning>> = {
  EPERM: { errno: 1, text: "operation not permitted" },
  EINTR: { errno: 4, text: "interrupted" },
  EIO: { errno: 5, text: "input/output error" },
  EBADF: { errno: 9, text: "the socket is closed" },
  EAGAIN: { errno: 11, text: "nothing there now" },
  ENOMEM: { errno: 12, text: "out of memory" },
  EACCES: { errno: 13, text: "permission denied" },
  EFAULT: { errno: 14, text: "bad memory address" },
  EBUSY: { errno: 16, text: "busy" },
  ENODEV: { errno: 19, text: "no such network interface" },
  EINVAL: { errno: 22, text: "invalid argument" },
  ENFILE: { errno: 23, text: "the system has no descriptor left" },
  EMFILE: { errno: 24, text: "this process has no descriptor left" },
  ENONET: { errno: 64, text: "the host is not on the network" },
  EPROTO: { errno: 71, text: "protocol error" },
  ENOTSOCK: { errno: 88, text: "not a socket" },
  EDESTADDRREQ: { errno: 89, text: "no destination: the socket is not connected" },
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
  ECANCELED: { errno: 125, text: "canceled" },
  EAI_AGAIN: { errno: 3001, text: "the name server did not answer" },
  ENOTFOUND: { errno: 3008, text: "this name has no address of the socket's family" },
};

const byFirewall =
  "this host's own firewall drops it: a rule of nftables or iptables in the output chain (`nft list ruleset`, `iptables -L OUTPUT`)";
const needsBroadcast = "permission denied: a broadcast address needs SO_BROADCAST";

/** What a code means of one call, where that says more. */
const meaningsOfCalls: Readonly<Record<string, string>> = {
  "bind EACCES": "permission denied: this port is for the privileged",
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

/** What `code` means of `syscall`; a code that the table lacks has the number 0. */
export function meaningOf(code: string, syscall = ""): Meaning {
  const { errno, text } = meanings[code] ?? { errno: 0, text: "failed" };
  return { errno, text: meaningsOfCalls[`${syscall} ${code}`] ?? text };
}

/** The code of a number as Linux gives it, such as `"EINVAL"` for 22. */
export function codeOf(errno: number): string {
  return codes.get(errno) ?? `E${errno}`;
}
