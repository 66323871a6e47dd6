/** How the consumer of a stream goes on, with a clock that is faster than that of the machine. */

import { connect as connectTcp } from "node:net";

import { type TestContext, afterAll, beforeAll, describe, expect, test } from "vitest";

import { connect, createInbox } from "@nats-io/transport-node";

import type { Clock } from "../../src/core/driver/driver.js";
import { OrderedConsumer } from "../../src/gateway/ordered-consumer.js";
import { realClock } from "../../src/kernel/clock.js";
import { NatsServer, noServer } from "./nats.js";

const factor = 50;
const fastClock: Clock = {
  ...realClock,
  now: () => factor * realClock.now(),
  after: (ms, run) => realClock.after(ms / factor, run),
};

describe.skipIf(noServer !== undefined)("the consumer of a stream", () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.close());

  async function consumerOf(
    t: TestContext,
    stream: string,
    clock = fastClock,
    newInbox = () => createInbox(),
  ): Promise<OrderedConsumer> {
    const nats = await connect({ servers: server.url.slice("nats://".length) });
    t.onTestFinished(() => nats.close());
    const terms = {
      stream,
      from: "beginning",
      untilNow: false,
      filter: "datagram.9001.*",
      onWarning: () => undefined,
      bucket: undefined,
      prefetch: 10,
    } as const;
    const consumer = new OrderedConsumer(nats, newInbox, terms, clock);
    t.onTestFinished(() => consumer.stop());
    return consumer;
  }

  test("fails if the server refuses the next consumer for long", async (t) => {
    const config = { name: "refuses", subjects: ["datagram.9001.*"] };
    await server.ask("STREAM.CREATE.refuses", config);
    const consumer = await consumerOf(t, "refuses");
    await consumer.open();
    const waiting = consumer.wait();
    const refused = expect(waiting).rejects.toMatchObject({ code: "EINVAL" });
    await server.ask("STREAM.UPDATE.refuses", { ...config, subjects: ["other.*"] });
    consumer.reconnected();
    await refused;
  });

  test("reads on after a message in its inbox that the client cannot read", async (t) => {
    await server.ask("STREAM.CREATE.garbled", { name: "garbled", subjects: ["datagram.9001.*"] });
    const inboxes: string[] = [];
    const consumer = await consumerOf(t, "garbled", realClock, () => {
      inboxes.push(createInbox());
      return inboxes.at(-1)!;
    });
    await consumer.open();
    const raw = connectTcp(server.port, "127.0.0.1");
    t.onTestFinished(() => void raw.destroy());
    const headers = Buffer.from("NATS/1.0\r\na b\xff: y\r\n\r\n", "latin1");
    raw.write('CONNECT {"verbose":false,"headers":true}\r\n');
    raw.write(`HPUB ${inboxes[0]} ${headers.length} ${headers.length}\r\n`);
    raw.write(Buffer.concat([headers, Buffer.from("\r\nPUB datagram.9001.7 2\r\nhi\r\n")]));
    expect(await consumer.wait()).toBe(true);
    expect(String(consumer.take()?.message.data)).toBe("hi");
    // Another stream of this file takes the same subjects.
    await server.ask("STREAM.DELETE.garbled");
  });

  test("is one, if the connection was lost while it opens", async (t) => {
    await server.ask("STREAM.CREATE.opens", { name: "opens", subjects: ["datagram.9001.*"] });
    const consumer = await consumerOf(t, "opens", realClock);
    const opening = consumer.open();
    consumer.reconnected();
    await opening;
    expect(consumer.resumed).toBe(0);
    expect((await server.ask("CONSUMER.LIST.opens")).total).toBe(1);
  });
});
