#!/bin/sh
# Common belief: an Art-Net sender may send only the channels up to the last one that changed, and the others keep their values.
# What happens with the package artnet and two receivers: it sends 100 channels, then a change of channel 1 as 2 channels. The olad of
# OLA and the package dmxnet now have a universe of 2 channels. Channels 3 to 100 are gone, not kept, until the sender repeats all 512
# after 4 seconds. With each change it happens again, so lights go out, or keep their values, depending on what a receiver does with it.
# ArtDmx says how many channels the packet has (Art-Net 4, ArtDmx, Length), and nothing about the rest. sendAll: true sends all 512.
# Seen with artnet 1.4.0 (artdmxPackage and send in lib/artnet.js), dmxnet 0.9.0 (dataParser in lib.js), OLA 0.10.9 of Debian
# (UpdatePortFromSource in plugins/artnet/ArtNetNode.cpp puts the channels of the packet in the place of the universe's).
# Needs root, npm, Node.js 18 or later, and Debian's ola and iproute2. Works in two network namespaces of its own.
set -eu
if [ "${1:-}" != inside ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  chmod 755 "$folder"
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" artnet@1.4.0 dmxnet@0.9.0
  unshare --net "$0" inside "$folder"
  exit
fi
cd "$2"
other=
server=
trap 'kill $other $server 2>/dev/null || true' EXIT
ip link set lo up
unshare --net sleep 50 &
other=$!
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add here type veth peer name there netns $other
ip addr add 10.9.0.1/24 dev here
ip link set here up
nsenter -t $other -n ip addr add 10.9.0.2/24 dev there
nsenter -t $other -n ip link set there up
cat >send.cjs <<'END'
const artnet = require("artnet")({ host: process.argv[2] });
artnet.set(1, 1, Array(100).fill(255));
setTimeout(() => artnet.set(1, 1, 10), 500);
setTimeout(() => process.exit(), 5500);
END
cat >receive.cjs <<'END'
const { dmxnet } = require("dmxnet");
const net = new dmxnet({ hosts: ["127.0.0.1"], log: { silent: true } });
net.newReceiver({ universe: 1 }).on("data", (data) => console.log(data.length));
setTimeout(() => process.exit(), 7500);
END

echo "channels that dmxnet has after each packet:"
node --no-deprecation receive.cjs >dmxnet &
receiver=$!
until grep -q ':1936 ' /proc/net/udp; do sleep 0.1; done # port 6454
node --no-deprecation send.cjs 127.0.0.1
wait $receiver
xargs <dmxnet

mkdir conf
chown nobody conf
olad --version
setpriv --reuid nobody --clear-groups olad -c conf --no-http --no-register-with-dns-sd >log 2>&1 &
server=$!
until ola_dev_info >devices 2>/dev/null && grep -q ArtNet devices; do sleep 0.2; done
device=$(sed -n 's/^Device \([0-9]*\): ArtNet.*/\1/p' devices)
ola_patch -d "$device" -p 0 -i -u 1 # universe 1 of OLA is universe 1 of Art-Net for this device
timeout --signal INT 8 ola_recorder -r frames -u 1 >/dev/null &
receiver=$!
sleep 1
nsenter -t $other -n node --no-deprecation send.cjs 10.9.0.1
wait $receiver || true
echo "channels that OLA has, and for how many milliseconds:"
awk 'NR > 1 { if ($1 == 1 && NF == 2) printf "%d", gsub(",", ",", $2) + 1; else print " (" $1 ")" } END { print "" }' frames | tee ola
[ "$(xargs <dmxnet)" = '100 2 512' ]
[ "$(sed 's/ .*//' ola | xargs)" = '100 2 512' ]
