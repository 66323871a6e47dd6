#!/bin/sh
# A segmented send of more than 65,493 bytes is split before it reaches a local program.
#
# Common belief: UDP_SEGMENT takes up to 65,507 bytes over IPv4, so the fullest send is the cheapest one.
# What happens: the kernel splits a run whose packet, with the header of Ethernet, has 65,536 bytes or more. Then the receiver with
# UDP_GRO reads each datagram by itself. Of datagrams of 1,424 bytes, 45 arrive in one read, and 46 in 46 reads. The limit is
# 65,493 bytes over IPv4 and 65,473 over IPv6.
# Seen on Linux 6.18. Source: udp(7); gso_features_check (net/core/dev.c) compares the length of the packet with gso_max_size, which
# is 65,536 on loopback and on most devices.
# Needs root, iproute2 and python3. Works in a network namespace of its own. Exits with 1 if that changes.
set -eu
[ "${1:-}" = inside ] || exec unshare --net "$0" inside
ip link set lo up
exec python3 - <<'PYTHON'
import platform, socket, sys

SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104

def reads(family, host, size):
    """How many reads of a socket with UDP_GRO one segmented send of so many bytes takes."""
    r = socket.socket(family, socket.SOCK_DGRAM)
    r.bind((host, 0))
    r.setblocking(False)
    r.setsockopt(SOL_UDP, UDP_GRO, 1)
    r.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(SOL_UDP, UDP_SEGMENT, 1424)
    s.sendto(bytes(size), r.getsockname())
    count = 0
    try:
        while r.recv(65_535):
            count += 1
    except BlockingIOError:
        pass
    return count

found = []
print(f"Linux {platform.release()}, one send of datagrams of 1,424 bytes with UDP_SEGMENT, received with UDP_GRO:")
for name, family, host, longest in [
    ("IPv4", socket.AF_INET, "127.0.0.1", 65_493),
    ("IPv6", socket.AF_INET6, "::1", 65_473),
]:
    for size in (longest, longest + 1):
        found.append(reads(family, host, size))
        print(f"  {name}, {size} bytes: {found[-1]} reads")
sys.exit(0 if found == [1, 46, 1, 46] else 1)
PYTHON
