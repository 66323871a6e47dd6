#!/bin/sh
# Unless it is told pkt_size, ffmpeg cuts packets of an MPEG transport stream between UDP datagrams, and fragments them over IPv6.
#
# Common belief: a datagram of a transport stream over UDP has up to seven whole packets of 188 bytes, at most 1,316 bytes, so a
# lost datagram costs whole packets, and each datagram starts with the sync byte 0x47.
# What happens: udp:// of ffmpeg sends up to 1,472 bytes, which is no multiple of 188. Most datagrams start in the middle of a
# packet: a receiver that takes each alone finds no sync byte, and one lost datagram damages two packets more. 1,472 is the limit
# of IPv4 over Ethernet: over IPv6, whose header is 20 bytes longer, each full datagram is sent as two fragments.
# With pkt_size=1316 both are gone.
# Seen with ffmpeg 5.1.9 of Debian; the default is UDP_MAX_PKT_SIZE in libavformat/udp.c, documented for the option pkt_size in
# ffmpeg-protocols(1), udp. Debian packages: ffmpeg, iproute2, python3.
set -eu
ffmpeg -version | sed -n 1p
exec unshare --net sh -euc '
ip link set lo up
ip link add wire type veth peer name end
ip link set end up
ip link set wire mtu 1500 up
ip address add fd00::1/64 dev wire nodad
ip neighbour add fd00::2 lladdr 02:00:00:00:00:02 dev wire
exec python3 -c "$1"' sh '
import socket, subprocess

no_options = "without options"

def stream(url):
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25", "-t", "2",
                    "-c:v", "mpeg2video", "-b:v", "2M", "-f", "mpegts", url], check=True, stdin=subprocess.DEVNULL)

def received(options):
    """How many datagrams came, and how many of them start with a packet and have whole packets alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.bind(("127.0.0.1", 0))
        s.settimeout(1)
        port = s.getsockname()[1]
        stream(f"udp://127.0.0.1:{port}?{options}")
        datagrams = []
        try:
            while True:
                datagrams.append(s.recv(65535))
        except TimeoutError:
            pass
    whole = sum(each[0] == 0x47 and len(each) % 188 == 0 for each in datagrams)
    print(f"IPv4, {options or no_options}: {len(datagrams)} datagrams of at most {max(map(len, datagrams))} bytes, "
          f"{whole} of whole packets")
    return len(datagrams), whole

def fragments(options):
    """How many fragments the kernel made of datagrams over IPv6, with an MTU of 1,500 bytes."""
    def count():
        return next(int(line.split()[1]) for line in open("/proc/net/snmp6") if line.startswith("Ip6FragCreates"))
    before = count()
    stream(f"udp://[fd00::2]:9000?{options}")
    made = count() - before
    print(f"IPv6 with an MTU of 1,500 bytes, {options or no_options}: {made} fragments")
    return made

datagrams, whole = received("")
assert whole < datagrams / 2
datagrams, whole = received("pkt_size=1316")
assert whole == datagrams
assert fragments("") > 0
assert fragments("pkt_size=1316") == 0
'
