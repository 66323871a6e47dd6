"""CPython's socket module, as its documentation uses it. See protocol.ts for what a peer is given and what it prints."""

import json
import os
import platform
import signal
import socket
import struct
import sys
import time

HOST = "127.0.0.1"
UDP_GRO = 104


def about(task):
    return {"version": f"CPython {platform.python_version()}"}


def receive(task):
    s = bound(int(task["buffer"]))
    tell({"ports": [s.getsockname()[1]]})
    warm_up, window, quiet = (int(task[name]) / 1000 for name in ("warmUpMs", "windowMs", "quietMs"))
    buffer = bytearray(65536)
    count = size = 0
    size += s.recv_into(buffer)
    count += 1
    # settimeout() would ask poll() before each call; the kernel's own timeout costs nothing.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(quiet), int(quiet % 1 * 1e6)))
    first = time.perf_counter()
    start = figures = None
    while True:
        try:
            got, _ = s.recvfrom_into(buffer)
        except BlockingIOError:
            if figures is not None:
                break
            got = None
        if got is not None:
            count += 1
            size += got
            if count % 64 or figures is not None:
                continue
        now = time.perf_counter()
        if start is None:
            if now - first >= warm_up:
                start = (now, count)
        elif figures is None and now - start[0] >= window:
            figures = {"received": count - start[1], "seconds": now - start[0], "rssBytes": resident()}
    return {**figures, "total": count, "bytes": size}


def send(task):
    s = bound(int(task["buffer"]))
    to = (HOST, int(task["to"].split(",")[0]))
    warm_up, window, tail = (int(task.get(name, 0)) / 1000 for name in ("warmUpMs", "windowMs", "tailMs"))
    payloads = [bytes([index % 256]) * int(task["size"]) for index in range(int(task["batch"]))]
    total = 0
    began = time.perf_counter()
    start = figures = None
    while True:
        for payload in payloads:
            s.sendto(payload, to)
        total += len(payloads)
        now = time.perf_counter()
        if start is None:
            if now - began >= warm_up:
                start = (now, total)
        elif figures is None and now - start[0] >= window:
            figures = {"sent": total - start[1], "seconds": now - start[0], "rssBytes": resident()}
        if figures is not None and now - began >= warm_up + window + tail:
            return {**figures, "total": total}


def park(task):
    """Sockets that nobody reads. They take merged datagrams, so that what is measured is the sender alone."""
    sockets = [bound(int(task["buffer"])) for _ in range(int(task["sockets"]))]
    for s in sockets:
        s.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    tell({"ports": [s.getsockname()[1] for s in sockets]})
    signal.pause()


def bound(buffer):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    s.bind((HOST, 0))
    return s


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def tell(figures):
    print(json.dumps(figures), flush=True)


signal.alarm(120)
roles = {"about": about, "receive": receive, "send": send, "park": park}
tell(roles[sys.argv[1]](dict(setting.split("=", 1) for setting in sys.argv[2:])))
