#!/bin/sh
# Common belief: a host that a UDP client is given as a name works if datagrams to it arrive, as with TCP.
# What happens with Modbus over UDP of the package modbus-serial: the request goes to the device that the name stands for, and the device
# answers, but the client compares the source address of the answer with the name as a text, and drops it without an event. Each call ends
# with "Timed out". So a value is written to the device by a call that fails, and a program that tries again writes it again. With
# connectTCP of the same package the name works.
# An IPv6 address that is not written as the kernel does would have the same end, but the socket is IPv4 alone.
# Seen with modbus-serial 8.0.25 (the handler of "message" in ports/udpport.js), Node.js 20.20.2. Needs npm and Node.js 18 or later.
# Loopback alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional --prefix . modbus-serial@8.0.25
cat >client.cjs <<'END'
const dgram = require("node:dgram");
const net = require("node:net");
const { once } = require("node:events");
const Modbus = require("modbus-serial");

const registers = [];
/** The answer to "write single register" is the request. */
const written = (request) => {
  registers.push(request.readUInt16BE(10));
  return request;
};

(async () => {
  const device = dgram.createSocket("udp4").bind(0, "127.0.0.1");
  device.on("message", (request, { port, address }) => device.send(written(request), port, address));
  const server = net.createServer((s) => s.on("data", (request) => s.write(written(request)))).listen(0, "127.0.0.1");
  await Promise.all([once(device, "listening"), once(server, "listening")]);
  const found = [];
  for (const [connect, port, host] of [
    ["connectTCP", server.address().port, "localhost"],
    ["connectUDP", device.address().port, "127.0.0.1"],
    ["connectUDP", device.address().port, "localhost"],
  ]) {
    const client = new Modbus();
    client.setTimeout(1000);
    await client[connect](host, { port, family: 4 });
    client.setID(1);
    await new Promise((done) => setTimeout(done, 200));
    registers.length = 0;
    const result = await client.writeRegister(0, 42).then(() => "done", (error) => error.message);
    console.log(`${connect} to ${host}: the device got the value ${registers}, the call ends with "${result}"`);
    found.push(`${registers} ${result}`);
  }
  process.exit(found.join() === "42 done,42 done,42 Timed out" ? 0 : 1);
})();
END
node client.cjs
