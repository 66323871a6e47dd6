#!/bin/sh
# Common belief: RTP carries JPEG pictures with 4:2:2 and with 4:2:0 chroma (types 0 and 1 of RFC 2435 section 4.1), and a
# command that exits with 0 has sent its pictures.
# What happens: ffmpeg encodes MJPEG with 4:2:2 chroma, its RTP sender takes none of the pictures ("Only 1x1 chroma blocks are
# supported"), and ffmpeg exits with 0. Not one RTP packet is sent. ffmpeg's encoder writes such pictures with chroma blocks of
# 1 x 2, and the RTP sender wants 1 x 1 (libavformat/rtpenc_jpeg.c). Pictures with 4:2:0 chroma are sent.
# So a receiver that gets no picture of ffmpeg may be right. With "-pix_fmt yuvj420p", the pictures arrive.
# Seen with ffmpeg 5.1.9. Debian packages: ffmpeg, python3.
set -eu
ffmpeg -version | sed 1q
exec python3 -c '
import socket, subprocess

JPEG = 26  # RFC 3551 section 6

def pictures(chroma):
    """Returns how many pictures of three arrive, and the exit code of ffmpeg."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind(("127.0.0.1", 0))
    command = ["ffmpeg", "-nostdin", "-v", "warning", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5", "-frames:v", "3"]
    command += ["-c:v", "mjpeg", "-huffman", "default", "-pix_fmt", chroma]
    command += ["-f", "rtp", f"rtp://127.0.0.1:{s.getsockname()[1]}"]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=30)
    times = set()
    s.setblocking(False)
    while True:
        try:
            packet = s.recv(2048)
        except BlockingIOError:
            break
        if packet[1] & 127 == JPEG:
            times.add(packet[4:8])  # the timestamp, one for each picture
    told = [line for line in ended.stderr.splitlines() if "chroma" in line]
    print(f"{chroma}: {len(times)} of 3 pictures arrive, exit code {ended.returncode}", *told)
    return len(times), ended.returncode

assert pictures("yuvj420p") == (3, 0)
assert pictures("yuvj422p") == (0, 0)
'
