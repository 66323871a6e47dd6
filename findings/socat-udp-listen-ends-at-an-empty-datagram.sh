#!/bin/sh
# An empty datagram ends socat's UDP-LISTEN, with exit code 0, though its manual says that empty datagrams are ignored.
#
# Common belief: "Normally socat will ignore empty (zero size payload) packets arriving on datagram sockets, so it survives port
# scans", and only the option null-eof makes them the end (socat(1), null-eof).
# What happens: that is so for UDP-RECV. UDP-LISTEN reads an empty datagram as the end of its input, without the option: socat ends
# with exit code 0, and the datagrams after it are lost. Devices that send empty datagrams to keep a NAT open do this.
# Seen with socat 1.7.4.4 of Debian. UDP-LISTEN connects its socket to the first peer. Debian packages: socat, python3.
set -eu
socat -V | sed -n 2p
exec python3 -c '
import socket, subprocess, time

def free_port():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1]

def bound(port):
    return f":{port:04X} " in open("/proc/net/udp").read()

def written(kind, datagrams):
    """What socat writes of these datagrams, and its exit code, or None if it still runs after them."""
    port = free_port()
    process = subprocess.Popen(["socat", "-u", f"{kind}:{port},bind=127.0.0.1", "-"], stdout=subprocess.PIPE)
    while not bound(port):
        time.sleep(0.05)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for payload in datagrams:
        s.sendto(payload, ("127.0.0.1", port))
        time.sleep(0.3)
    time.sleep(1)
    code = process.poll()
    process.kill()
    text = process.communicate()[0].decode()
    print(f"{kind}, datagrams {datagrams}: writes {text!r}, exit code {code}")
    return text, code

assert written("UDP-LISTEN", [b"a", b"b"]) == ("ab", None)
assert written("UDP-RECV", [b"a", b"", b"b"]) == ("ab", None)
text, code = written("UDP-LISTEN", [b"a", b"", b"", b""])
assert (text, code) == ("a", 0)
'
