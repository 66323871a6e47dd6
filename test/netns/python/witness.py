"""Receives for one test after the other: a peer without this library.

Each test writes two lines of JSON. The answer to the first is the port of a new socket. The answer to the second, after the
socket got "last", has the length and CRC-32 of all datagrams, except "mark", which it answers at once, and "last".
"""

import json
import socket
import struct
import sys
import zlib

SO_RCVBUFFORCE = 33
UDP_GRO = 104


def receive(s):
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
    return {"datagrams": datagrams, "merged": merged}


def answer(call, outcome):
    print(json.dumps({"id": call["id"], "outcome": outcome}))


while line := sys.stdin.readline():
    call = json.loads(line)
    host = call["address"]
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        if call["gro"]:
            s.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        s.bind((host, 0))
        s.settimeout(30)
        answer(call, s.getsockname()[1])
        came = receive(s)
    if line := sys.stdin.readline():
        answer(json.loads(line), came)
