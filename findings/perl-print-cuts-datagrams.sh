#!/bin/sh
# Common belief: print to a UDP socket of IO::Socket sends one datagram, because the handle flushes after each print (autoflush).
# What happens: the print goes through a buffer of 8,192 bytes. A text of 10,000 bytes leaves as two datagrams, of 8,192 and 1,808
# bytes, and print returns 1. Reading has the same buffer: read() returns the bytes of two datagrams as one, even those of two
# senders, and cuts a datagram after 8,192 bytes. send() and recv() of the same socket treat datagrams as they are.
# Seen with Perl 5.36.0 of Debian: PERLIOBUF_DEFAULT_BUFSIZ in perlio.h, PerlIOBuf_write and PerlIOBuf_fill in perlio.c; before Perl 5.14
# the buffer had 4,096 bytes. Debian packages: perl, python3. Loopback alone.
set -eu
perl -e 'printf "Perl %vd\n", $^V'
exec python3 -c '
import socket, subprocess

def bound_socket():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    return s

def perl(code, port, **more):
    return subprocess.Popen(["perl", "-MIO::Socket::INET", "-e", code, str(port)], text=True, stdout=subprocess.PIPE, **more)

def sent(statement):
    """The lengths of the datagrams that this statement sends."""
    with bound_socket() as s:
        code = "my $s = IO::Socket::INET->new(Proto => q(udp), PeerAddr => q(127.0.0.1), PeerPort => shift) or die; " + statement
        assert perl(code, s.getsockname()[1]).wait(timeout=20) == 0
        s.setblocking(False)
        lengths = []
        try:
            while True:
                lengths.append(len(s.recv(65536)))
        except BlockingIOError:
            print(statement, "sends datagrams of", lengths, "bytes")
            return lengths

def read():
    """What two calls of read() return of three datagrams, as pairs of a byte and its count."""
    code = """
        my $s = IO::Socket::INET->new(Proto => q(udp), LocalAddr => q(127.0.0.1)) or die;
        $| = 1; print $s->sockport, "\\n"; <STDIN>;
        for my $n (100, 8242) { read $s, my $got, $n; print length($got), " bytes:"; for my $c (qw(A B C)) { print " $c ", eval "\\$got =~ tr/$c//" } print "\\n" }
    """
    process = perl(code, 0, stdin=subprocess.PIPE)
    port = int(process.stdout.readline())
    for payload in (b"A" * 50, b"B" * 100, b"C" * 10_000):
        with bound_socket() as sender:
            sender.sendto(payload, ("127.0.0.1", port))
    output, _ = process.communicate("\n", timeout=20)
    print("read() returns", output.strip().replace("\n", ", then "))
    return output.splitlines()

assert sent("print $s q(a) x 10_000 or die") == [8192, 1808]
assert sent("$s->send(q(a) x 10_000) or die") == [10_000]
assert read() == ["100 bytes: A 50 B 50 C 0", "8242 bytes: A 0 B 50 C 8192"]
'
