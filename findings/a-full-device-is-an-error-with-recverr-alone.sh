#!/bin/sh
# Common belief: ENOBUFS "does not occur in Linux. Packets are just silently dropped when a device queue overflows" (send(2)), and
# IP_RECVERR is about ICMP errors only (ip(7)).
# What happens: the kernel knows at once that the queue of the device dropped the datagram, and IP_RECVERR decides whether it says
# so. Without it, each of 20 sends into a full queue returns its length. With it, each send fails with ENOBUFS, over IPv4 and
# IPv6 (IPV6_RECVERR). Node.js and Python do not set the option by themselves, so each such send succeeds in their programs.
# Only SndbufErrors of /proc/net/snmp counts these drops, though no buffer of a socket was full.
# Seen on Linux 6.18. Source: udp_send_skb (net/ipv4/udp.c) and udp_v6_send_skb (net/ipv6/udp.c): -ENOBUFS becomes 0 unless RECVERR.
# Needs root, and Debian's iproute2 and python3. Works in a network namespace of its own. Exits with 1 if that changes.
set -eu
[ "${1:-}" = inside ] || exec unshare --net "$0" inside
ip link set lo up
ip link add wire type veth peer name end
ip link set end up
ip link set wire addrgenmode none up
ip address add 10.0.0.1/24 dev wire
ip address add fd00::1/64 dev wire nodad
ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:02 dev wire
ip neighbour add fd00::2 lladdr 02:00:00:00:00:02 dev wire
tc qdisc add dev wire root tbf rate 8kbit burst 2000 limit 3000
uname -sr
exec python3 - <<'PYTHON'
import errno, socket

def full_queue(family, host, level, option, value):
    """How 20 sends of 1000 bytes end, into a queue of 3000 bytes that the first datagrams have filled."""
    with socket.socket(family, socket.SOCK_DGRAM) as filler, socket.socket(family, socket.SOCK_DGRAM) as s:
        for _ in range(20):
            filler.sendto(bytes(1000), (host, 9))
        s.setsockopt(level, option, value)
        results = set()
        for _ in range(20):
            try:
                results.add(s.sendto(bytes(1000), (host, 9)))
            except OSError as error:
                results.add(errno.errorcode[error.errno])
        print(f"{host}, RECVERR {value}: sends return {results}")
        return results

IP_RECVERR, IPV6_RECVERR = 11, 25
v4 = (socket.AF_INET, "10.0.0.2", socket.IPPROTO_IP, IP_RECVERR)
v6 = (socket.AF_INET6, "fd00::2", socket.IPPROTO_IPV6, IPV6_RECVERR)
for family in (v4, v6):
    assert full_queue(*family, 0) == {1000}
    assert full_queue(*family, 1) == {"ENOBUFS"}
PYTHON
