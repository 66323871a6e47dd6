#!/bin/sh
# Linux reports two unreachable destinations to a host at once, and no closed port after that.
#
# Common belief: a datagram that cannot be delivered is answered with an ICMP error, at most one for each icmp_ratelimit (1,000 ms)
# for each host that is told, or without a limit with 0 (Documentation/networking/ip-sysctl.rst). So each socket of a program learns of
# its own closed port.
# What happens: a host has one budget for each host that it tells, for all errors, ports, destinations and programs together. It holds
# six seconds, and a closed port costs one: six errors are sent at once, then one a second. An error of a route (unreachable,
# prohibit) costs one of five, and then the one of each ICMP error again, so two are sent at once, then one every two seconds. After
# that, the closed port of a socket that never sent before stays silent. With icmp_ratelimit=0 every closed port answers, but
# of the route's errors five are sent. Loopback has no limit, so a test on one machine does not show any of it.
# Seen on Linux 6.18. Source: ip_error (net/ipv4/route.c: net.ipv4.route.error_burst and error_cost), icmpv4_xrlim_allow
# (net/ipv4/icmp.c) and inet_peer_xrlim_allow (net/ipv4/inetpeer.c): all of them use rate_tokens of one inet_peer.
# Needs root, and Debian's iproute2 and python3. Works in network namespaces of its own. Exits with 1 if that changes.
set -eu
[ "${1:-}" = inside ] || exec unshare --net "$0" inside
unshare --net sleep 50 & there=$!
trap 'kill $there' EXIT
until [ "$(readlink /proc/$there/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add v0 type veth peer name v1 netns $there
ip link set lo up
ip link set v0 up
# The budgets are of the host that is told, so each experiment below has an address of its own.
for last in 11 12 13 14 15; do ip addr add 10.7.0.$last/24 dev v0; done
ip route add 10.8.0.0/16 via 10.7.0.2
nsenter --target=$there --net sh -ec '
  echo 1 > /proc/sys/net/ipv4/ip_forward
  ip link set lo up; ip link set v1 up; ip addr add 10.7.0.2/24 dev v1
  ip route add unreachable 10.8.0.0/16'
there=$there python3 - <<'PYTHON'
import os, platform, socket, subprocess, sys, time

IP_RECVERR = 11
CLOSED = [("10.7.0.2", 9000 + port) for port in range(20)]
UNREACHABLE = [(f"10.8.0.{last}", 9000) for last in range(1, 21)]
LOOPBACK = [("127.0.0.1", 9000 + port) for port in range(20)]

def told(source, *groups):
    """How many sockets of each group, which has one for each destination, learn that their datagram was not delivered."""
    sockets = []
    for group in groups:
        for to in group:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            s.bind((source, 0))
            s.connect(to)
            sockets.append(s)
    for s in sockets:
        s.send(b"x")
    time.sleep(0.5)
    errors = [s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 for s in sockets]
    for s in sockets:
        s.close()
    counts = []
    for group in groups:
        counts.append(sum(errors[: len(group)]))
        errors = errors[len(group) :]
    return counts

def limit(milliseconds):
    script = f"echo {milliseconds} > /proc/sys/net/ipv4/icmp_ratelimit"
    subprocess.run(["nsenter", f"--target={os.environ['there']}", "--net", "sh", "-c", script], check=True)

# The first packet waits for the answer of ARP.
for last in (11, 12, 13, 14, 15):
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.bind((f"10.7.0.{last}", 0))
    s.settimeout(10)
    s.sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", ("10.7.0.2", 0))
    s.recv(100)
    s.close()
limit(1000)
(loopback,) = told("127.0.0.1", LOOPBACK)
(closed,) = told("10.7.0.11", CLOSED)
(unreachable,) = told("10.7.0.12", UNREACHABLE)
first, after = told("10.7.0.13", UNREACHABLE, CLOSED)
limit(0)
(closed_free,) = told("10.7.0.14", CLOSED)
(unreachable_free,) = told("10.7.0.15", UNREACHABLE)
print(f"Linux {platform.release()}, 20 sockets send a datagram each. So many are told that it was not delivered:")
print(f"  closed ports of this host: {loopback}; closed ports of another host: {closed}; an unreachable route: {unreachable}")
print(f"  an unreachable route, then closed ports: {first}, then {after}")
print(f"  with icmp_ratelimit=0, closed ports: {closed_free}; an unreachable route: {unreachable_free}")
# One more of each is allowed: a busy machine may need a second for this.
good = loopback == 20 and closed in (6, 7) and unreachable in (2, 3) and first in (2, 3) and after in (0, 1)
sys.exit(0 if good and closed_free == 20 and unreachable_free in (5, 6) else 1)
PYTHON
