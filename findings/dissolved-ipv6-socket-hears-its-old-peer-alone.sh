#!/bin/sh
# Common belief: connect() with AF_UNSPEC dissolves the association of a UDP socket. Afterwards the socket receives from all
# senders again (connect(2), udp(7)).
# What happens: an AF_INET6 socket receives from its former peer only, as long as it is open. An AF_INET socket receives from
# all. __udp_disconnect (net/ipv4/udp.c) clears the port and the IPv4 address of the peer, but not sk_v6_daddr, which
# compute_score (net/ipv6/udp.c) compares. A socket that was connected to a multicast group receives no unicast at all.
# Seen on Linux 6.18. Needs root, or user namespaces; Debian packages: iproute2, python3, util-linux.
set -eu
exec unshare --map-root-user --net sh -euc '
ip link set lo up
ip addr add fd00::7/128 dev lo nodad
uname -sr
exec python3 -c "
import ctypes, socket, struct

libc = ctypes.CDLL(None, use_errno=True)

def heard(family, every, peer, other):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((every, 7777))
    s.settimeout(0.5)
    s.connect((peer, 9))
    assert libc.connect(s.fileno(), struct.pack(\"H14x\", socket.AF_UNSPEC), 16) == 0
    result = []
    for source in (peer, other):
        sender = socket.socket(family, socket.SOCK_DGRAM)
        sender.bind((source, 0))
        sender.sendto(source.encode(), (peer, 7777))
        try:
            result.append(s.recv(64).decode())
        except TimeoutError:
            pass
    s.close()
    print(family.name, \"connected to\", peer, \"and dissolved hears\", result)
    return result

assert heard(socket.AF_INET, \"0.0.0.0\", \"127.0.0.1\", \"127.0.0.2\") == [\"127.0.0.1\", \"127.0.0.2\"]
assert heard(socket.AF_INET6, \"::\", \"::1\", \"fd00::7\") == [\"::1\"]
"'
