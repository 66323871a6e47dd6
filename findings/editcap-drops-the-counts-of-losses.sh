#!/bin/sh
# Common belief: a file that editcap or mergecap copies has all that the first file has, except for what was asked to be left out.
# What happens: the interface statistics blocks are gone. They hold how many packets the recorder lost (isb_ifdrop), and dumpcap
# writes its losses nowhere else. So the copy looks as if nothing was lost. No warning is printed, and the exit code is 0.
# Seen with editcap and mergecap 4.0.17 of Debian. When the copy ends, pcapng_dump_finish of Wireshark (wiretap/pcapng.c) writes the
# statistics of the interfaces that it was given. Both programs give it the interfaces without them (num_stat_entries in
# wiretap/merge.c, for mergecap). Needs Debian's wireshark-common and python3.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >blocks.py <<'PY'
import struct
import sys


def option(code, value):
    return struct.pack("<HH", code, len(value)) + value


def block(kind, body):
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def write(path):
    """A packet, and the statistics of its interface: 100 received, 40 lost."""
    counts = option(4, struct.pack("<Q", 100)) + option(5, struct.pack("<Q", 40)) + option(0, b"")
    packet = struct.pack("<IIIII", 0, 407_000, 0, 4, 4) + bytes(4)
    with open(path, "wb") as file:
        file.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        file.write(block(1, struct.pack("<HHI", 101, 0, 0)))
        file.write(block(6, packet))
        file.write(block(5, struct.pack("<III", 0, 407_000, 1) + counts))


def count(path, kind):
    """The number of blocks of a kind."""
    data = open(path, "rb").read()
    at = found = 0
    while at < len(data):
        this, length = struct.unpack_from("<II", data, at)
        found += this == kind
        at += length
    return found


if sys.argv[1] == "write":
    write(sys.argv[2])
else:
    print(count(sys.argv[2], 6), "packet", count(sys.argv[2], 5), "statistics")
PY
python3 blocks.py write recorded.pcapng
editcap recorded.pcapng edited.pcapng
mergecap -w merged.pcapng recorded.pcapng
for file in recorded edited merged; do echo "$file: $(python3 blocks.py count $file.pcapng)"; done
[ "$(python3 blocks.py count recorded.pcapng)" = "1 packet 1 statistics" ]
[ "$(python3 blocks.py count edited.pcapng)" = "1 packet 0 statistics" ]
[ "$(python3 blocks.py count merged.pcapng)" = "1 packet 0 statistics" ]
