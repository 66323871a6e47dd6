#!/bin/sh
# Common belief: OutDatagrams and InDatagrams of /proc/net/snmp (nstat, netstat -su, node_exporter) count the datagrams that a host sent
# and received: "the total number of UDP datagrams delivered to UDP users" (RFC 4113, udpInDatagrams).
# What happens: Linux counts what programs do. InDatagrams grows when a program reads. Ten datagrams that wait in a socket which is
# then closed are in no counter at all: not received, not an error, not lost for a full buffer. A send of ten datagrams with
# UDP_SEGMENT is one in OutDatagrams, and a read of ten with UDP_GRO one in InDatagrams. So the difference of two hosts'
# counters is not the loss between them.
# Seen on Linux 6.18. Source: net/ipv4/udp.c: UDP_MIB_INDATAGRAMS in udp_recvmsg, UDP_MIB_OUTDATAGRAMS in udp_send_skb; a close frees
# the queue (udp_destruct_common) without a count.
# Needs root, and Debian's python3. Works in a network namespace of its own. Exits with 1 if that changes.
set -eu
[ "${1:-}" = inside ] || exec unshare --net "$0" inside
ip link set lo up
uname -sr
exec python3 - <<'PYTHON'
import socket

SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104

def counters():
    names, values = [line.split()[1:] for line in open("/proc/net/snmp") if line.startswith("Udp:")]
    return dict(zip(names, map(int, values)))

def counted(is_read, is_segmented=False, is_merged=False):
    """How the counters grow by ten datagrams of 100 bytes, which are read or not, until both sockets are closed."""
    before = counters()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as r, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        r.bind(("127.0.0.1", 0))
        r.setsockopt(SOL_UDP, UDP_GRO, is_merged)
        if is_segmented:
            s.setsockopt(SOL_UDP, UDP_SEGMENT, 100)
            s.sendto(bytes(1000), r.getsockname())
        else:
            for _ in range(10):
                s.sendto(bytes(100), r.getsockname())
        size = 0
        while is_read and size < 1000:
            size += len(r.recv(65536))
    after = counters()
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}

plain, unread = counted(True), counted(False)
segmented, merged = counted(True, is_segmented=True), counted(True, is_segmented=True, is_merged=True)
print("ten datagrams, sent and read one by one:           ", plain)
print("ten datagrams, and a close before they are read:   ", unread)
print("ten datagrams, sent with UDP_SEGMENT:              ", segmented)
print("ten datagrams, sent with UDP_SEGMENT, read with UDP_GRO:", merged)
assert plain == {"InDatagrams": 10, "OutDatagrams": 10}
assert unread == {"OutDatagrams": 10}
assert segmented == {"InDatagrams": 10, "OutDatagrams": 1}
assert merged == {"InDatagrams": 1, "OutDatagrams": 1}
PYTHON
