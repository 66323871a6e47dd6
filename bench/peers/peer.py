"""CPython's socket module, as its documentation uses it. See protocol.ts for the arguments and the output of a peer."""

import json
import os
import platform
import resource
import select
import signal
import socket
import struct
import sys
import time

HOST = "127.0.0.1"
UDP_GRO = 104
# IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, SO_TIMESTAMPNS, SO_RXQ_OVFL
METADATA = [(0, 8), (0, 12), (0, 13), (1, 35), (1, 40)]


def about(task):
    return {"version": f"CPython {platform.python_version()}"}


def receive(task):
    """With by=recvmsg it asks for the metadata that this package asks for."""
    s = bound(int(task["buffer"]))
    with_metadata = task.get("by") == "recvmsg"
    if with_metadata:
        for level, option in METADATA:
            s.setsockopt(level, option, 1)
    tell({"ports": [s.getsockname()[1]]})
    # settimeout() would call poll() before each datagram; the kernel's own timeout costs nothing.
    quiet = int(task["quietMs"]) * 1000
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", *divmod(quiet, 1_000_000)))
    buffer = bytearray(65536)
    window = Window(task)
    count = size = 0
    while True:
        try:
            if with_metadata:
                size += len(s.recvmsg(65536, 512)[0])
            else:
                size += s.recvfrom_into(buffer)[0]
        except BlockingIOError:
            if count > 0:
                window.look(count)
            if window.figures is not None and nothing_more():
                return {**window.figures, "total": count, "bytes": size}
            continue
        count += 1
        if count % 64 == 0:
            window.look(count)


def send(task):
    s = bound(int(task["buffer"]))
    to = (HOST, int(task["to"].split(",")[0]))
    least = sum(int(task.get(name, 0)) for name in ("warmUpMs", "windowMs", "tailMs")) / 1000
    payloads = [bytes([index % 256]) * int(task["size"]) for index in range(int(task["batch"]))]
    window = Window(task)
    began = time.perf_counter()
    total = 0
    while window.look(total) - began < least or window.figures is None:
        for payload in payloads:
            s.sendto(payload, to)
        total += len(payloads)
    return {**window.figures, "total": total}


def park(task):
    """Holds sockets that nobody reads. They accept merged datagrams, so that only the sender is measured."""
    sockets = [bound(int(task["buffer"])) for _ in range(int(task["sockets"]))]
    for s in sockets:
        s.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    tell({"ports": [s.getsockname()[1] for s in sockets]})
    sys.stdin.read()
    return {}


def open_and_close(task):
    """Opens, binds and closes sockets, one after another."""
    window = Window(task)
    opened = 0
    while True:
        window.look(opened)
        if window.figures is not None:
            return window.figures
        for _ in range(100):
            plain().close()
        opened += 100


def idle(task):
    """Resident memory for each of many sockets. A few are opened and closed before."""
    count = int(task["sockets"])
    # Node and Bun raise the limit of open files by themselves.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for s in [plain() for _ in range(int(task["warmUpSockets"]))]:
        s.close()
    before = resident()
    sockets = [plain() for _ in range(count)]
    return {"bytesEach": (resident() - before) / len(sockets)}


class Window:
    """The measured time: it begins a while after the first look."""

    def __init__(self, task):
        self.warm_up, self.length = (int(task[name]) / 1000 for name in ("warmUpMs", "windowMs"))
        self.waited_before = waited()
        self.first = self.start = self.figures = None

    def look(self, count):
        """Opens and closes the window when it is time, with the count of datagrams until now. Returns the time."""
        now = time.perf_counter()
        if self.first is None:
            self.first = now
        if self.start is None:
            if now - self.first >= self.warm_up:
                self.start = (now, count)
                self.cpu_before = time.process_time()
        elif self.figures is None and now - self.start[0] >= self.length:
            self.figures = {
                "datagrams": count - self.start[1],
                "seconds": now - self.start[0],
                "cpuSeconds": time.process_time() - self.cpu_before,
                "waited": (waited() - self.waited_before) / (now - self.first),
                "rssBytes": resident(),
            }
        return now


def nothing_more():
    """Whether standard input has ended, which means that the sender has."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def bound(buffer):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    s.bind((HOST, 0))
    return s


def plain():
    """A bound socket with the defaults."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((HOST, 0))
    return s


def waited():
    """Seconds in which this thread was ready to run and had no CPU."""
    with open("/proc/thread-self/schedstat") as file:
        return int(file.read().split()[1]) / 1e9


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def tell(figures):
    print(json.dumps(figures), flush=True)


signal.alarm(120)
roles = {"about": about, "receive": receive, "send": send, "park": park, "open": open_and_close, "idle": idle}
tell(roles[sys.argv[1]](dict(setting.split("=", 1) for setting in sys.argv[2:])))
