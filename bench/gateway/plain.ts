/**
 * A plain program that puts datagrams into a stream: `node:dgram`, and `publish` of the JetStream client, with an id and with at most
 * 512 in flight. Others wait, as many as the gateway lets wait by default; above that they are lost. It prints its port:
 *
 *     plain.js <server> <subject>
 */
import type { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";

import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const maxInFlight = 512;
const maxWaiting = 65_536;

const [server = "", subject = ""] = process.argv.slice(2);
const js = jetstream(await connect({ servers: server }));
const run = randomBytes(9).toString("base64url");
let number = 0;
let inFlight = 0;
let waiting: Buffer[] = [];
let next = 0;

const s = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
s.on("message", (payload) => {
  if (waiting.length - next >= maxWaiting) return;
  waiting.push(payload);
  if (inFlight < maxInFlight) void publishWaiting();
});
s.bind(0, "127.0.0.1", () => process.stdout.write(`${s.address().port}\n`));

async function publishWaiting(): Promise<void> {
  inFlight++;
  for (let payload = take(); payload; payload = take())
    await js.publish(subject, payload, { msgID: `${run}:${number++}` });
  inFlight--;
}

function take(): Buffer | undefined {
  const payload = waiting[next++];
  if (payload) return payload;
  waiting = [];
  next = 0;
  return undefined;
}
