"""The neighbour at the far end of a link: answers each datagram with its mark, and sends to groups on request."""

import select
import socket
import struct
import sys

PORT = 7000
mark, interface = sys.argv[1:]
index = socket.if_nametoindex(interface)

v4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
v4.bind(("", PORT))
group = socket.inet_aton("239.77.7.7")
v4.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4si", group, b"\0" * 4, index))
v4.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4s4si", b"\0" * 4, b"\0" * 4, index))

v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
v6.bind(("::", PORT))
for text in ("ff05::4242", "ff02::4242"):
    group = socket.inet_pton(socket.AF_INET6, text)
    v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("16si", group, index))
v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)

print("ready", flush=True)
while True:
    for s in select.select([v4, v6], [], [])[0]:
        data, source = s.recvfrom(65536)
        if data.startswith(b"say "):
            _, host, port, text = data.split(b" ", 3)
            s.sendto(text, (host.decode(), int(port)))
        else:
            s.sendto(mark.encode() + data, source)
