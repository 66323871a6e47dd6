"""A device for the tests: peer.py serve | receive | send PORT | fleeting PORT | request PORT. It prints what happens."""

import binascii
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../../micropython"))
import datagram

what = sys.argv[1]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
m = datagram.Messages(sock, longest=100000, credit=8)


def say(*words):
    print(*words, flush=True)


def handler(data, source):
    say("run", data[:8].decode())
    if data[:8] == b"failure.":
        raise ValueError("no such camera")
    return bytes(20000) if data == b"picture?" else data * 3


if what == "serve":
    say(sock.getsockname()[1])
    m.serve(handler)
elif what == "receive":
    say(sock.getsockname()[1])
    while True:
        data, source, channel, id = m.recv()
        say(len(data), binascii.crc32(data), channel, id)
else:
    to = socket.getaddrinfo("127.0.0.1", int(sys.argv[2]))[0][-1]
    if what == "send":
        for length in (0, 1, 1200, 1201, 60000):
            m.send(bytes(range(256)) * (length // 256) + b"." * (length % 256), to, channel=7, timeout=30000)
            say("sent", length)
    elif what == "fleeting":
        for number in range(20):
            m.send(bytearray([number]) * 5000, to, fleeting=True, deadline=200)
            time.sleep(0.02)
    elif what == "request":
        for number in range(5):
            reply = m.request(b"%d" % number * 3000, to, timeout=30000)
            say(len(reply), reply[:9].decode())
        try:
            m.request(b"fail", to, timeout=30000)
        except RuntimeError as error:
            say("failed:", error)
