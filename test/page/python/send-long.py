# Not on the page: sends a datagram longer than its receivers ask for, and a short one.
import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.sendto(b"a" * 1024 + b"b" * 976, (sys.argv[1], int(sys.argv[2])))
    s.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
