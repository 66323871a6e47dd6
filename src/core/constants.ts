/**
 * The numbers of the BSD socket interface on Linux (`<sys/socket.h>`, `<netinet/in.h>`).
 * They have these values on every platform: a driver translates them if its system has other numbers.
 */

/** Address family of a name that is not resolved yet. */
export const AF_UNSPEC = 0;
/** IPv4. */
export const AF_INET = 2;
/** IPv6. */
export const AF_INET6 = 10;

/** A stream socket. This package has none: use `node:net`. */
export const SOCK_STREAM = 1;
/** A datagram socket: UDP. */
export const SOCK_DGRAM = 2;

/** Level of the options of every socket. */
export const SOL_SOCKET = 1;
/** Level of the IPv4 options. */
export const IPPROTO_IP = 0;
/** The protocol number of UDP. */
export const IPPROTO_UDP = 17;
/** Level of the IPv6 options. */
export const IPPROTO_IPV6 = 41;

/** Boolean: bind to an address that another socket with this option has. Multicast receivers share a port this way. */
export const SO_REUSEADDR = 2;
/** Integer, read only: the type of the socket. */
export const SO_TYPE = 3;
/** Integer, read only: the pending error of the socket. Reading it clears it. */
export const SO_ERROR = 4;
/** Boolean: send only to hosts on a directly connected network, never through a router. */
export const SO_DONTROUTE = 5;
/** Boolean: allow sending to a broadcast address. */
export const SO_BROADCAST = 6;
/** Bytes of the kernel's send buffer. Linux limits the size to `net.core.wmem_max`, doubles it and returns the double. */
export const SO_SNDBUF = 7;
/** Bytes of the kernel's receive buffer. Linux limits the size to `net.core.rmem_max`, doubles it and returns the double. */
export const SO_RCVBUF = 8;
/** Integer 0 to 6: the queueing priority of sent datagrams. */
export const SO_PRIORITY = 12;
/** Boolean: several sockets share one port, and the kernel distributes the peers among them. */
export const SO_REUSEPORT = 15;
/**
 * Bytes, set only: like `SO_SNDBUF`, but without the limit `net.core.wmem_max`. Needs CAP_NET_ADMIN. `SO_SNDBUF` reads the
 * result.
 */
export const SO_SNDBUFFORCE = 32;
/**
 * Bytes, set only: like `SO_RCVBUF`, but without the limit `net.core.rmem_max`. Needs CAP_NET_ADMIN. `SO_RCVBUF` reads the
 * result.
 */
export const SO_RCVBUFFORCE = 33;
/** Boolean: send IPv4 datagrams without a UDP checksum. No effect over IPv6. A socket with this option has no segmented sends. */
export const SO_NO_CHECK = 11;
/** String: use only this network interface. Changing it needs CAP_NET_RAW. */
export const SO_BINDTODEVICE = 25;
/** Integer: the firewall mark of sent datagrams. Needs CAP_NET_ADMIN or CAP_NET_RAW. */
export const SO_MARK = 36;
/** Integer, read only: the protocol, `IPPROTO_UDP`. */
export const SO_PROTOCOL = 38;
/** Integer, read only: the address family. */
export const SO_DOMAIN = 39;
/** Integer, microseconds: how long a read polls the device. Raising it needs CAP_NET_ADMIN. */
export const SO_BUSY_POLL = 46;
/**
 * Bytes per second, 1 or more: the maximum rate at which datagrams are sent. The `fq` queueing discipline of the interface
 * paces them; without `fq` the option has no effect. `Infinity`, the default, is no limit (tc-fq(8)).
 */
export const SO_MAX_PACING_RATE = 47;
/**
 * Integer: the CPU on which datagrams of this socket are received; -1 before the first datagram. If it is set on sockets that
 * share a port by `SO_REUSEPORT`, each socket receives the datagrams that arrive on its CPU.
 */
export const SO_INCOMING_CPU = 49;

/** Integer 0 to 255: type of service, DSCP in the upper six bits and ECN in the lower two (RFC 2474, RFC 3168). */
export const IP_TOS = 1;
/** Integer 1 to 255: time to live of unicast datagrams. */
export const IP_TTL = 2;
/** Integer: path MTU discovery, one of the `IP_PMTUDISC_…` values of `ip(7)`. */
export const IP_MTU_DISCOVER = 10;
/** For `IP_MTU_DISCOVER`: never forbid fragments. */
export const IP_PMTUDISC_DONT = 0;
/** For `IP_MTU_DISCOVER`: forbid fragments, but send in fragments if a datagram is above the path MTU. The default. */
export const IP_PMTUDISC_WANT = 1;
/** For `IP_MTU_DISCOVER`: forbid fragments; a datagram above the path MTU fails with `EMSGSIZE`. */
export const IP_PMTUDISC_DO = 2;
/** For `IP_MTU_DISCOVER`: forbid fragments, and ignore the known path MTU. */
export const IP_PMTUDISC_PROBE = 3;
/** Integer, bytes, read only: the known path MTU to the connected peer. */
export const IP_MTU = 14;
/** Boolean: bind to an address that this host does not have yet. */
export const IP_FREEBIND = 15;
/** Boolean: bind to and send from addresses of other hosts, for transparent proxies. Needs CAP_NET_ADMIN or CAP_NET_RAW. */
export const IP_TRANSPARENT = 19;
/** Boolean: `bind` to port 0 sets only the address; the first `connect` or send chooses the port. */
export const IP_BIND_ADDRESS_NO_PORT = 24;
/** String: the address or name of the interface through which multicast datagrams leave. */
export const IP_MULTICAST_IF = 32;
/** Integer 0 to 255: time to live of multicast datagrams. */
export const IP_MULTICAST_TTL = 33;
/** Boolean: multicast datagrams that this socket sends are also delivered to this host. */
export const IP_MULTICAST_LOOP = 34;
/** String: the name or number of the interface through which unicast datagrams leave if nothing else names one; `""` is none. */
export const IP_UNICAST_IF = 50;

/** Boolean, initially 1: receive the groups that any socket of this host joined; 0: only groups that this socket joined. */
export const IP_MULTICAST_ALL = 49;

/** Integer 1 to 255: hop limit of unicast datagrams. */
export const IPV6_UNICAST_HOPS = 16;
/** String: the name of the interface through which multicast datagrams leave. */
export const IPV6_MULTICAST_IF = 17;
/** Integer 0 to 255: hop limit of multicast datagrams. */
export const IPV6_MULTICAST_HOPS = 18;
/** Boolean: multicast datagrams that this socket sends are also delivered to this host. */
export const IPV6_MULTICAST_LOOP = 19;
/** Integer: path MTU discovery, one of the `IPV6_PMTUDISC_…` values of `ipv6(7)`. */
export const IPV6_MTU_DISCOVER = 23;
/** Integer, bytes, read only: the known path MTU to the connected peer. */
export const IPV6_MTU = 24;
/** Boolean, initially 1: receive the groups that any socket of this host joined; 0: only groups that this socket joined. */
export const IPV6_MULTICAST_ALL = 29;
/** Boolean: this IPv6 socket does not send or receive IPv4. Can be set only before the socket is bound. */
export const IPV6_V6ONLY = 26;
/** Integer 0 to 255: traffic class, the IPv6 twin of `IP_TOS`. */
export const IPV6_TCLASS = 67;
/** Boolean: the IPv6 twin of `IP_TRANSPARENT`. */
export const IPV6_TRANSPARENT = 75;
/** String: the IPv6 twin of `IP_UNICAST_IF`. */
export const IPV6_UNICAST_IF = 76;
/** Boolean: the IPv6 twin of `IP_FREEBIND`. */
export const IPV6_FREEBIND = 78;

/** Every interface, as a host for `bind`. */
export const INADDR_ANY = "0.0.0.0";
/** Every host on this network, as a host for `sendto` with `SO_BROADCAST`. */
export const INADDR_BROADCAST = "255.255.255.255";
/** This host. */
export const INADDR_LOOPBACK = "127.0.0.1";
