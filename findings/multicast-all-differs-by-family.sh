#!/bin/sh
# Common belief: IP_MULTICAST_ALL and IPV6_MULTICAST_ALL are 1 by default and mean the same.
# What happens: (1) on an AF_INET6 socket the default of IP_MULTICAST_ALL is 0, although ip(7) says 1: a dual-stack socket
# does not receive an IPv4 group that another socket joined, while an AF_INET socket does. (2) At 0, IP_MULTICAST_ALL
# distinguishes interfaces, and IPV6_MULTICAST_ALL does not: a group that the socket joined on one interface is received from
# another interface as soon as any socket joined it there (inet6_mc_check in net/ipv6/mcast.c compares only the group,
# ip_mc_sf_allow in net/ipv4/igmp.c also the interface).
# Seen on Linux 6.18. Needs root, or user namespaces; Debian packages: iproute2, python3, util-linux.
set -eu
exec unshare --map-root-user --net sh -euc '
ip link set lo up
for i in 0 1; do
  ip link add r$i type veth peer name p$i
  echo 0 > /proc/sys/net/ipv6/conf/r$i/accept_dad; echo 0 > /proc/sys/net/ipv4/conf/r$i/rp_filter
  ip link set p$i up; ip link set r$i up
  ip addr add 10.77.$i.1/24 dev r$i; ip addr add fd00:77:$i::1/64 dev r$i
done
uname -sr
exec python3 -c "
import socket, struct
G4, G6, PORT = \"239.9.9.9\", \"ff05::9:9\", 5000
index = socket.if_nametoindex
def join(s, group, at):
    if \":\" in group: s.setsockopt(41, 20, socket.inet_pton(10, group) + struct.pack(\"I\", index(at)))
    else: s.setsockopt(0, 35, struct.pack(\"4s4si\", socket.inet_aton(group), bytes(4), index(at)))
def say(group, at):
    v6 = \":\" in group
    out = socket.socket(10 if v6 else 2, 2)
    if v6: out.setsockopt(41, 17, index(at))
    else: out.setsockopt(0, 32, struct.pack(\"4s4si\", bytes(4), bytes(4), index(at)))
    out.sendto(at.encode(), (group, PORT)); out.close()
def heard(s):
    found = []; s.settimeout(0.3)
    try:
        while True: found.append(s.recv(9).decode())
    except TimeoutError: return found
def receiver(family):
    s = socket.socket(family, 2); s.setsockopt(1, 2, 1); s.bind((\"\", PORT)); return s
other = socket.socket(2, 2); join(other, G4, \"r0\")
starts = [receiver(family) for family in (2, 10)]
say(G4, \"r0\")
first = [(s.getsockopt(0, 49), heard(s)) for s in starts]
print(\"IP_MULTICAST_ALL at the start, and a group that another socket joined: AF_INET\", first[0], \"AF_INET6\", first[1])
for s in starts: s.close()
second = []
for family, group, level, option in ((2, G4, 0, 49), (10, G6, 41, 29)):
    other = socket.socket(family, 2); join(other, group, \"r0\")
    s = receiver(family); join(s, group, \"r1\"); s.setsockopt(level, option, 0)
    for at in (\"r0\", \"r1\"): say(group, at)
    second.append(heard(s)); s.close()
print(\"at 0, joined on r1, heard from: IPv4\", second[0], \"IPv6\", second[1])
assert first == [(1, [\"r0\"]), (0, [])], first
assert second == [[\"r1\"], [\"r0\", \"r1\"]], second
"
'
