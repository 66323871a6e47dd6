#!/bin/sh
# Common belief: the first datagrams to a device wait until ARP knows it, and if there are too many, the kernel refuses the rest, or
# counts what it drops.
# What happens: each new datagram pushes the oldest one out. A device answers the second of the kernel's ARP requests, a second after
# the first, as one in power save does. Of 1,000 datagrams that were sent to it meanwhile, the first 800 or more are lost and the last
# ones arrive. Each send succeeds, with IP_RECVERR too, and no counter of IP, of UDP or of the interface says that anything was lost.
# So a file or a picture loses its beginning, and the same program loses nothing when it is run a second time.
# Seen on Linux 6.18. Source: __neigh_event_send (net/core/neighbour.c) takes packets from the head of the queue above unres_qlen_bytes
# (212,992 bytes of kernel memory), and counts them in unresolved_discards of
# /proc/net/stat/arp_cache alone: for all namespaces together, and with each other loss of this kind.
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
nsenter -t $other -n ip link set there up
python3 - "$other" <<'PYTHON'
import json, platform, socket, subprocess, sys, time

IP_RECVERR, SO_SNDBUFFORCE = 11, 32
inside = ["nsenter", "-t", sys.argv[1], "-n"]
receiver = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE
s.bind(("", 9000))
print("ready", flush=True)
while (data := s.recv(1000)) != b"end":
    print(data[:4].decode(), flush=True)
"""
program = subprocess.Popen([*inside, "python3", "-c", receiver], stdout=subprocess.PIPE, text=True)
program.stdout.readline()


def counters():
    """The names and values of all counters of losses of IP and UDP, and of the interface, that are not 0."""
    found = {}
    for file in ("/proc/net/snmp", "/proc/net/netstat"):
        lines = open(file).read().splitlines()
        for names, values in zip(lines[::2], lines[1::2]):
            for name, value in zip(names.split()[1:], values.split()[1:]):
                found[names.split()[0] + name] = int(value)
    return {name: value for name, value in found.items() if value and ("rror" in name or "isc" in name or "rop" in name)}


s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
s.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 22)  # room for all, so that no send waits
for number in range(1, 1001):
    s.sendto(b"%04d" % number + bytes(996), ("10.9.0.2", 9000))
# From now on the device answers.
subprocess.run([*inside, "ip", "addr", "add", "10.9.0.2/24", "dev", "there"], check=True)
time.sleep(2)
error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
s.sendto(b"end", ("10.9.0.2", 9000))
arrived = [int(line) for line in program.stdout]
link = json.loads(subprocess.run(["ip", "-j", "-s", "link", "show", "here"], check=True, capture_output=True).stdout)
dropped = link[0]["stats64"]["tx"]["dropped"]
print(f"Linux {platform.release()}: 1,000 sends of 1,000 bytes succeeded, error of the socket: {error}")
print(f"  {len(arrived)} datagrams arrived: {arrived[0]} to {arrived[-1]}")
print(f"  counters of losses of IP and UDP that are not 0: {counters() or 'none'}; dropped by the interface: {dropped}")
lost = 1000 - len(arrived)
sys.exit(0 if lost > 500 and arrived == list(range(lost + 1, 1001)) and not (error or counters() or dropped) else 1)
PYTHON
