#!/bin/sh
# Common belief: one fread() of a udp:// stream returns one datagram, up to the length that was asked for.
# What happens: PHP reads 8,192 bytes at a time into the buffer of the stream. fread($s, 65536) returns 8,192 bytes of a larger
# datagram, and the rest is lost. A shorter fread() leaves the rest of the datagram in the buffer, and the next fread() returns it
# together with the start of the next datagram, even of another sender. There is no warning.
# With stream_set_chunk_size($s, 65535), or stream_socket_recvfrom(), a datagram is whole.
# Seen with PHP 8.2 of Debian: _php_stream_fill_read_buf and _php_stream_read (main/streams/streams.c), FG(def_chunk_size) is
# PHP_SOCK_CHUNK_SIZE (main/php_network.h). Debian packages: php-cli, python3. Loopback alone.
set -eu
php -r 'echo "PHP ", PHP_VERSION, "\n";'
exec python3 -c '
import socket, subprocess

def read(call, lengths, datagrams):
    """What these calls return of datagrams from one sender each: the count of each byte."""
    code = """
        $s = stream_socket_server("udp://127.0.0.1:0", $code, $text, STREAM_SERVER_BIND);
        echo stream_socket_get_name($s, false), "\\n";
        fgets(STDIN);
        foreach ([LENGTHS] as $length) {
          foreach (count_chars(CALL, 1) as $byte => $count) echo chr($byte), " ", $count, " ";
          echo "\\n";
        }
    """.replace("LENGTHS", ", ".join(map(str, lengths))).replace("CALL", call)
    process = subprocess.Popen(["php", "-r", code], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    port = int(process.stdout.readline().split(":")[1])
    for byte, size in datagrams:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(byte * size, ("127.0.0.1", port))
    output, _ = process.communicate("\n", timeout=20)
    got = [line.strip() for line in output.splitlines()]
    print(f"{call} with the lengths {lengths}: {got}")
    return got

large = [(b"A", 20_000), (b"B", 10)]
small = [(b"A", 150), (b"B", 150), (b"C", 150)]
assert read("fread($s, $length)", [65536, 65536], large) == ["A 8192", "B 10"]
assert read("fread($s, $length)", [100, 100], small) == ["A 100", "A 50 B 50"]
assert read("stream_socket_recvfrom($s, $length)", [65536, 65536], large) == ["A 20000", "B 10"]
'
