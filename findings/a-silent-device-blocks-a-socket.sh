#!/bin/sh
# Common belief: UDP waits for nobody. A send to a device that is switched off is lost, and sends to other devices are not affected.
# What happens: the datagrams to a device of the same network that does not answer ARP wait in the kernel until it gives up, for 3
# seconds, and they count as bytes in the send buffer of the socket. 256 small datagrams to one such device fill the buffer of the
# usual 212,992 bytes. Then each send of this socket waits, or fails with EAGAIN, to whatever device. A second socket sends at once.
# Of datagrams above about 200 bytes, two such devices are needed: for each device, the kernel holds at most as many packets as
# fit into 212,992 bytes and throws the oldest one away, and only small packets have a size, 832 bytes with the kernel's own data, that
# fills both limits exactly. It begins again with the next datagrams to the device.
# Seen on Linux 6.18. Source: __neigh_event_send (net/core/neighbour.c) holds the packets, with the sysctl unres_qlen_bytes as the limit,
# 212,992 (arp(7) calls its older form unres_qlen); sock_alloc_send_pskb (net/core/sock.c) waits while sk_wmem_alloc is not below
# sk_sndbuf. Both count the packet's truesize.
# Needs root, and Debian's iproute2 and python3. Works in two network namespaces of its own.
set -eu
[ "${1:-}" = inside ] || exec unshare --net "$0" inside
other=
trap 'kill $other 2>/dev/null || true' EXIT
ip link set lo up
unshare --net sleep 50 &
other=$!
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add here type veth peer name there netns $other
ip addr add 10.9.0.1/24 dev here
ip link set here up
nsenter -t $other -n ip addr add 10.9.0.2/24 dev there
nsenter -t $other -n ip link set there up
python3 - <<'PYTHON'
import platform, socket, sys, time

WORKING, BUFFER = ("10.9.0.2", 9000), 212_992


def new_socket():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER // 2)  # the kernel doubles it
    return s


def seconds_until_sent(s):
    """How long the socket has no room for a datagram to the device that works."""
    start = time.monotonic()
    while True:
        try:
            s.sendto(b"hello", WORKING)
            return time.monotonic() - start
        except BlockingIOError:
            time.sleep(0.01)


def fill(s, hosts, size):
    """How many of 600 datagrams to these hosts in turn the socket takes."""
    for count in range(600):
        try:
            s.sendto(bytes(size), (hosts[count % len(hosts)], 9000))
        except BlockingIOError:
            return count
    return 600


new_socket().sendto(b"hello", WORKING)  # ARP knows the device that works from now on
time.sleep(0.2)
found = []
print(f"Linux {platform.release()}, sockets with a send buffer of {BUFFER} bytes:")
for size, silent in ((100, ["10.9.0.3"]), (1000, ["10.9.0.4"]), (1000, ["10.9.0.5", "10.9.0.6"])):
    s = new_socket()
    taken = fill(s, silent, size)
    other_socket = seconds_until_sent(new_socket())
    same_socket = seconds_until_sent(s)
    print(f"  {taken} of 600 datagrams of {size} bytes to {len(silent)} silent device(s) are taken.")
    print(f"    Another device can be sent to after {same_socket:.1f} s, and by another socket after {other_socket:.1f} s")
    found.append((taken < 600, same_socket > 1, other_socket > 1))
sys.exit(0 if found == [(True, True, False), (False, False, False), (True, True, False)] else 1)
PYTHON
