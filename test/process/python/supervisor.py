"""Passes sockets to programs as systemd does (sd_listen_fds(3)): they are bound here, and stay open between programs.

    supervisor.py KINDS COMMAND...

KINDS is comma-separated: udp4, udp6, tcp4, unix, or connected=PORT. Reads lines: "start NAME=VALUE..." runs the command with
these in its environment (@PID is its process id), "stop" sends SIGTERM and waits. Prints the port of each socket first.
"""

import os
import signal
import socket
import sys


def make(kind):
    if kind == "unix":
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    family = socket.AF_INET6 if kind == "udp6" else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp4" else socket.SOCK_DGRAM)
    s.bind(("::1" if kind == "udp6" else "127.0.0.1", 0))
    if kind == "tcp4":
        s.listen()
    if kind.startswith("connected="):
        s.connect(("127.0.0.1", int(kind.split("=")[1])))
    return s


def start(sockets, command, settings):
    child = os.fork()
    if child:
        return child
    # Above the numbers that the descriptors get.
    high = [os.dup2(s.fileno(), 100 + index) for index, s in enumerate(sockets)]
    for index, fd in enumerate(high):
        os.dup2(fd, 3 + index, inheritable=True)
        os.close(fd)
    env = dict(os.environ)
    for name, value in settings:
        env[name] = value.replace("@PID", str(os.getpid()))
    os.execvpe(command[0], command, env)


sockets = [make(kind) for kind in sys.argv[1].split(",")]
print(*[s.getsockname()[1] if s.family != socket.AF_UNIX else 0 for s in sockets], flush=True)
child = None
for line in sys.stdin:
    verb, *settings = line.split()
    if verb == "start":
        child = start(sockets, sys.argv[2:], [setting.split("=", 1) for setting in settings])
    else:
        if verb == "stop":
            os.kill(child, signal.SIGTERM)
        status = os.waitpid(child, 0)[1]
        print("ended", os.waitstatus_to_exitcode(status), flush=True)
