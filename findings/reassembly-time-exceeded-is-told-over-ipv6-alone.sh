#!/bin/sh
# "Fragment reassembly time exceeded" reaches the sender's socket over IPv6, and no socket over IPv4.
#
# Common belief: a socket with IP_RECVERR gets each ICMP error about its datagrams (ip(7): "all errors"), also if the other
# host could not reassemble a datagram. A sender of large datagrams could then send again.
# What happens: both hosts send the message, and over IPv6 it is on the error queue as EHOSTUNREACH, type 3, code 1. Over IPv4
# (type 11, code 1) the sender's kernel counts the message (IcmpInTimeExcds), but tells no socket, connected or not.
# Seen on Linux 6.18. Source: icmp_unreach (net/ipv4/icmp.c): "case ICMP_TIME_EXCEEDED: ... if (icmph->code == ICMP_EXC_FRAGTIME)
# goto out"; icmpv6_notify (net/ipv6/icmp.c) has no such case.
# Needs root, and Debian's iproute2, nftables and python3. Works in network namespaces of its own. Exits with 1 if that changes.
set -eu
[ "${1:-}" = inside ] || exec unshare --net "$0" inside
unshare --net sleep 50 & there=$!
trap 'kill $there' EXIT
until [ "$(readlink /proc/$there/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add v0 type veth peer name v1 netns $there
echo 0 > /proc/sys/net/ipv6/conf/v0/accept_dad
ip link set v0 up
ip addr add 10.7.0.1/24 dev v0
ip addr add fd00:7::1/64 dev v0
nsenter --target=$there --net sh -ec '
  echo 0 > /proc/sys/net/ipv6/conf/v1/accept_dad
  ip link set lo up; ip link set v1 up
  ip addr add 10.7.0.2/24 dev v1; ip addr add fd00:7::2/64 dev v1
  # The default wait for fragments is 30 s and 60 s. Here it is one second.
  echo 1 > /proc/sys/net/ipv4/ipfrag_time; echo 1 > /proc/sys/net/ipv6/ip6frag_time
  nft -f - <<RULES
table netdev t {
  chain c {
    type filter hook ingress device "v1" priority 0
    ip frag-off & 0x2000 == 0 ip frag-off & 0x1fff != 0 drop
    frag frag-off != 0 frag more-fragments 0 drop
  }
}
RULES'
python3 - <<'PYTHON'
import errno, platform, select, socket, struct, sys, time

def told(family, level, option, to):
    """The entry of the error queue within three seconds after a datagram whose last fragment is lost."""
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(level, option, 1)
    s.connect((to, 9000))
    s.send(bytes(3000))
    poll = select.poll()
    poll.register(s, 0)
    if not poll.poll(3000):
        return None
    _, ancillary, _, _ = s.recvmsg(4096, 512, socket.MSG_ERRQUEUE)
    number, origin, kind, code = struct.unpack("=IBBB", ancillary[0][2][:7])
    return errno.errorcode[number], kind, code

def counted():
    names, values = [line.split() for line in open("/proc/net/snmp") if line.startswith("Icmp:")]
    return int(values[names.index("InTimeExcds")])

time.sleep(0.2)
six = told(socket.AF_INET6, socket.IPPROTO_IPV6, 25, "fd00:7::2")
four = told(socket.AF_INET, socket.IPPROTO_IP, 11, "10.7.0.2")
print(f"Linux {platform.release()}, the last fragment of a datagram is lost, and its time runs out:")
print(f"  over IPv6 the sender's socket is told {six}")
print(f"  over IPv4 it is told {four}, though the message came: IcmpInTimeExcds is {counted()}")
sys.exit(0 if six == ("EHOSTUNREACH", 3, 1) and four is None and counted() == 1 else 1)
PYTHON
