#!/bin/sh
# Common belief: connect() of node:dgram connects the socket in the kernel. Then the socket receives only from its peer, and
# learns from ICMP that nobody listens there (udp(7)).
# What happens: under Deno, connect() makes no connection in the kernel. A connected socket receives datagrams from other
# senders, and a send to a closed port is followed by no error. Node.js receives from the peer only, and emits ECONNREFUSED.
# Seen with Deno 2.9.6. npm installs it in a temporary folder. Needs Node.js with npm.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefer-offline --prefix . @deno/linux-x64-glibc@2.9.6
deno="$folder/node_modules/@deno/linux-x64-glibc/deno"
cat >connect.mjs <<'JS'
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";

const host = "127.0.0.1";
const seen = [];

/** A bound socket. */
async function open() {
  const s = createSocket("udp4");
  s.bind(0, host);
  await once(s, "listening");
  s.on("message", (data) => seen.push(data.toString())).on("error", ({ code }) => seen.push(code));
  return s;
}

const [s, peer, stranger] = [await open(), await open(), await open()];
const { port } = s.address();
s.connect(peer.address().port, host);
await once(s, "connect");
stranger.send("stranger", port, host);
await setTimeout(500);
peer.send("peer", port, host);
await setTimeout(500);
peer.close();
await setTimeout(500);
s.send("to a closed port");
await setTimeout(500);
console.log(seen.join(" "));
for (const each of [s, stranger]) each.close();
JS
node=$(node connect.mjs)
deno=$("$deno" run --allow-all connect.mjs)
echo "Node.js: $node"
echo "Deno: $deno"
[ "$node" = "peer ECONNREFUSED" ]
[ "$deno" = "stranger peer" ]
