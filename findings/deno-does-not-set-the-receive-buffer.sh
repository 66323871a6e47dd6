#!/bin/sh
# Common belief: setRecvBufferSize() of node:dgram sets the size of a socket's receive buffer (SO_RCVBUF in socket(7)), and
# getRecvBufferSize() reads the size that the socket has.
# What happens: under Deno, getRecvBufferSize() returns twice the size, as Linux does after SO_RCVBUF. But the socket in the
# kernel keeps its default size. Under Node.js the kernel has the size.
# Seen with Deno 2.9.6. npm installs it in a temporary folder. Needs Node.js with npm, and the Debian package iproute2.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefer-offline --prefix . @deno/linux-x64-glibc@2.9.6
deno="$folder/node_modules/@deno/linux-x64-glibc/deno"
cat >buffer.mjs <<'JS'
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";

const s = createSocket("udp4");
s.bind(0, "127.0.0.1", () => {
  s.setRecvBufferSize(65536);
  const sockets = execFileSync("ss", ["-uamnH", `sport = :${s.address().port}`], { encoding: "utf8" });
  console.log(`read back ${s.getRecvBufferSize()}, kernel ${/,rb(\d+),/.exec(sockets)[1]}`);
  s.close();
});
JS
default=$(cat /proc/sys/net/core/rmem_default)
node=$(node buffer.mjs)
deno=$("$deno" run --allow-all buffer.mjs)
echo "Node.js: $node"
echo "Deno: $deno"
[ "$node" = "read back 131072, kernel 131072" ]
[ "$deno" = "read back 131072, kernel $default" ]
