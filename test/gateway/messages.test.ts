/** Whole messages through the gateway: the sender learns of a message only after the stream has it. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { replay } from "datagram/capture";
import { consume, gateway } from "datagram/gateway";
import { messages } from "datagram/message";
import { NatsServer, noServer } from "./nats.js";
import { bound, started, until } from "./sending.js";

describe.skipIf(noServer !== undefined)(`messages${noServer === undefined ? "" : `: ${noServer}`}`, () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.close());

  test("are stored whole, and their sender waits until the stream has them", async (t) => {
    const { running, at } = await started(t, {
      nats: server.url,
      stream: "whole",
      create: true,
      messages: true,
    });
    const from = await bound(t);
    const sender = messages(from, { giveUpMs: 25_000 });
    const large = Buffer.alloc(300_000, "large");
    await sender.send(large, at, { channel: 7 });
    expect(running.stats()).toMatchObject({ received: 1, stored: 1, inFlight: 0 });
    let isSent = false;
    await server.signal("SIGSTOP");
    t.onTestFinished(() => server.signal("SIGCONT"));
    const sending = sender.send("small", at).finally(() => (isSent = true));
    await until(running, ({ inFlight }) => inFlight === 1);
    expect(isSent).toBe(false);
    await server.signal("SIGCONT");
    await sending;
    expect(running.stats()).toMatchObject({ received: 2, stored: 2, inFlight: 0 });
    const [first, second] = await server.messages("whole");
    expect(first && Buffer.compare(first.data, large)).toBe(0);
    expect(String(second?.data)).toBe("small");
    expect(Object.fromEntries(first?.headers ?? [])).toMatchObject({
      "Datagram-Source": `127.0.0.1:${from.getsockname().port}`,
      "Datagram-Channel": "7",
      "Datagram-Size": "300000",
      "Datagram-Verified": "true",
    });
    expect(first?.subject).toBe(`datagram.${at.port}.127-0-0-1_${from.getsockname().port}`);
    const read = consume({ nats: server.url, stream: "whole", until: "now" });
    const { value } = await read.next();
    expect(value).toMatchObject({ size: 300_000, truncated: false, channel: 7, timestamp: undefined });
    expect(value && Buffer.compare(value.data, large)).toBe(0);
    expect((await read.next()).value).toMatchObject({ size: 5, channel: 0 });
    expect(await read.next()).toMatchObject({ done: true });
    expect(read.stats()).toMatchObject({ datagrams: 2, foreign: 0 });
    const again = consume({ nats: server.url, stream: "whole", until: "now" });
    await expect(replay(again, from, { to: at, speed: Infinity })).rejects.toMatchObject({ code: "ENOTSUP" });
  });

  test("that the stream refuses, or that are larger than the server takes, are errors of their senders", async (t) => {
    const s = await bound(t);
    const subjects = [`datagram.${s.getsockname().port}.*`];
    await server.ask("STREAM.CREATE.one", { name: "one", subjects, max_msgs: 1, discard: "new" });
    const running = await gateway(s, { nats: server.url, stream: "one", messages: true });
    t.onTestFinished(() => running.close());
    // What must be stored has all the time that a slow machine takes.
    await messages(await bound(t), { giveUpMs: 25_000 }).send("first", s.getsockname());
    const sender = messages(await bound(t), { giveUpMs: 1000 });
    await expect(sender.send("second", s.getsockname())).rejects.toMatchObject({ code: "ETIMEDOUT" });
    await expect(sender.send(Buffer.alloc(1_100_000), s.getsockname())).rejects.toMatchObject({
      code: "EMSGSIZE",
    });
    await until(running, ({ refused }) => refused === 1);
    // The places of refused messages are free: one device cannot lock out the others.
    expect(running.stats()).toMatchObject({
      ...{ received: 2, stored: 1, refused: 1, inFlight: 0 },
      messages: { received: 2, unconfirmed: 0, released: 1, refused: 1 },
    });
  });

  test("that are shed have no place any more, and their senders get an error", async (t) => {
    const { running, at } = await started(t, {
      ...{ nats: server.url, stream: "sheds", create: true, messages: true },
      ...{ maxUnacknowledged: 1, maxWaiting: 1 },
    });
    await server.signal("SIGSTOP");
    t.onTestFinished(() => server.signal("SIGCONT"));
    const sender = messages(await bound(t), { giveUpMs: 25_000 });
    const sending = ["first", "second"].map((text) => sender.send(text, at));
    await until(running, ({ inFlight }) => inFlight === 2);
    const shed = messages(await bound(t), { giveUpMs: 1000 }).send("third", at);
    await expect(shed).rejects.toMatchObject({ code: "ETIMEDOUT" });
    await until(running, ({ received }) => received === 3);
    expect(running.stats()).toMatchObject({
      shed: 1,
      inFlight: 2,
      messages: { unconfirmed: 2, released: 1 },
    });
    await server.signal("SIGCONT");
    await Promise.all(sending);
    expect(running.stats()).toMatchObject({ stored: 2, shed: 1, messages: { unconfirmed: 0, released: 1 } });
  });

  test("are not taken together with answers", async (t) => {
    const s = await bound(t);
    await expect(
      gateway(s, { nats: server.url, stream: "x", messages: true, answers: true }),
    ).rejects.toThrow(/answers/);
  });

  test("a user that is no URL encoding, and two users, are refused by name", async (t) => {
    const s = await bound(t);
    await expect(gateway(s, { nats: "nats://a%zz:b@127.0.0.1", stream: "x" })).rejects.toThrow(/nats/);
    const two = ["nats://a:b@127.0.0.1:1", "nats://c:d@127.0.0.1:2"];
    await expect(gateway(s, { nats: two, stream: "x" })).rejects.toThrow(/same user/);
  });
});
