"""Asks each address on one port, and prints as JSON which address answered for which: a peer without this library."""

import json
import socket
import sys

port, *hosts = sys.argv[1:]
answers = []
with socket.socket(socket.AF_INET6 if ":" in hosts[0] else socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(10)
    for host in hosts:
        s.sendto(b"who are you?", (host, int(port)))
        answers.append(s.recvfrom(64)[1][:2])
print(json.dumps(answers))
