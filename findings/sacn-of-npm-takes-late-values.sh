#!/bin/sh
# Common belief: each sACN (E1.31) datagram has a number, so a receiver ignores one that comes late, and a light ends at the newest value.
# What happens with the package sacn: its receiver takes a late datagram, so that the old value stays. It refuses new datagrams
# instead: after the loss of the one numbered 255, the next one, numbered 0, is "significantly out of order", and so is the first one
# after a gap of more than 20. As its sender repeats nothing unless minRefreshRate is set, a light keeps the wrong value.
# E1.31 says the opposite: a number is late, and is ignored, if the signed difference to the last one is 0 to -19 (ANSI E1.31-2018,
# section 6.7.2). Of all other numbers a receiver takes the value.
# Seen with sacn 4.6.2 (the "message" handler in dist/receiver.js compares the amount of the difference, of numbers that wrap at 256).
# Sender and receiver are that package; a relay swaps or drops one datagram. Needs npm and Node.js 18 or later. Loopback alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . sacn@4.6.2
cat >case.cjs <<'END'
const { createSocket } = require("node:dgram");
const { once } = require("node:events");
const { setTimeout } = require("node:timers/promises");
const { Sender, Receiver } = require("sacn");

/** Sends `count` datagrams whose only value is their number (0 to 255), and returns the last value of the receiver. */
async function run(name, count, relayed) {
  const receiver = new Receiver({ universes: [], port: 15568 });
  receiver.universes = [1]; // without joining the group: the datagrams are unicast
  const refused = [];
  let last;
  receiver.on("packet", (packet) => (last = packet.payloadAsBuffer[0]));
  receiver.on("PacketOutOfOrder", ({ message }) => refused.push(message.replace(/^.*\((.*)\)$/, "$1")));
  await once(receiver.socket, "listening");
  const relay = createSocket("udp4");
  relay.bind(15569, "127.0.0.1");
  await once(relay, "listening");
  const sender = new Sender({ universe: 1, port: 15569, useUnicastDestination: "127.0.0.1" });
  const datagrams = [];
  relay.on("message", (data) => datagrams.push(data));
  for (let number = 0; number < count; number++) {
    await sender.send({ payload: { 1: number % 256 }, useRawDmxValues: true });
    while (datagrams.length <= number) await setTimeout(1);
  }
  for (const number of relayed([...datagrams.keys()])) {
    relay.send(datagrams[number], 15568, "127.0.0.1");
    await setTimeout(2); // the receive buffer stays empty
  }
  await setTimeout(300);
  console.log(`${name}: the newest value is ${(count - 1) % 256}, the receiver ends with ${last}, refused: ${refused.join() || "none"}`);
  for (const socket of [sender, receiver, relay]) socket.close();
}

(async () => {
  await run("in order", 4, (all) => all);
  await run("the last two swapped", 4, () => [0, 1, 3, 2]);
  await run("number 255 lost", 257, (all) => all.filter((number) => number !== 255));
  await run("21 lost", 24, () => [0, 1, 23]);
})();
END
node case.cjs | tee result
cat >expected <<'END'
in order: the newest value is 3, the receiver ends with 3, refused: none
the last two swapped: the newest value is 3, the receiver ends with 2, refused: none
number 255 lost: the newest value is 0, the receiver ends with 254, refused: 254 -> 0
21 lost: the newest value is 23, the receiver ends with 1, refused: 1 -> 23
END
cmp result expected
