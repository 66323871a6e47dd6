#!/bin/sh
# With -v, netcat sends datagrams with the text X before the data that it is given.
#
# Common belief: -v makes netcat print more, and "nc -vu HOST PORT" sends just what is typed.
# What happens: to find out whether anybody listens, netcat of OpenBSD writes the one byte X several times, a second apart, and says
# "succeeded" unless an ICMP error comes back. It does so with -z and -v, for which its manual says that no data is sent, and with -v
# alone, before the data of the user: a device may take X as a command. Without -v nothing is sent but the data.
# Seen with netcat-openbsd 1.219 of Debian: udptest() in netcat.c, which the option -v reaches. Later sources do so with -v only
# if the standard input is a terminal. Debian packages: netcat-openbsd, python3.
set -eu
dpkg-query --show netcat-openbsd
exec python3 -c '
import socket, subprocess

def received(*options):
    """What arrives of netcat with these options and the standard input hello."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        command = ["nc.openbsd", *options, "-w", "1", "127.0.0.1", str(s.getsockname()[1])]
        subprocess.run(command, input=b"hello", timeout=30, check=True, stderr=subprocess.DEVNULL)
        s.setblocking(False)
        datagrams = []
        try:
            while True:
                datagrams.append(s.recv(100))
        except BlockingIOError:
            pass
    print("nc", *options, "receives", datagrams)
    return datagrams

assert received("-u") == [b"hello"]
verbose = received("-u", "-v")
assert verbose[-1] == b"hello" and len(verbose) > 1 and set(verbose[:-1]) == {b"X"}
'
