#!/bin/sh
# Common belief: if the callback of connect() of node:dgram gets no error, the socket is connected.
# What happens: under Bun, connect() to `::1%lo`, an IPv6 address with a zone, calls back without an error, but the socket has no
# peer: remoteAddress() throws ERR_SOCKET_DGRAM_NOT_CONNECTED. Without the zone it is connected. Node.js connects to both.
# Seen with Bun 1.4.5. npm installs it in a temporary folder. Needs Node.js with npm.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefer-offline --prefix . @oven/bun-linux-x64@1.4.5
cat >zone.mjs <<'JS'
import { createSocket } from "node:dgram";

const s = createSocket("udp6");
s.connect(9, process.argv[2], (error) => {
  try {
    console.log(error?.code ?? "no error", s.remoteAddress().address);
  } catch ({ code }) {
    console.log(error?.code ?? "no error", code);
  }
  s.close();
});
JS
node=$(node zone.mjs ::1%lo)
plain=$(node_modules/@oven/bun-linux-x64/bin/bun zone.mjs ::1)
zone=$(node_modules/@oven/bun-linux-x64/bin/bun zone.mjs ::1%lo)
echo "Node.js, ::1%lo: $node"
echo "Bun, ::1: $plain"
echo "Bun, ::1%lo: $zone"
[ "$node" = "no error ::1" ]
[ "$plain" = "no error ::1" ]
[ "$zone" = "no error ERR_SOCKET_DGRAM_NOT_CONNECTED" ]
