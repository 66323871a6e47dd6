#!/bin/sh
# Common belief: a JetStream stream with `discard: new` refuses messages when it is full, so that no message is lost that it has
# acknowledged (docs.nats.io, JetStream, Streams, DiscardPolicy).
# What happens: with `max_bytes`, the server compares the limit with the size of headers and payload, then stores the message with
# its subject and 22 to 26 bytes more, and then deletes the oldest messages that are above the limit. If the free space is between
# these two sizes, every new message is acknowledged and deletes the oldest one. With equal messages of 60 bytes this is so for
# 3 of the 10 limits below. A limit by messages (`max_msgs`) works as said.
# Seen with nats-server 2.9.10, over file and memory. Source: StoreRawMsg, storeRawMsg and enforceBytesLimit in
# server/filestore.go and server/memstore.go; nats-server issues 4771 and 4775, changed by pull request 4772 of November 2023.
# Needs Node.js with npm, and the Debian package nats-server.
set -eu
PATH=$PATH:/usr/sbin
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefer-offline --prefix . @nats-io/transport-node@3.4.0
nats-server -a 127.0.0.1 -p -1 -js -sd "$folder/store" --ports_file_dir "$folder" 2>log &
server=$!
is_ready() { grep -q "Server is ready" log && [ -n "$(ls ./*.ports 2>/dev/null)" ]; }
for _ in $(seq 100); do is_ready && break; sleep 0.1; done
is_ready || { echo "nats-server does not start within 10 s" >&2; exit 1; }
cat >publish.mjs <<'JS'
import { readFileSync } from "node:fs";
import { connect } from "@nats-io/transport-node";

const nats = await connect({ servers: JSON.parse(readFileSync(process.argv[2], "utf8")).nats[0] });
const ask = async (subject, request = {}) =>
  (await nats.request(`$JS.API.${subject}`, JSON.stringify(request))).json();
async function fill(name, limit) {
  await ask(`STREAM.CREATE.${name}`, { name, subjects: [name], discard: "new", storage: "file", ...limit });
  let acknowledged = 0;
  for (let count = 0; count < 100; count++) {
    const answer = (await nats.request(name, "x".repeat(60))).json();
    if (!answer.error) acknowledged++;
  }
  const { state } = await ask(`STREAM.INFO.${name}`);
  console.log(`${JSON.stringify(limit)}: ${acknowledged} of 100 acknowledged, ${state.messages} kept`);
  return acknowledged - state.messages;
}
let lost = 0;
for (let limit = 1000; limit < 1100; limit += 10) lost += await fill(`b${limit}`, { max_bytes: limit });
const byMessages = await fill("m", { max_msgs: 10 });
await nats.close();
process.exitCode = lost > 0 && byMessages === 0 ? 0 : 1;
JS
node publish.mjs "$(ls ./*.ports)"
