#!/bin/sh
# Common belief: a socket that sets no option has the receive buffer of the system (net.core.rmem_default, 212,992 bytes), and a datagram
# that is too large for a program is an error or a flag, at least in a language of telecommunications.
# What happens: gen_udp:open of Erlang (and so of Elixir) sets SO_RCVBUF to 8,192, a part of what the kernel would have given. About 20
# small datagrams fit, and the kernel drops the others of a burst. A datagram of more than 8,192 bytes arrives as its first 8,192
# bytes, as {ok, ...}, with nothing that says so. With {recbuf, 1000000} all arrive, and whole.
# Seen with Erlang/OTP 25 of Debian: RECBUF in lib/kernel/src/inet_udp.erl and inet6_udp.erl; packet_inet_input
# (erts/emulator/drivers/common/inet_drv.c). Debian packages: erlang-base, python3. Loopback alone.
set -eu
erl -noshell -eval 'io:format("~s", [erlang:system_info(system_version)]), halt().'
exec python3 -c '
import socket, subprocess

def received(options, sizes):
    """The sizes that gen_udp:recv returns of a burst of datagrams with these sizes."""
    code = """
      {ok, S} = gen_udp:open(0, [binary, {active, false}OPTIONS]), {ok, Port} = inet:port(S), io:format("~p~n", [Port]),
      io:get_line(""),
      Read = fun(Read) -> case gen_udp:recv(S, 0, 500) of
        {ok, {_, _, Data}} -> io:format("~p~n", [byte_size(Data)]), Read(Read);
        {error, timeout} -> halt() end end,
      Read(Read).
    """.replace("OPTIONS", options)
    process = subprocess.Popen(["erl", "-noshell", "-eval", code], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    port = int(process.stdout.readline())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for size in sizes:
            s.sendto(bytes(size), ("127.0.0.1", port))
    output, _ = process.communicate("\n", timeout=30)
    return list(map(int, output.split()))

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
    default = plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
few, all_of_them = received("", [1] * 100), received(", {recbuf, 1000000}", [1] * 100)
cut, whole = received("", [9000]), received(", {recbuf, 1000000}", [9000])
print(f"receive buffer of a plain socket: {default} bytes")
print(f"of 100 datagrams of one byte arrive {len(few)}; with recbuf, {len(all_of_them)}")
print(f"of a datagram of 9000 bytes arrive {cut} bytes; with recbuf, {whole}")
assert len(few) < 30 and len(all_of_them) == 100
assert (cut, whole) == ([8192], [9000])
'
