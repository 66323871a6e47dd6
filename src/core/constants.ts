/**
 * The numbers of the BSD socket interface, as Linux has them (`<sys/socket.h>`, `<netinet/in.h>`).
 * They are names for this library on every platform: a driver translates them where its system counts otherwise.
 */

/** Address family of a name that has not been resolved. */
export const AF_UNSPEC = 0;
/** IPv4. */
export const AF_INET = 2;
/** IPv6. */
export const AF_INET6 = 10;

/** A stream socket: not offered here, `node:net` has it. */
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

/** Boolean: bind to an address that another socket with this option has (multicast receivers share a port so). */
export const SO_REUSEADDR = 2;
/** Integer, read only: the type of the socket. */
export const SO_TYPE = 3;
/** Integer, read only: the error that waits on the socket; reading it clears it. */
export const SO_ERROR = 4;
/** Boolean: never route, send to hosts on a directly connected network only. */
export const SO_DONTROUTE = 5;
/** Boolean: allow sending to a broadcast address. */
export const SO_BROADCAST = 6;
/** Bytes of the kernel's send buffer. Linux doubles what is asked for, caps it at `net.core.wmem_max`, and gives back the double. */
export const SO_SNDBUF = 7;
/** Bytes of the kernel's receive buffer. Linux doubles what is asked for, caps it at `net.core.rmem_max`, and gives back the double. */
export const SO_RCVBUF = 8;
/** Integer 0 to 6: the queueing priority of what is sent. */
export const SO_PRIORITY = 12;
/** Boolean: several sockets share one port and the kernel spreads the peers over them. */
export const SO_REUSEPORT = 15;
/** String: use this network interface alone. Needs a privilege. */
export const SO_BINDTODEVICE = 25;
/** Integer: the firewall mark of what is sent. Needs a privilege. */
export const SO_MARK = 36;
/** Integer, read only: the protocol, `IPPROTO_UDP`. */
export const SO_PROTOCOL = 38;
/** Integer, read only: the address family. */
export const SO_DOMAIN = 39;
/** Integer, microseconds: how long a read polls the device. */
export const SO_BUSY_POLL = 46;

/** Integer 0 to 255: type of service, DSCP in the upper six bits and ECN in the lower two (RFC 2474, RFC 3168). */
export const IP_TOS = 1;
/** Integer 1 to 255: time to live of unicast datagrams. */
export const IP_TTL = 2;
/** Integer: path MTU discovery, one of the `IP_PMTUDISC_…` values of `ip(7)`. */
export const IP_MTU_DISCOVER = 10;
/** For `IP_MTU_DISCOVER`: never forbid fragments. */
export const IP_PMTUDISC_DONT = 0;
/** For `IP_MTU_DISCOVER`: forbid fragments, and make them where the path needs it. The default. */
export const IP_PMTUDISC_WANT = 1;
/** For `IP_MTU_DISCOVER`: forbid fragments; what is over the path MTU fails with `EMSGSIZE`. */
export const IP_PMTUDISC_DO = 2;
/** For `IP_MTU_DISCOVER`: forbid fragments, and ignore what is known of the path. */
export const IP_PMTUDISC_PROBE = 3;
/** Integer, bytes, read only: the path MTU that is known to the connected peer. */
export const IP_MTU = 14;
/** Boolean: bind to an address that this host does not have yet. */
export const IP_FREEBIND = 15;
/** String: the interface that multicast leaves by, as its address or its name. */
export const IP_MULTICAST_IF = 32;
/** Integer 0 to 255: time to live of multicast datagrams. */
export const IP_MULTICAST_TTL = 33;
/** Boolean: multicast that this socket sends comes back to this host. */
export const IP_MULTICAST_LOOP = 34;

/** Boolean, 1 at the start: hear the groups that any socket of this host joined; 0 is only those that this one joined. */
export const IP_MULTICAST_ALL = 49;

/** Integer 1 to 255: hop limit of unicast datagrams. */
export const IPV6_UNICAST_HOPS = 16;
/** String: the interface that multicast leaves by, as its name. */
export const IPV6_MULTICAST_IF = 17;
/** Integer 0 to 255: hop limit of multicast datagrams. */
export const IPV6_MULTICAST_HOPS = 18;
/** Boolean: multicast that this socket sends comes back to this host. */
export const IPV6_MULTICAST_LOOP = 19;
/** Integer: path MTU discovery, one of the `IPV6_PMTUDISC_…` values of `ipv6(7)`. */
export const IPV6_MTU_DISCOVER = 23;
/** Integer, bytes, read only: the path MTU that is known to the connected peer. */
export const IPV6_MTU = 24;
/** Boolean, 1 at the start: hear the groups that any socket of this host joined; 0 is only those that this one joined. */
export const IPV6_MULTICAST_ALL = 29;
/** Boolean: no IPv4 through this IPv6 socket. Settable until the socket is bound. */
export const IPV6_V6ONLY = 26;
/** Integer 0 to 255: traffic class, the IPv6 twin of `IP_TOS`. */
export const IPV6_TCLASS = 67;

/** Every interface, as a host for `bind`. */
export const INADDR_ANY = "0.0.0.0";
/** Every host on this network, as a host for `sendto` with `SO_BROADCAST`. */
export const INADDR_BROADCAST = "255.255.255.255";
/** This host. */
export const INADDR_LOOPBACK = "127.0.0.1";
