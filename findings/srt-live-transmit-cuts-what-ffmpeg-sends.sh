#!/bin/sh
# Common belief: srt-live-transmit passes the datagrams of a UDP stream on over SRT as they are, or says that it cannot.
# What happens: it reads at most 1,456 bytes of a datagram and passes these on. ffmpeg sends 1,472 bytes to udp:// unless it is told
# pkt_size. So the last 16 bytes of each full datagram are missing, the transport stream behind SRT is broken, and neither program
# prints a word. Tools that send 1,316 bytes (7 packets of 188 bytes) never show it.
# Seen with srt-live-transmit 1.5.1 of Debian: SRT_LIVE_MAX_PLSIZE (srtcore/srt.h) is the default of its option -chunk
# (apps/srt-live-transmit.cpp), and UdpSource::Read (apps/transmitmedia.cpp) calls recvfrom() without MSG_TRUNC.
# ffmpeg 5.1.9: the default of pkt_size in libavformat/udp.c.
# Debian packages: srt-tools, ffmpeg, python3. Loopback alone.
set -eu
srt-live-transmit -version 2>&1 | sed -n 2p
ffmpeg -version | sed -n 1p
exec python3 -c '
import socket, subprocess, time

def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

def is_bound(port):
    return f":{port:04X} " in open("/proc/net/udp").read()

def through_srt(send):
    """The lengths of the datagrams that arrive behind SRT, of those that send(port) sends."""
    port, srt, received = free_port(), free_port(), []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as r:
        r.bind(("127.0.0.1", 0))
        r.settimeout(3)
        commands = [
            [f"udp://127.0.0.1:{port}", f"srt://127.0.0.1:{srt}?mode=listener"],
            [f"srt://127.0.0.1:{srt}?mode=caller", f"udp://127.0.0.1:{r.getsockname()[1]}"],
        ]
        programs = [subprocess.Popen(["srt-live-transmit", "-q", *command], stderr=subprocess.PIPE) for command in commands]
        try:
            for _ in range(200):
                if is_bound(port) and is_bound(srt):
                    break
                time.sleep(0.05)
            else:
                raise SystemExit("srt-live-transmit does not start within 10 s")
            time.sleep(1)  # until the two have connected
            send(port)
            while True:
                received.append(len(r.recv(65536)))
        except TimeoutError:
            pass
        finally:
            for program in programs:
                program.terminate()
            said = b"".join(program.communicate()[1] for program in programs)
        assert said == b"", said
        return received

def send_sizes(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for size in (1316, 1456, 1472, 3000, 50):
            s.sendto(bytes(size), ("127.0.0.1", port))
            time.sleep(0.05)

def ffmpeg(options):
    return lambda port: subprocess.run(
        ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25", "-t", "2", "-c:v", "mpeg2video", "-b:v", "1M",
         "-f", "mpegts", f"udp://127.0.0.1:{port}{options}"], check=True, stdin=subprocess.DEVNULL)

sizes = through_srt(send_sizes)
print("datagrams of 1316, 1456, 1472, 3000 and 50 bytes arrive with", sizes)
broken, right = through_srt(ffmpeg("")), through_srt(ffmpeg("?pkt_size=1316"))
print("of ffmpeg, the largest datagrams arrive with", max(broken), "bytes, and with pkt_size=1316 with", max(right))
assert sizes == [1316, 1456, 1456, 1456, 50]
assert max(broken) == 1456
assert max(right) == 1316
'
