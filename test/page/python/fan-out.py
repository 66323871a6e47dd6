import socket
import sys

targets = [(host, int(port)) for host, port in (target.split(":") for target in sys.argv[1:])]

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for addr in targets:
        s.sendto(b"hello", addr)
