#!/bin/sh
# Common belief: a program that passes on Open Sound Control messages does not change their values.
# What happens if it uses the npm package osc: whole numbers arrive as such, and it sends each number as a float of 32 bits, which has 24
# bits for the digits. 16777217 becomes 16777216, a time in seconds is up to 64 s wrong, and 2147483647 becomes 2147483648, which no whole
# number of OSC can be. The type changes for small numbers too: a receiver that has a handler for a whole number is not called.
# JavaScript has one kind of number, and the packages choose differently: node-osc sends a whole number as such, so that a fader which sends
# 0.5 and then 1 changes its type, and refuses those above 2147483647. With { metadata: true } of osc the types stay.
# Seen with osc 2.4.5 (osc.inferTypeForArgument in src/osc.js), node-osc 11.7.1 (lib/Message.mjs), Node.js 20.20.2. Needs npm and Node.js 20
# or later. Loopback alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional --prefix . osc@2.4.5 node-osc@11.7.1
cat >relay.mjs <<'END'
import dgram from "node:dgram";
import { once } from "node:events";

import { Client } from "node-osc";
import osc from "osc";

const receiver = dgram.createSocket("udp4").bind(0, "127.0.0.1");
await once(receiver, "listening");

/** The type and the value of a message to /time with one argument, as bytes: the address, its type, and 4 bytes. */
async function next() {
  const [bytes] = await once(receiver, "message");
  const type = String.fromCharCode(bytes[9]);
  return `${type} ${type === "i" ? bytes.readInt32BE(12) : bytes.readFloatBE(12)}`;
}

const found = [];
for (const metadata of [false, true]) {
  const relay = new osc.UDPPort({
    ...{ localAddress: "127.0.0.1", localPort: 0, metadata },
    ...{ remoteAddress: "127.0.0.1", remotePort: receiver.address().port },
  });
  relay.on("message", (message) => relay.send(message));
  relay.open();
  await new Promise((done) => relay.on("ready", done));
  const client = new Client("127.0.0.1", relay.socket.address().port);
  for (const value of [1, 16_777_217, 1_764_360_000, 2_147_483_647]) {
    const arrives = next();
    await client.send("/time", value);
    const arrived = await arrives;
    console.log(`node-osc sends i ${value}, osc ${metadata ? "with metadata " : ""}passes on ${arrived}`);
    found.push(arrived);
  }
}
const rounded = "f 1,f 16777216,f 1764359936,f 2147483648";
const kept = "i 1,i 16777217,i 1764360000,i 2147483647";
process.exit(found.join() === `${rounded},${kept}` ? 0 : 1);
END
node relay.mjs
