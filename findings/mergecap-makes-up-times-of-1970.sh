#!/bin/sh
# Common belief: a packet of a capture file that has no time stays without one, and its place in a merged file is near its neighbours.
# What happens: editcap and mergecap give it the time 0, 1970-01-01 00:00:00, and mergecap sorts it before all packets that have a
# time. tshark shows no time for the packet in the first file, and a time in the copy, so nobody can see that it is made up.
# Simple packet blocks have no time (draft-ietf-opsawg-pcapng, section 4.4).
# Seen with editcap, mergecap and tshark 4.0.17 of Debian. They read such a packet into a record that is marked as without a time,
# and write each record as an enhanced packet block, which always has one (Wireshark, wiretap/pcapng.c).
# Needs Debian's tshark, wireshark-common and python3.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >blocks.py <<'PY'
import struct


def block(kind, body):
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


start = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 101, 0, 0))
# 1,790,000,000 seconds since 1970, in microseconds.
high, low = divmod(1_790_000_000_000_000, 1 << 32)
timed = block(6, struct.pack("<IIIII", 0, high, low, 4, 4) + bytes(4))
simple = block(3, struct.pack("<I", 4) + bytes(4))
open("timed.pcapng", "wb").write(start + timed)
open("mixed.pcapng", "wb").write(start + timed + simple)
PY
python3 blocks.py
epochs() { tshark -n -r "$1" -T fields -E aggregator=, -e frame.time_epoch 2>/dev/null | tr '\n' ' '; }
editcap mixed.pcapng edited.pcapng
mergecap -w merged.pcapng timed.pcapng mixed.pcapng
for file in mixed edited merged; do echo "$file: [$(epochs $file.pcapng)]"; done
[ "$(epochs mixed.pcapng)" = "1790000000.000000000  " ]
[ "$(epochs edited.pcapng)" = "1790000000.000000000 0.000000000 " ]
