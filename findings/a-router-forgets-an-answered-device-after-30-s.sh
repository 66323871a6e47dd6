#!/bin/sh
# Common belief: the NAT or firewall of a Linux router lets datagrams to a device pass for 30 seconds after the device has sent one, and for
# 120 seconds once it got an answer (nf_conntrack_udp_timeout and nf_conntrack_udp_timeout_stream). So one datagram and its answer each
# minute keep the way to the device open.
# What happens: the answer does not count if it comes within two seconds, as answers do. A flow is a stream only if a datagram of it passes
# more than two seconds after its first one, with traffic in both directions. A device that asks once, gets its answer, and waits for what
# the server sends later can be reached for 30 seconds. One more datagram, more than two seconds after the first, makes it 120. Two quick
# ones do not.
# Here the two times are 4 and 40 seconds. The datagrams that the server sends too late are lost without a word to the device.
# Seen on Linux 6.18. Source: nf_conntrack_udp_packet, stream_ts (net/netfilter/nf_conntrack_proto_udp.c);
# Documentation/networking/nf_conntrack-sysctl.rst says "in case there is an UDP stream detected".
# Needs root, and Debian's iproute2, nftables and python3. Works in three network namespaces of its own.
set -eu
[ "${1:-}" = inside ] || exec unshare --net "$0" inside
router=
server=
trap 'kill $router $server 2>/dev/null || true' EXIT
ip link set lo up
unshare --net sleep 50 &
router=$!
unshare --net sleep 50 &
server=$!
for pid in $router $server; do
  until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
done
on_router() { nsenter -t $router -n "$@"; }
ip link add device type veth peer name inside netns $router
on_router ip link add outside type veth peer name server netns $server
ip addr add 10.9.0.2/24 dev device
ip link set device up
on_router ip addr add 10.9.0.1/24 dev inside
on_router ip addr add 10.9.1.1/24 dev outside
on_router ip link set inside up
on_router ip link set outside up
nsenter -t $server -n ip addr add 10.9.1.2/24 dev server
nsenter -t $server -n ip link set server up
ip route add default via 10.9.0.1
on_router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
on_router nft -f - <<'END'
table ip nat {
  chain leaving {
    type nat hook postrouting priority 100
    oifname "outside" masquerade
  }
}
END
on_router sh -c 'cd /proc/sys/net/netfilter; echo 4 >nf_conntrack_udp_timeout; echo 40 >nf_conntrack_udp_timeout_stream'
python3 - "$server" <<'PYTHON'
import platform, socket, subprocess, sys, threading, time

server = """
import socket, threading, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 9000))
print("ready", flush=True)
while True:
    data, source = s.recvfrom(100)
    s.sendto(b"answer", source)
    if data != b"hello":
        threading.Timer(int(data), s.sendto, (b"later", source)).start()
"""
program = subprocess.Popen(["nsenter", "-t", sys.argv[1], "-n", "python3", "-c", server], stdout=subprocess.PIPE, text=True)
program.stdout.readline()
results = {}


def device(name, pauses, push):
    """Sends a datagram after each pause, and gets its answer. After the last one the server waits so many seconds, and sends another."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(("10.9.1.2", 9000))
    s.settimeout(12)
    for number, pause in enumerate(pauses):
        time.sleep(pause)
        s.send(b"%d" % push if number == len(pauses) - 1 else b"hello")
        assert s.recv(100) == b"answer"
    try:
        results[name] = s.recv(100) == b"later"
    except TimeoutError:
        results[name] = False


cases = {
    "one datagram and its answer, then silence for 2 s": ([0], 2, True),
    "one datagram and its answer, then silence for 8 s": ([0], 8, False),
    "two datagrams and their answers within 1 s, then silence for 8 s": ([0, 1], 8, False),
    "two datagrams and their answers, 2.5 s apart, then silence for 8 s": ([0, 2.5], 8, True),
}
threads = [threading.Thread(target=device, args=(name, pauses, push)) for name, (pauses, push, _) in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
program.kill()
print(f"Linux {platform.release()}, a NAT with 4 s, and 40 s for streams. What the server sends to the device then:")
for name in cases:
    print(f"  {name}: {'arrives' if results[name] else 'is lost'}")
sys.exit(0 if results == {name: arrives for name, (_, _, arrives) in cases.items()} else 1)
PYTHON
