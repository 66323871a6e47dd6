/** `reply()` of datagrams that were read from a stream, with a real server of NATS. */

import { type TestContext, afterAll, beforeAll, describe, expect, test } from "vitest";

import type { Socket } from "datagram";
import { type Gateway, type StoredDatagram, consume, gateway } from "datagram/gateway";
import { messages } from "datagram/message";
import { NatsServer, noServer } from "./nats.js";
import { bound } from "./sending.js";

describe.skipIf(noServer !== undefined)("reply() of a datagram of a stream", () => {
  let server: NatsServer;
  let streams = 0;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.close());

  interface Stored {
    readonly datagram: StoredDatagram;
    readonly device: Socket;
    readonly running: Gateway;
  }

  /** Stores what a device sends, and reads it back. */
  async function stored(t: TestContext, options: object = {}): Promise<Stored> {
    const [receiver, device] = [await bound(t), await bound(t)];
    const stream = `replies${++streams}`;
    const running = await gateway(receiver, { nats: server.url, stream, create: true, ...options });
    t.onTestFinished(() => running.close());
    const reading = consume({ nats: server.url, stream });
    t.onTestFinished(() => void reading.return());
    const step = reading.next();
    if ("messages" in options) await messages(device).send("hello", receiver.getsockname());
    else await device.sendto("hello", receiver.getsockname());
    return { datagram: (await step).value as StoredDatagram, device, running };
  }

  for (const [name, options] of [
    ["a message of its own", {}],
    ["a bucket", { buckets: 4 }],
    ["a bundle", { bundle: true }],
  ] as const) {
    test(`reaches the device from the address that it sent to, if the datagram is in ${name}`, async (t) => {
      const { datagram, device } = await stored(t, options);
      expect(await datagram.reply("thanks")).toBe(6);
      const [data, source] = await device.recvfrom(100);
      expect([String(data), String(source)]).toEqual(["thanks", String(datagram.destination)]);
    });
  }

  test("rejects with the ICMP error about the device", async (t) => {
    const { datagram, device } = await stored(t, { answers: { icmpWaitMs: 10_000 } });
    await device.close();
    await expect(datagram.reply("gone")).rejects.toMatchObject({
      code: "ECONNREFUSED",
      syscall: "reply",
      port: datagram.source.port,
      message: expect.stringMatching(
        /it was sent, and did not arrive: port unreachable, from 127\.0\.0\.1/,
      ) as string,
    });
  });

  test("rejects if it is too long, if no gateway runs, and for a whole message", async (t) => {
    const { datagram, running } = await stored(t);
    await expect(datagram.reply(new Uint8Array(65_508))).rejects.toMatchObject({ code: "EMSGSIZE" });
    await running.close();
    await expect(datagram.reply("late")).rejects.toMatchObject({ code: "ENOENT", syscall: "reply" });
    const { datagram: message } = await stored(t, { messages: true });
    expect(message.channel).toBe(0);
    await expect(message.reply("no")).rejects.toMatchObject({ code: "ENOTSUP" });
  });
});
