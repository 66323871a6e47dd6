#!/bin/sh
# One lossy sender of large datagrams makes a host lose the large datagrams of all other senders.
#
# Common belief: a datagram of n fragments at a loss of p is lost with 1 - (1 - p)^n, independent of other datagrams; 4 MiB
# (net.ipv4.ipfrag_high_thresh) have room for 2,800 fragments of 1,500 bytes.
# What happens: the fragments of an incomplete datagram keep their memory for 30 s, and the size of their buffers counts:
# 2,304 bytes for a fragment of 1,500 bytes, and 200 for a datagram. With 200 incomplete datagrams of ten fragments the memory
# is full. From then on no datagram in fragments arrives, not even from another sender or to another port, and no socket is
# told: SO_RXQ_OVFL, SO_MEMINFO and the error queue stay silent. Only IpReasmFails of /proc/net/snmp increases. IPv6 has 4 MiB
# of its own.
# Seen on Linux 6.18. Source: inet_frag_find (net/ipv4/inet_fragment.c), which checks before each fragment; fq->truesize; ip(7).
# Needs root, and Debian's iproute2, nftables and python3. Works in network namespaces of its own. Exits with 1 if that changes.
set -eu
case "${1:-}" in
  '') exec unshare --net "$0" outer ;;
  outer)
    unshare --net sleep 50 & there=$!
    trap 'kill $there' EXIT
    until [ "$(readlink /proc/$there/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
    ip link add v0 type veth peer name v1 netns $there
    ip link set v0 up
    ip addr add 10.7.0.1/24 dev v0
    ip addr add 10.7.0.3/24 dev v0
    nsenter --target=$there --net sh -c 'ip link set lo up; ip link set v1 up; ip addr add 10.7.0.2/24 dev v1'
    nsenter --target=$there --net "$0" there
    exit ;;
esac
# The last fragment of each datagram from 10.7.0.1 is lost.
nft -f - <<'RULES'
table netdev t {
  chain c {
    type filter hook ingress device "v1" priority 0
    ip saddr 10.7.0.1 ip frag-off & 0x2000 == 0 ip frag-off & 0x1fff != 0 drop
  }
}
RULES
exec python3 - <<'PYTHON'
import os, platform, socket, subprocess, sys

def sender(script):
    # In the network of the parent of this script, from which both senders send.
    subprocess.run(["nsenter", f"--target={os.getppid()}", "--net", "python3", "-c", script], check=True)

def failures():
    names, values = [line.split() for line in open("/proc/net/snmp") if line.startswith("Ip:")]
    return int(values[names.index("ReasmFails")])

r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
r.bind(("10.7.0.2", 9000))
r.setblocking(False)
send = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("%s", 0))
for _ in range(%d): s.sendto(bytes(%d), ("10.7.0.2", 9000))
"""

def arrives(count):
    """Whether a datagram of two fragments arrives from another address, after `count` more incomplete ones."""
    sender(send % ("10.7.0.1", count, 14_000))
    sender(send % ("10.7.0.3", 1, 2_000))
    try:
        return len(r.recv(65_536)) == 2_000
    except BlockingIOError:
        return False

total, results = 0, []
for more in (190, 15):
    total += more
    results.append(arrives(more))
    what = "arrives" if results[-1] else "does not arrive"
    print(f"Linux {platform.release()}: after {total} incomplete datagrams of 14,000 bytes a whole one of another sender {what}")
print(f"IpReasmFails: {failures()}")
sender(send % ("10.7.0.3", 1, 1_000))
small = len(r.recv(65_536)) == 1_000
print(f"one that fits in one packet {'arrives' if small else 'does not arrive'}")
sys.exit(0 if results == [True, False] and small and failures() > 0 else 1)
PYTHON
