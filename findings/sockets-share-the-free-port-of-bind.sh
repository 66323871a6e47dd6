#!/bin/sh
# Common belief: bind() to port 0 takes a port that is free, so no two sockets of a machine get the same one.
# What happens: among UDP sockets with SO_REUSEADDR, a port that another such socket has counts as free. Of 1,000 sockets, about 18 get
# the port of another one. Both bind without an error, and datagrams to the port reach only the last of them. With two such sockets
# that happens once in 28,000 times, and with 200 sockets in every second run. TCP is not affected.
# Many programs set the option on each socket, such as those for multicast, and Node.js does for dgram.createSocket({ reuseAddr: true }).
# With SO_REUSEPORT the same happens to the sockets of one user, and each of two sockets gets the datagrams of a part of the senders.
# Seen on Linux 6.18, Python 3.11. Source: udp_lib_lport_inuse and udp_lib_get_port (net/ipv4/udp.c): the search for a free port
# skips sockets that may share. socket(7) and udp(7) say nothing about it.
# Debian package: python3. Loopback alone.
set -eu
exec python3 - <<'PYTHON'
import platform, socket, sys

COUNT = 1000


def ports(option, kind=socket.SOCK_DGRAM):
    """The ports of 1,000 sockets with this option that were bound to port 0, and the sockets."""
    sockets = []
    for _ in range(COUNT):
        s = socket.socket(socket.AF_INET, kind)
        if option:
            s.setsockopt(socket.SOL_SOCKET, option, 1)
        s.bind(("127.0.0.1", 0))
        sockets.append(s)
    by_port = {}
    for s in sockets:
        by_port.setdefault(s.getsockname()[1], []).append(s)
    return by_port, sockets


def receives(s):
    try:
        s.settimeout(0.2)
        return s.recv(10) == b"hello"
    except TimeoutError:
        return False


print(f"Linux {platform.release()}, {COUNT} sockets bound to port 0 of 127.0.0.1 have so many different ports:")
found, first_receives = {}, None
for name, option in (("no option", 0), ("SO_REUSEADDR", socket.SO_REUSEADDR), ("SO_REUSEPORT", socket.SO_REUSEPORT)):
    by_port, sockets = ports(option)
    found[name] = len(by_port)
    print(f"  UDP, {name}: {len(by_port)}")
    shared = [pair for pair in by_port.values() if len(pair) > 1]
    if option == socket.SO_REUSEADDR and shared:
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.sendto(b"hello", shared[0][0].getsockname())
        got = [receives(s) for s in shared[0]]
        print(f"    a datagram to a port that {len(got)} sockets have arrives at: {got}")
        first_receives = got[0]
    for s in sockets:
        s.close()
tcp, _ = ports(socket.SO_REUSEADDR, socket.SOCK_STREAM)
print(f"  TCP, SO_REUSEADDR: {len(tcp)}")
sys.exit(0 if found["no option"] == len(tcp) == COUNT > max(found["SO_REUSEADDR"], found["SO_REUSEPORT"]) and first_receives is False else 1)
PYTHON
