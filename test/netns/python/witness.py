"""Prints its port, answers each "mark", and after "last" prints as JSON the length and CRC-32 of all other datagrams."""

import json
import socket
import struct
import sys
import zlib

SO_RCVBUFFORCE = 33
UDP_GRO = 104

host, gro = sys.argv[1], sys.argv[2] == "1"
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
if gro:
    s.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
s.bind((host, 0))
s.settimeout(30)
print(s.getsockname()[1])

datagrams = []
merged = 0
last = False
while not last:
    packet, control, _, source = s.recvmsg(65536, 64)
    size = struct.unpack("i", control[0][2][:4])[0] if control else len(packet)
    if len(packet) > size:
        merged += 1
    for start in range(0, len(packet), size) if packet else [0]:
        data = packet[start : start + size]
        last = data == b"last"
        if last or data == b"mark":
            s.sendto(b"answer", source)
        else:
            datagrams.append(f"{len(data)}:{zlib.crc32(data)}")
print(json.dumps({"datagrams": datagrams, "merged": merged}))
