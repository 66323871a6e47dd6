#!/bin/sh
# Common belief: a BACnet client returns what the device that was asked has answered, or an error.
# What happens with the npm package node-bacnet: a request has a number from 0 to 255, the invoke id, and the package looks for the request
# of an answer by this number alone, not by the device. A device on a slow bus answers after 256 more requests have left, which takes a
# poller of a building a second or two. By then its number is that of a request to another device, and the value of the slow device is
# returned as that of the other one. The request to the slow device ends with a timeout.
# Seen with node-bacnet 0.2.4 (_invokeCallback in lib/client.js), Node.js 20.20.2. Needs npm and Node.js 20 or later. Loopback alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . node-bacnet@0.2.4
cat >poller.cjs <<'END'
const dgram = require("node:dgram");
const { once } = require("node:events");
const apduTimeout = 2000;

/** A device with one value. `answered` decides when an answer leaves. */
async function device(host, value, answered) {
  const s = dgram.createSocket("udp4").bind(47808, host);
  s.on("message", (request, { port, address }) => {
    const id = request[8];
    // BACnet/IP, no routing, the answer to ReadProperty: analog input 1, present value, a REAL.
    const bytes = Buffer.from("810a0000" + "0100" + "30000c" + "0c0000000119553e44000000003f", "hex");
    bytes[3] = bytes.length;
    bytes[7] = id;
    bytes.writeFloatBE(value, bytes.length - 5);
    answered(id, () => s.send(bytes, port, address));
  });
  await once(s, "listening");
}

function reader() {
  const client = new (require("node-bacnet"))({ apduTimeout, port: 47809, interface: "127.0.0.1" });
  const point = [{ type: 0, instance: 1 }, 85];
  return (address) =>
    new Promise((resolve, reject) =>
      client.readProperty({ address }, ...point, (error, found) => (error ? reject(error) : resolve(found.values[0].value))),
    );
}

(async () => {
  let late;
  // The slow device answers as the other one gets a request with the same number: both answers are on their way at once.
  await device("127.0.0.2", 111, (id, send) => (late = { id, send }));
  await device("127.0.0.3", 22, (id, send) => {
    if (late?.id === id) late.send();
    setTimeout(send, 5);
  });
  const read = reader();
  await new Promise((done) => setTimeout(done, 200));
  let slow = "nothing";
  read("127.0.0.2").then((value) => (slow = value), (error) => (slow = error.message));
  const values = [];
  while (values.length < 300) values.push(...(await Promise.all(Array.from({ length: 10 }, () => read("127.0.0.3")))));
  await new Promise((done) => setTimeout(done, 3 * apduTimeout));
  const wrong = values.filter((value) => value !== 22);
  console.log(`300 requests to the device with the value 22 return ${wrong.length} time(s) ${wrong}`);
  console.log(`  the request to the device with the value 111 returns ${slow}, ${(3 * apduTimeout) / 1000} s later`);
  process.exit(wrong.length === 1 && wrong[0] === 111 && slow !== 111 ? 0 : 1);
})();
END
node poller.cjs
