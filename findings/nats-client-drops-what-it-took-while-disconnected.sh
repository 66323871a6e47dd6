#!/bin/sh
# The NATS client for Node.js takes messages while it is disconnected, counts them as sent, and throws them away.
#
# Common belief: during a short reconnect, messages are "cached in the client", and are sent when it is connected again, or publish()
# reports an error when the buffer is full (docs.nats.io, Developing with NATS, Buffering Messages During Reconnect Attempts; for
# JavaScript, the page said only that the size of the buffer cannot be set).
# What happens: each attempt to connect begins with an empty buffer. So the messages that were published since the last attempt
# are lost, unless that attempt is the one that succeeds. publish() throws nothing, no event is emitted, and stats() counts them in
# outMsgs and outBytes. publish() of JetStream reports it: it waits for an acknowledgement, and rejects.
# Seen with @nats-io/transport-node 3.4.0, nats-server 2.9.10 and Node.js 20.20. Source: prepare, which calls resetOutbound, and
# publish in lib/protocol.js of @nats-io/nats-core.
# Needs Node.js with npm, and the Debian package nats-server.
set -eu
PATH=$PATH:/usr/sbin
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefer-offline --prefix . @nats-io/transport-node@3.4.0
cat >publish.mjs <<'JS'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { connect } from "@nats-io/transport-node";

// A port that nobody has: the server must come back on the same one.
const probe = createServer().listen(0, "127.0.0.1");
await once(probe, "listening");
const { port } = probe.address();
probe.close();
await once(probe, "close");

let server;
process.on("exit", () => server.kill());
async function start() {
  server = spawn("nats-server", ["-a", "127.0.0.1", "-p", `${port}`], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  for await (const text of server.stderr.iterator({ destroyOnReturn: false }))
    if ((log += text).includes("Server is ready")) break;
  server.stderr.resume();
}

await start();
const options = { servers: `127.0.0.1:${port}`, reconnectTimeWait: 200, reconnectJitter: 0, maxReconnectAttempts: -1 };
const subscriber = await connect(options);
const publisher = await connect(options);
const events = [];
const waits = new Map();
const event = (type) => new Promise((resolve) => waits.set(type, resolve));
void (async () => {
  for await (const { type } of publisher.status()) {
    events.push(type);
    waits.get(type)?.();
  }
})();
const arrived = [];
subscriber.subscribe("readings", { callback: (error, message) => arrived.push(message.string()) });
await subscriber.flush();
publisher.publish("readings", "before");
await publisher.flush();

const exited = once(server, "exit");
const down = event("disconnect");
server.kill();
await down;
await exited;
let errors = 0;
for (let count = 0; count < 5; count++) {
  try {
    publisher.publish("readings", `while down ${count}`);
  } catch {
    errors++;
  }
}
// Two more attempts fail before the server is back.
for (let attempt = 0; attempt < 2; attempt++) await event("reconnecting");
const up = event("reconnect");
await start();
await up;
await subscriber.flush();
publisher.publish("readings", "after");
await publisher.flush();
await subscriber.flush();
console.log(`published 7 messages, with ${errors} errors; the client counts ${publisher.stats().outMsgs}`);
console.log(`arrived: ${arrived.join(", ")}; events: ${[...new Set(events)]}`);
process.exit(errors === 0 && publisher.stats().outMsgs === 7 && arrived.join() === "before,after" ? 0 : 1);
JS
timeout 40 node publish.mjs
