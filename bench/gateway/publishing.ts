/**
 * Publishes messages of 200 bytes for some seconds in one of several ways, and prints the counts:
 *
 *     publishing.js <way> <server> <seconds>
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";

import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

import { Address, type Endpoint } from "../../src/core/address/address.js";
import type { Metadata } from "../../src/core/driver/metadata.js";
import { Datagram } from "../../src/core/receive/datagram.js";
import { BundleEncoder } from "../../src/gateway/bundle-encoder.js";
import { MessageEncoder } from "../../src/gateway/message-encoder.js";
import { NatsBroker } from "../../src/gateway/nats-broker.js";
import { connectNats } from "../../src/gateway/nats-connection.js";
import { Outbox } from "../../src/gateway/outbox.js";
import { realClock } from "../../src/kernel/clock.js";
import { streamName, subjectStart } from "./server.js";
import { type Published, type Way, warmUpSeconds } from "./ways.js";

const payloadBytes = 200;
const peerCount = 64;
/** As many as the gateway reads together. */
const batchMessages = 256;
const inFlight = 512;

/** The gateway without its socket: ids, headers, the account, a window, parsed acknowledgements and timeouts. */
async function throughOutbox(server: string, seconds: number, bundle: boolean): Promise<Published> {
  const link = await connectNats("gateway", [server], {});
  const broker = new NatsBroker(link, streamName, subjectStart);
  const run = randomBytes(9).toString("base64url");
  const bundles = bundle ? new BundleEncoder(subjectStart, run, 1) : undefined;
  const encoder = new MessageEncoder(subjectStart, run, undefined);
  const limits = {
    shed: "newest",
    maxUnacknowledged: 8192,
    maxWaiting: 65_536,
    maxBytes: 128 << 20,
    ackTimeoutMs: 5000,
    giveUpMs: 10_000,
    duplicateWindowMs: 120_000,
  } as const;
  const outbox = new Outbox(realClock, limits, bundles);
  broker.listen({
    stored: (number, isDuplicate) => outbox.stored(number, isDuplicate),
    refused: (number, reason) => outbox.refused(number, reason),
    noStream: (number) => outbox.noStream(number),
    forbidden: (subject) => outbox.forbidden(subject),
    connected: (isConnected) => outbox.connected(isConnected),
    failed: (error) => {
      throw error;
    },
  });
  outbox.start(broker);
  const datagrams = Array.from({ length: batchMessages }, (_, index) => datagramFrom(index % peerCount));
  const tick = setInterval(() => outbox.tick(), 1000);
  const publish = async (until: number): Promise<void> => {
    while (performance.now() < until) {
      if (outbox.stats().waiting < batchMessages) {
        for (const datagram of datagrams)
          if (bundle) outbox.addToBundle(datagram);
          else outbox.add(encoder.encode(datagram, outbox.received + 1));
        outbox.flush();
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await outbox.empty();
  };
  const result = await measured(seconds, publish, () => outbox.stats().stored);
  clearInterval(tick);
  const { shed, refused, resent } = outbox.stats();
  if (shed + refused + resent > 0) throw new Error(JSON.stringify(outbox.stats()));
  await broker.close();
  return result;
}

/** `publish` of the JetStream client, with an id and no headers. */
async function throughJetStream(server: string, seconds: number): Promise<Published> {
  const nats = await connect({ servers: server.replace("nats://", "") });
  const js = jetstream(nats);
  const payload = Buffer.alloc(payloadBytes, 0x78);
  const run = randomBytes(9).toString("base64url");
  let number = 0;
  let stored = 0;
  const publish = async (until: number): Promise<void> => {
    const lanes = Array.from({ length: inFlight }, async () => {
      while (performance.now() < until) {
        const subject = `${subjectStart}.10-0-0-${number % peerCount}_9000`;
        await js.publish(subject, payload, { msgID: `${run}:${number++}` });
        stored++;
      }
    });
    await Promise.all(lanes);
  };
  const result = await measured(seconds, publish, () => stored);
  await nats.close();
  return result;
}

/** `publish` of core NATS: no headers, no acknowledgement. The server answers a ping after each 4,096 messages. */
async function throughCore(server: string, seconds: number): Promise<Published> {
  const nats = await connect({ servers: server.replace("nats://", "") });
  const payload = Buffer.alloc(payloadBytes, 0x78);
  const subjects = Array.from({ length: peerCount }, (_, peer) => `${subjectStart}.10-0-0-${peer}_9000`);
  let published = 0;
  const publish = async (until: number): Promise<void> => {
    let before: Promise<void> | undefined;
    while (performance.now() < until) {
      for (let each = 0; each < 4096; each++) nats.publish(subjects[each % peerCount] ?? "", payload);
      published += 4096;
      const flushed = nats.flush();
      await before;
      before = flushed;
    }
    await before;
  };
  const result = await measured(seconds, publish, () => published);
  await nats.close();
  return result;
}

const runs: Readonly<Record<Way, (server: string, seconds: number) => Promise<Published>>> = {
  gateway: (server, seconds) => throughOutbox(server, seconds, false),
  "gateway with bundles": (server, seconds) => throughOutbox(server, seconds, true),
  "js.publish": throughJetStream,
  "core publish": throughCore,
};

async function measured(
  seconds: number,
  publish: (until: number) => Promise<void>,
  count: () => number,
): Promise<Published> {
  await publish(performance.now() + warmUpSeconds * 1000);
  const before = count();
  const usage = process.cpuUsage();
  const from = performance.now();
  await publish(from + seconds * 1000);
  const { user, system } = process.cpuUsage(usage);
  return {
    messages: count() - before,
    seconds: (performance.now() - from) / 1000,
    cpuUs: user + system,
  };
}

function datagramFrom(peer: number): Datagram {
  const destination = new Address("10.0.1.1", 9000) as Endpoint;
  const metadata: Metadata = {
    destination,
    interface: "eth0",
    ttl: 64,
    tos: 0,
    timestamp: realClock.wall(),
    lostBefore: 0,
    answer: undefined,
    get withoutLoss() {
      return metadata;
    },
  };
  const replier = { answer: () => Promise.reject(new Error("these datagrams are not answered")) };
  const source = new Address(`10.0.0.${peer}`, 9000) as Endpoint;
  return new Datagram(Buffer.alloc(payloadBytes, 0x78), source, payloadBytes, replier, metadata);
}

const [way, server = "", seconds] = process.argv.slice(2);
const result = await runs[way as Way](server, Number(seconds));
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit());
