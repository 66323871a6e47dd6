#!/bin/sh
# A builtin command of bash sends a datagram for each line to /dev/udp; an external command sends the same text as one.
#
# Common belief: printf and echo to /dev/udp/HOST/PORT send one datagram, as one command writes one text (statsd and syslog are often
# fed so).
# What happens: the standard output of bash is buffered by lines, wherever it goes, so a text of three lines is three datagrams, and
# what a peer should get as one message arrives in parts. The same text by /usr/bin/printf, or by cat, is one datagram.
# Seen with bash 5.2.15 of Debian. bash(1), REDIRECTION, tells of /dev/udp but not of this;
# shell_initialize() in shell.c sets the buffering.
# Debian packages: bash, coreutils, python3.
set -eu
bash --version | sed -n 1p
exec python3 -c '
import socket, subprocess

def received(command):
    """The datagrams that a command of bash sends to its argument, a path of /dev/udp."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        path = f"/dev/udp/127.0.0.1/{s.getsockname()[1]}"
        subprocess.run(["bash", "-c", f"{command} > {path}"], timeout=30, check=True)
        s.setblocking(False)
        datagrams = []
        try:
            while True:
                datagrams.append(s.recv(100))
        except BlockingIOError:
            pass
    print(f"{command}: {datagrams}")
    return datagrams

text = r"a\nb\nc\n"
assert received(f"printf \"{text}\"") == [b"a\n", b"b\n", b"c\n"]
assert received(f"/usr/bin/printf \"{text}\"") == [b"a\nb\nc\n"]
assert received(f"(printf \"{text}\" | cat)") == [b"a\nb\nc\n"]
'
