#!/bin/sh
# A firewall rule that drops one packet in ten, on the way to a local program, drops sixty datagrams at once.
#
# Common belief: UDP_SEGMENT changes only the number of system calls of a sender. A firewall, a counter or a netem-like loss
# rule still sees datagrams, so people test losses on loopback, veth pairs and containers with such rules.
# What happens: on one machine nothing splits the run before the receiving socket. nftables sees one packet, counts one, and
# drops the whole run. Of the same datagrams sent one by one, six of sixty are lost.
# Seen on Linux 6.18 with nftables 1.0.6. Source: udp(7); validate_xmit_skb (net/core/dev.c) calls __udp_gso_segment only if
# the device cannot split the run, and loopback and veth claim that they can (NETIF_F_GSO_UDP_L4).
# Needs root, and Debian's iproute2, nftables and python3. Works in a network namespace of its own. Exits with 1 if that changes.
set -eu
[ "${1:-}" = inside ] || exec unshare --net "$0" inside
ip link set lo up
nft -f - <<'RULES'
table inet t {
  chain in {
    type filter hook input priority 0
    udp dport 9000 numgen inc mod 10 < 1 drop
    udp dport 9001 numgen inc mod 10 < 1 drop
  }
}
RULES
exec python3 - <<'PYTHON'
import platform, socket, sys

SOL_UDP, UDP_SEGMENT = 17, 103

def received(port, segment):
    """How many of 60 datagrams of 5 bytes a plain receiver gets, sent in one run or one by one."""
    r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    r.bind(("127.0.0.1", port))
    r.setblocking(False)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if segment:
        s.setsockopt(SOL_UDP, UDP_SEGMENT, 5)
        s.sendto(b"hello" * 60, ("127.0.0.1", port))
    else:
        for _ in range(60):
            s.sendto(b"hello", ("127.0.0.1", port))
    count = 0
    try:
        while r.recv(64) == b"hello":
            count += 1
    except BlockingIOError:
        pass
    return count

run, plain = received(9000, True), received(9001, False)
print(f"Linux {platform.release()}, a rule that drops the first of every ten packets:")
print(f"  60 datagrams in one send with UDP_SEGMENT: {run} arrive")
print(f"  60 datagrams in 60 sends:                  {plain} arrive")
sys.exit(0 if (run, plain) == (0, 54) else 1)
PYTHON
