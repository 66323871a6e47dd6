# Not on the page: its `with`, and how many sockets this process has during and after the block.
import os
import socket
import sys


def sockets():
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            count += int(fd) > 2 and os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
        except FileNotFoundError:
            pass  # the descriptor of the listing itself
    return count


address = (sys.argv[1], int(sys.argv[2]))

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.sendto(b"hello", address)
    print("inside", sockets())
print("after", sockets())

try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"hello", address)
        raise ValueError
except ValueError:
    print("after an error", sockets())
