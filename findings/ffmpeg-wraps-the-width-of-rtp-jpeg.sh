#!/bin/sh
# Common belief: JPEG over RTP has 8 bits for the width and the height in units of 8 pixels (RFC 2435 section 3.1.5 and 3.1.6), so a
# sender refuses larger pictures than 2,040 pixels.
# What happens: ffmpeg sends them, prints nothing and exits with 0. It writes the low 8 bits alone: a picture of 2,592 pixels is
# announced with 544, and one of 2,048 pixels with 0. A receiver that builds the JPEG file from the packets gets a picture with
# wrong lines, and no byte tells it so. Cameras of 3 megapixels and more have such pictures.
# A width that is no multiple of 8 is rounded up, as the format asks: the picture of the receiver is up to 7 pixels wider.
# Seen with ffmpeg 5.1.9: libavformat/rtpenc_jpeg.c shifts the width and writes it with one byte. Debian packages: ffmpeg, python3.
set -eu
ffmpeg -version | sed 1q
exec python3 -c '
import socket, subprocess

def announced(width, height):
    """The size that the first packet of a picture announces; what ffmpeg prints; its exit code."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.bind(("127.0.0.1", 0))
        s.settimeout(10)
        command = ["ffmpeg", "-nostdin", "-v", "warning", "-f", "lavfi", "-i", f"testsrc=size={width}x{height}:rate=5"]
        command += ["-frames:v", "1", "-c:v", "mjpeg", "-huffman", "default", "-pix_fmt", "yuvj420p", "-strict", "unofficial"]
        command += ["-f", "rtp", f"rtp://127.0.0.1:{s.getsockname()[1]}"]
        ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=30)
        while True:
            packet = s.recv(2048)
            if packet[1] & 127 == 26:  # JPEG, RFC 3551 section 6
                break
    told = [line for line in ended.stderr.splitlines() if "2040" in line or "width" in line or "size" in line]
    size = packet[12 + 6] * 8, packet[12 + 7] * 8
    print(f"a picture of {width} x {height} is announced as {size[0]} x {size[1]}, exit code {ended.returncode}", *told)
    return size, told, ended.returncode

assert announced(640, 480) == ((640, 480), [], 0)
assert announced(322, 242) == ((328, 248), [], 0)
assert announced(2048, 1536) == ((0, 1536), [], 0)
assert announced(2592, 1944) == ((544, 1944), [], 0)
'
