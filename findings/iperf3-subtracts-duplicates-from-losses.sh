#!/bin/sh
# Common belief: iperf3 -u says how many datagrams were lost on the way.
# What happens: each datagram that arrives twice takes one off the count of the lost ones. Over a relay that loses one datagram in ten
# and doubles another one in ten, iperf3 reports 0%, and 1 % or less if it doubles more. A path of several links, Wi-Fi that repeats, or a
# port mirror doubles datagrams. iperf3 -V only calls them "out of order".
# iperf3 takes each number that is not above the highest one for a datagram that comes late, and was counted as lost before.
# Seen with iperf3 3.12 of Debian (iperf_udp_recv in src/iperf_udp.c: cnt_error--).
# Debian packages: iperf3, python3. Loopback alone.
set -eu
folder=$(mktemp -d)
server=
relay=
trap 'kill $server $relay 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
cat >relay.py <<'PY'
"""Relays TCP and UDP of one iperf3 client to the server. Loses each datagram whose number ends with 0, doubles those that end with 5."""
import selectors, socket, struct, sys

server, port, loses, doubles = ("127.0.0.1", int(sys.argv[1])), int(sys.argv[2]), sys.argv[3] == "1", sys.argv[4] == "1"
listener = socket.create_server(("127.0.0.1", port))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", port))
udp_to_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp_to_server.connect(server)
client = None
counts = {"taken": 0, "lost": 0, "doubled": 0}
print("ready", flush=True)
selector = selectors.DefaultSelector()
for s in (listener, udp, udp_to_server):
    selector.register(s, selectors.EVENT_READ)
other = {}
is_open = True
while is_open:
    for key, _ in selector.select():
        s = key.fileobj
        if s is listener:
            a, b = listener.accept()[0], socket.create_connection(server)
            other[a], other[b] = b, a
            selector.register(a, selectors.EVENT_READ)
            selector.register(b, selectors.EVENT_READ)
        elif s is udp:
            data, client = udp.recvfrom(65536)
            if len(data) < 100:  # the datagram that opens the stream
                udp_to_server.send(data)
                continue
            number = struct.unpack("!I", data[8:12])[0]
            counts["taken"] += 1
            if loses and number % 10 == 0:
                counts["lost"] += 1
                continue
            udp_to_server.send(data)
            if doubles and number % 10 == 5:
                counts["doubled"] += 1
                udp_to_server.send(data)
        elif s is udp_to_server:
            udp.sendto(udp_to_server.recv(65536), client)
        else:
            data = s.recv(65536)
            if data:
                other[s].sendall(data)
            else:
                selector.unregister(s)
                other[s].shutdown(socket.SHUT_WR)
                is_open = False  # there is one connection, which controls the test
print("on the way:", ", ".join(f"{number} {what}" for what, number in counts.items()), flush=True)
PY
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
iperf3 --version | head -n 1
for case in '0 0' '1 0' '1 1' '0 1'; do
  port=$(free_port)
  relay_port=$(free_port)
  iperf3 -s -1 -B 127.0.0.1 -p "$port" >server 2>&1 &
  server=$!
  sleep 0.5
  python3 relay.py "$port" "$relay_port" $case >relay &
  relay=$!
  until grep -qs ready relay; do sleep 0.1; done
  iperf3 -c 127.0.0.1 -p "$relay_port" -u -b 2M -l 1000 -n 1000000 -J >json
  until grep -q way relay; do sleep 0.1; done
  kill $relay $server 2>/dev/null || true
  sed -n 2p relay
  python3 -c 'import json; s = json.load(open("json"))["end"]["sum"]; print("  iperf3: %d of %d lost" % (s["lost_packets"], s["packets"]))'
done >result
server=
relay=
cat result
cat >expected <<'END'
on the way: 1000 taken, 0 lost, 0 doubled
  iperf3: 0 of 1000 lost
on the way: 1000 taken, 100 lost, 0 doubled
  iperf3: 99 of 1000 lost
on the way: 1000 taken, 100 lost, 100 doubled
  iperf3: 0 of 1000 lost
on the way: 1000 taken, 0 lost, 100 doubled
  iperf3: 0 of 1000 lost
END
cmp result expected
