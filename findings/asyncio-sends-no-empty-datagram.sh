#!/bin/sh
# sendto() of Python's asyncio throws an empty datagram away, without an error.
#
# Common belief: transport.sendto(b"") sends an empty datagram, as sendto() of a socket does. Empty datagrams are used to keep a NAT
# open, to announce a sender, and as the end of a transfer.
# What happens: the transport returns without a system call and without an error. It receives empty datagrams well, so two programs
# that both use asyncio never see one. loop.sock_sendto() (Python 3.11), which takes the socket itself, sends it.
# Seen with Python 3.11.2 to 3.11.7: _SelectorDatagramTransport.sendto in Lib/asyncio/selector_events.py returns if there is no data.
# Debian package: python3.
set -eu
python3 --version
exec python3 -c '
import asyncio, socket, sys

class Receiver(asyncio.DatagramProtocol):
    def __init__(self):
        self.seen = asyncio.Queue()

    def datagram_received(self, data, address):
        self.seen.put_nowait(data)

async def until_end(receiver):
    """The datagrams before the one that says end."""
    seen = []
    while (data := await asyncio.wait_for(receiver.seen.get(), 10)) != b"end":
        seen.append(data)
    return seen

async def main():
    loop = asyncio.get_running_loop()
    _, receiver = await loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
    address = _.get_extra_info("sockname")

    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
    for payload in (b"a", b"", b"b", b"end"):
        transport.sendto(payload)
    through_transport = await until_end(receiver)
    print(f"sendto() of a transport, a, nothing, b: received {through_transport}")
    assert through_transport == [b"a", b"b"]

    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    for payload in (b"a", b"", b"b", b"end"):
        await loop.sock_sendto(s, payload, address)
    through_socket = await until_end(receiver)
    print(f"sock_sendto() of the loop, a, nothing, b: received {through_socket}")
    assert through_socket == [b"a", b"", b"b"]

asyncio.run(main())
'
