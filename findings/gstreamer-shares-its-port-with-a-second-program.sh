#!/bin/sh
# Common belief: a second program that receives on a UDP port fails with "address in use", or it takes all datagrams, or both get each.
# What happens with two pipelines of GStreamer on one port: both start, and each gets the datagrams of about half of the senders. So
# with one camera, a pipeline that was left running may get all pictures, and the new one none, and it changes with the camera's next port.
# udpsrc has reuse=true by default, and GLib sets SO_REUSEPORT for it, besides SO_REUSEADDR, on each UDP socket that may share. Linux
# then chooses the socket by a hash of both addresses and ports. With reuse=false the second pipeline fails.
# Seen with GStreamer 1.22.0 (gst_udpsrc_open in gst/udp/gstudpsrc.c) and GLib 2.74.6 (g_socket_bind in gio/gsocket.c) of Debian,
# Linux 6.18. Debian packages: gstreamer1.0-tools, gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, python3, iproute2.
# Needs root. Works in a network namespace of its own.
set -eu
[ "${1:-}" = inside ] || exec unshare --net "$0" inside
ip link set lo up
folder=$(mktemp -d)
first=
second=
trap 'kill $first $second 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
gst-launch-1.0 --version | head -n 1
sockets() { grep -c ':1388 ' /proc/net/udp || true; } # port 5000
gst-launch-1.0 -q udpsrc address=127.0.0.1 port=5000 ! filesink location=first buffer-mode=unbuffered &
first=$!
until [ "$(sockets)" = 1 ]; do sleep 0.1; done
gst-launch-1.0 -q udpsrc address=127.0.0.1 port=5000 ! filesink location=second buffer-mode=unbuffered &
second=$!
until [ "$(sockets)" = 2 ]; do sleep 0.1; done
sleep 0.5
python3 - <<'PYTHON'
import socket

senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
for _ in range(5):
    for number, s in enumerate(senders):
        s.sendto(bytes([number]), ("127.0.0.1", 5000))
PYTHON
sleep 1
alone=0
timeout 5 gst-launch-1.0 -q udpsrc address=127.0.0.1 port=5000 reuse=false ! fakesink 2>/dev/null || alone=$?
python3 - "$alone" <<'PYTHON'
import sys

parts = [open(name, "rb").read() for name in ("first", "second")]
for name, data in zip(("first", "second"), parts):
    print(f"the {name} pipeline got {len(data)} of 200 datagrams, of {len(set(data))} of 40 senders")
both = set(parts[0]) & set(parts[1])
print(f"senders of whom both got datagrams: {len(both)}; a pipeline with reuse=false exits with {sys.argv[1]}")
sys.exit(0 if min(map(len, parts)) and sum(map(len, parts)) == 200 and not both and sys.argv[1] not in ("0", "124") else 1)
PYTHON
