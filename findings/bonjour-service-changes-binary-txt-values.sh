#!/bin/sh
# Common belief: the value of a TXT record of DNS-SD is opaque binary data (RFC 6763, section 6.5), an empty value differs from no value
# (section 6.4), and bonjour-service keeps the bytes with find({ txt: { binary: true } }), as its README says.
# What happens between python3-zeroconf and bonjour-service: the option has no effect. The bytes 00 FF come out as text with a
# replacement character, an empty value as a key with an equals sign ("empty="), and a key without a value as undefined. What
# bonjour-service publishes from a Buffer is changed too: the byte FF leaves as EF BF BD, and true as the text "true".
# A MAC address or a public key in a TXT record is then wrong, without an error. The field rawTxt of a found service is right.
# Seen with bonjour-service 1.4.4 (encode and decode in dist/lib/dns-txt.js; the package dns-txt, which the README links to, has
# binary), python3-zeroconf 0.47.3 of Debian, Node.js 20.20.2.
# Needs root, npm and Node.js 18 or later. Debian packages: iproute2, python3-zeroconf. Works in a network namespace of its own.
set -eu
if [ "${1:-}" != inside ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" bonjour-service@1.4.4
  unshare --net "$0" inside "$folder"
  exit
fi
cd "$2"
server=
trap 'kill $server 2>/dev/null || true' EXIT
ip link set lo multicast on up
ip route add 224.0.0.0/4 dev lo
cat >publish.py <<'END'
import socket, time
from zeroconf import ServiceInfo, Zeroconf

zeroconf = Zeroconf(interfaces=["127.0.0.1"])
properties = {b"bytes": b"\x00\xff", b"empty": b"", b"flag": None}
address = socket.inet_aton("127.0.0.1")
service = ServiceInfo("_camera._udp.local.", "python._camera._udp.local.", 9000, 0, 0, properties, "python.local.", addresses=[address])
zeroconf.register_service(service)
print("ready", flush=True)
time.sleep(50)
END
cat >find.cjs <<'END'
const { Bonjour } = require("bonjour-service");
const bonjour = new Bonjour({ interface: "127.0.0.1", bind: "0.0.0.0" });
const found = {};
bonjour.publish({ name: "node", type: "camera", protocol: "udp", port: 9001, txt: { bytes: Buffer.of(0, 255), flag: true } });
bonjour.find({ type: "camera", protocol: "udp", txt: { binary: true } }, ({ name, txt, rawTxt }) => {
  const text = Object.entries(txt).map(([key, value]) => `${key} -> ${JSON.stringify(value)}`);
  found[name] = { text: text.join(", "), bytes: rawTxt.map((item) => item.toString("hex")).join(" ") };
  if (!found.python || !found.node) return;
  console.log(`python sends the bytes ${found.python.bytes}, and the program gets ${found.python.text}`);
  console.log(`node sends the bytes ${found.node.bytes}`);
  process.exit();
});
setTimeout(() => process.exit(1), 40_000);
END
: >ready
/usr/bin/python3 publish.py >ready &
server=$!
for _ in $(seq 100); do grep -q ready ready && break; sleep 0.1; done
grep -q ready ready || { echo "the server of Python does not start within 10 s" >&2; exit 1; }
node find.cjs | tee result
# The texts are "bytes=", "empty=", "flag", and "bytes=", "flag=true".
grep -qF 'python sends the bytes 62797465733d00ff 656d7074793d 666c6167, and the program gets bytes -> "\u0000�", empty= -> undefined, flag -> undefined' result
grep -qx 'node sends the bytes 62797465733d00efbfbd 666c61673d74727565' result
