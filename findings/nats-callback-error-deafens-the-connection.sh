#!/bin/sh
# An error in the callback of one NATS subscription stops the whole connection from reading, for 6 minutes by default.
#
# Common belief: an error that a callback throws ends the program as an uncaught exception, or ends its own subscription, or is reported
# by status() or closed() of the connection.
# What happens with the client for Node.js: the loop that reads the connection ends, with one line on standard output ("reader
# closed"). No subscription of the connection gets a message any more, and every request fails with a timeout. The connection
# still publishes, isClosed() is false, and status() says nothing, until the client has missed enough answers to its own pings: then it
# calls the server stale and connects again (pingInterval 120 s, maxPingOut 2; one second here). All subscriptions work again after that,
# and their messages in between are lost.
# Seen with @nats-io/transport-node 3.4.0, nats-server 2.9.10 and Node.js 20.20. Source: dial and processMsg in
# lib/protocol.js of @nats-io/nats-core.
# Needs Node.js with npm, and the Debian package nats-server.
set -eu
PATH=$PATH:/usr/sbin
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefer-offline --prefix . @nats-io/transport-node@3.4.0
nats-server -a 127.0.0.1 -p -1 --ports_file_dir "$folder" 2>log &
server=$!
is_ready() { grep -q "Server is ready" log && [ -n "$(ls ./*.ports 2>/dev/null)" ]; }
for _ in $(seq 100); do is_ready && break; sleep 0.1; done
is_ready || { echo "nats-server does not start within 10 s" >&2; exit 1; }
cat >subscribe.mjs <<'JS'
import { readFileSync } from "node:fs";
import { connect } from "@nats-io/transport-node";

const servers = JSON.parse(readFileSync(process.argv[2], "utf8")).nats[0];
const uncaught = [];
process.on("uncaughtException", (error) => uncaught.push(error));
process.on("unhandledRejection", (error) => uncaught.push(error));

const publisher = await connect({ servers });
const subscriber = await connect({ servers, pingInterval: 1000, reconnectTimeWait: 100 });
const events = [];
let connectedAgain;
const again = new Promise((resolve) => (connectedAgain = resolve));
void (async () => {
  for await (const { type } of subscriber.status()) {
    if (type !== "ping") events.push(type);
    if (type === "reconnect") connectedAgain();
  }
})();
const alarms = [];
subscriber.subscribe("alarms", { callback: (error, message) => alarms.push(message.string()) });
subscriber.subscribe("readings", { callback: (error, message) => JSON.parse(message.string()) });
await subscriber.flush();

async function publish(subject, text) {
  publisher.publish(subject, text);
  await publisher.flush();
}
await publish("alarms", "before");
await publish("readings", "not JSON");
await publish("alarms", "after");
// The request goes to a subject that the server answers at once: "no responders".
const request = await subscriber.request("nobody", "", { timeout: 500 }).then(String, (error) => error.name);
console.log(`alarms: ${alarms}; a request: ${request}; isClosed: ${subscriber.isClosed()}`);
console.log(`status: [${events}]; uncaught errors: ${uncaught.length}`);
const deaf = `${alarms}` === "before" && request === "TimeoutError" && !subscriber.isClosed() && uncaught.length === 0;
await again;
await subscriber.flush();
await publish("alarms", "later");
await subscriber.flush();
console.log(`after the pings were not answered: status: [${events}]; alarms: ${alarms}`);
process.exit(deaf && events[0] === "staleConnection" && `${alarms}` === "before,later" ? 0 : 1);
JS
# If the client changes so that it does not connect again, the script ends here.
timeout 40 node subscribe.mjs "$(ls ./*.ports)"
