/** What answers wait for, if the gateway closes meanwhile: with a clock that stands still, nothing ends by its time. */

import { connect } from "@nats-io/transport-node";
import { type TestContext, afterAll, beforeAll, describe, expect, test } from "vitest";

import type { Clock } from "../../src/core/driver/driver.js";
import { AnswerSender } from "../../src/gateway/answer-sender.js";
import { Owners } from "../../src/gateway/owners.js";
import { realClock } from "../../src/kernel/clock.js";
import { NatsServer, noServer } from "./nats.js";
import { bound } from "./sending.js";

const still: Clock = { ...realClock, now: () => 0, after: () => () => undefined };
const base = "datagram.9000";

describe.skipIf(noServer !== undefined)("the end of a gateway", () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.close());

  async function owners(t: TestContext): Promise<Owners> {
    const nats = await connect({ servers: server.url.slice("nats://".length) });
    t.onTestFinished(() => nats.close());
    return new Owners(nats, still, base, "this-gateway", () => undefined);
  }

  test("ends the wait for the first greetings of other gateways", async (t) => {
    const all = await owners(t);
    const asked = all.ask("127-0-0-1_9");
    all.close();
    expect(await asked).toEqual({ owners: [], silent: 0 });
  });

  test("lets no answer be ordered from another gateway afterwards", async (t) => {
    const all = await owners(t);
    const before = all.order("other-others", "127-0-0-1_9", Buffer.from("x"), 11_000);
    all.close();
    expect(await before).toBeUndefined();
    expect(await all.order("other-others", "127-0-0-1_9", Buffer.from("x"), 11_000)).toBe("gone");
  });

  test("ends the wait for ICMP errors of an answer that is sent meanwhile", async (t) => {
    const [from, to] = [await bound(t), await bound(t)];
    const peer = { address: to.getsockname(), route: undefined, seenMs: 0 };
    const sender = new AnswerSender(from, 10_000);
    const sending = sender.send("127-0-0-1_9", peer, Buffer.from("x"));
    sender.close();
    expect(await sending).toMatchObject({ sent: true, icmp: null });
  });
});
