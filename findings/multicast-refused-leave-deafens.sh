#!/bin/sh
# Common belief: a setsockopt() that fails changes nothing.
# What happens: a socket joined a group from all sources. MCAST_LEAVE_SOURCE_GROUP of a source that it never joined fails with
# EADDRNOTAVAIL, and from then on the socket receives nothing of the group. The kernel turns the empty "all but" filter into an
# empty "only" filter before it looks for the source (ip_mc_source in net/ipv4/igmp.c, ip6_mc_source in net/ipv6/mcast.c).
# MCAST_UNBLOCK_SOURCE fails with EADDRNOTAVAIL too, and turns the filter back.
# Seen on Linux 6.18, over IPv4. Needs root, or user namespaces; Debian packages: iproute2, python3, util-linux.
set -eu
exec unshare --map-root-user --net sh -euc '
ip link set lo up
uname -sr
exec python3 -c "
import errno, socket, struct
GROUP, PORT = \"239.9.9.9\", 5000
lo = socket.if_nametoindex(\"lo\")
storage = lambda host: struct.pack(\"=HH4s\", 2, 0, socket.inet_aton(host)).ljust(128, b\"\\0\")
def change(option, source=\"10.9.9.9\"):
    try: s.setsockopt(0, option, struct.pack(\"@I4x\", lo) + storage(GROUP) + storage(source)); return \"done\"
    except OSError as error: return errno.errorcode[error.errno]
s = socket.socket(2, 2); s.bind((\"\", PORT)); s.settimeout(0.3)
s.setsockopt(0, 35, struct.pack(\"4s4si\", socket.inet_aton(GROUP), bytes(4), lo))
out = socket.socket(2, 2); out.setsockopt(0, 32, struct.pack(\"4s4si\", bytes(4), bytes(4), lo))
def heard():
    out.sendto(b\"x\", (GROUP, PORT))
    try: s.recv(9); return True
    except TimeoutError: return False
seen = [heard(), change(47), heard(), change(44), heard()]
print(\"joined from all: heard\", seen[0]); print(\"leave of a source:\", seen[1], \"then heard\", seen[2])
print(\"unblock of it:\", seen[3], \"then heard\", seen[4])
assert seen == [True, \"EADDRNOTAVAIL\", False, \"EADDRNOTAVAIL\", True], seen
"
'
