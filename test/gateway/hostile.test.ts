/** Senders of datagrams, and clients of the server, that mean harm. */

import { connect as connectTcp } from "node:net";

import { type NatsConnection, connect } from "@nats-io/transport-node";
import { type TestContext, afterAll, beforeAll, describe, expect, test } from "vitest";

import type { GatewayStats } from "datagram/gateway";
import { readAcknowledgement } from "../../src/gateway/acknowledgement.js";
import { NatsServer, noServer } from "./nats.js";
import { bound, expectClosed, sendNumbered, started, until } from "./sending.js";

describe.skipIf(noServer !== undefined)("hostile", () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start({ settings: "max_payload: 32KB" });
  });
  afterAll(() => server.close());

  test("payloads become no header, no subject and no line of the protocol", async (t) => {
    const { running, at } = await started(t, { nats: server.url, stream: "payloads", create: true });
    const from = await bound(t);
    const payloads = [
      "\r\nNats-Msg-Id: mine\r\n\r\n",
      "NATS/1.0\r\nNats-Rollup: all\r\nNats-Msg-Id: mine\r\n\r\n",
      `\r\nPUB datagram.${at.port}.10-0-0-7_1 2\r\nhi\r\n`,
      "\0\0\0\0",
      "\r\n",
      "+OK\r\n-ERR 'x'\r\nPING\r\n",
      Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
      Buffer.alloc(30_000, "\r\nMSG > 1 0\r\n\r\n"),
    ].map((payload) => Buffer.from(payload));
    for (const payload of payloads) await from.sendto(payload, at);
    await until(running, ({ stored }) => stored === payloads.length);
    const messages = await server.messages("payloads");
    expect(messages.map(({ data }) => data.toString("hex"))).toEqual(
      payloads.map((payload) => payload.toString("hex")),
    );
    const subject = `datagram.${at.port}.127-0-0-1_${from.getsockname().port}`;
    for (const message of messages) {
      expect(message.subject).toBe(subject);
      const names = [...message.headers.keys()];
      expect(names).toHaveLength(new Set(names).size);
      expect(names.filter((name) => !/^(?:Nats-Msg-Id$|Datagram-)/.test(name))).toEqual([]);
    }
  });

  test("a datagram that is larger than the server takes is refused, and the next one is stored", async (t) => {
    const { running, at } = await started(t, { nats: server.url, stream: "large", create: true });
    const from = await bound(t);
    for (const bytes of [65_507, 32 * 1024, 10]) await from.sendto(Buffer.alloc(bytes), at);
    await until(running, ({ received, inFlight }) => received === 3 && inFlight === 0);
    expect(running.stats()).toMatchObject({
      stored: 1,
      refused: 2,
      refusedBy: { "larger than the server takes": 2 },
    });
    expect((await server.messages("large")).map(({ data }) => data.length)).toEqual([10]);
  });

  test("headers that the client cannot read, at the subjects of answers, do not end the gateway", async (t) => {
    const { running, at } = await started(t, { nats: server.url, stream: "unreadable", create: true });
    const from = await bound(t);
    await sendNumbered(running, from, at, 1);
    const peer = `127-0-0-1_${from.getsockname().port}`;
    const base = `datagram.${at.port}`;
    const stranger = await connect({ servers: server.url.slice("nats://".length) });
    t.onTestFinished(() => stranger.close());
    const raw = connectTcp(server.port, "127.0.0.1");
    t.onTestFinished(() => void raw.destroy());
    raw.write('CONNECT {"verbose":false,"headers":true}\r\n');
    const headers = Buffer.from("NATS/1.0\r\na b\xff: y\r\n\r\n", "latin1");
    const attack = (subject: string): void => {
      raw.write(`HPUB ${subject} ${headers.length} ${headers.length}\r\n`);
      raw.write(Buffer.concat([headers, Buffer.from("\r\n")]));
    };
    // Another gateway, which answers with such headers: to questions, and to the order to send.
    const liar = "liar_liar-li";
    let attacks = 0;
    const sub = (subject: string, listener: (reply: string) => void): void =>
      void stranger.subscribe(subject, { callback: (_, { reply = "" }) => listener(reply) });
    sub(`${base}.gateways.${liar}.ask`, (reply) => {
      attack(reply);
      attacks++;
      if (attacks > 1) stranger.publish(reply, "0");
    });
    sub(`${base}.gateways.${liar}.send.*`, (reply) => {
      attack(reply);
      attacks++;
    });
    let run: string | undefined;
    stranger.subscribe(`${base}.gateways.all`, {
      callback: (_, message) => void (run ??= message.json<{ run: string }>().run),
    });
    await expect.poll(() => run, { timeout: 60_000 }).toBeDefined();
    for (const name of ["ask", "bid.1.x", "done.1", `send.${peer}`, "send.x"])
      attack(`${base}.gateways.${run}.${name}`);
    attack(`${base}.gateways.all`);
    attack(`${base}.${peer}.reply`);
    await until(running, ({ answers }) => answers?.requests === 1 && answers.pending === 0);
    const greet = async (): Promise<void> => {
      stranger.publish(`${base}.gateways.all`, JSON.stringify({ type: "hello", run: liar }));
      await stranger.flush();
    };
    for (let times = 0; times < 2; times++) {
      await greet();
      await stranger.request(`${base}.${peer}.reply`, "x", { timeout: 30_000 });
    }
    expect(attacks).toBeGreaterThanOrEqual(2);
    await sendNumbered(running, from, at, 1);
    await until(running, ({ stored }) => stored === 2);
    expectClosed(running.stats());
  });

  describe("answers of strangers", () => {
    /** Sends datagrams, and for each message of the gateway what a stranger answers. Returns the account at the end. */
    async function attacked(
      t: TestContext,
      stream: string,
      answer: (stranger: NatsConnection, reply: string) => void,
    ): Promise<GatewayStats> {
      const { running, at } = await started(t, { nats: server.url, stream, create: true });
      const stranger = await connect({ servers: server.url.slice("nats://".length) });
      t.onTestFinished(() => stranger.close());
      let attacks = 0;
      stranger.subscribe(`datagram.${at.port}.*`, {
        callback: (_, { reply = "" }) => {
          answer(stranger, reply);
          attacks++;
        },
      });
      await stranger.flush();
      const from = await bound(t);
      await sendNumbered(running, from, at, 50);
      await expect.poll(() => attacks, { timeout: 60_000 }).toBe(50);
      await stranger.flush();
      await sendNumbered(running, from, at, 1);
      await until(running, ({ inFlight }) => inFlight === 0);
      expectClosed(running.stats());
      return running.stats();
    }

    test("that are no acknowledgements change nothing", async (t) => {
      const texts = [
        "",
        "x",
        "null",
        "[]",
        "7",
        '"text"',
        "{}",
        '{"stream":7}',
        '{"stream":"texts"}',
        '{"stream":"texts","seq":-1}',
        '{"stream":"texts","seq":"1"}',
        '{"error":null}',
        '{"error":7}',
        '{"error":{"err_code":10077}}',
        `{"error":{"err_code":10077,"description":"${"x".repeat(5000)}"}}`,
        '{"error":{"err_code":10077,"description":{"toString":1}}}',
        '{"error":{"description":["x"]}}',
        `{"a":${"[".repeat(10_000)}`,
        "\0\xff\r\n",
      ];
      const stats = await attacked(t, "texts", (stranger, reply) => {
        for (const text of texts) stranger.publish(reply, text);
      });
      expect(stats).toMatchObject({ received: 51, stored: 51, refused: 0, shed: 0 });
      expect(await server.messages("texts")).toHaveLength(51);
    });

    test("that have headers which the client cannot read change nothing", async (t) => {
      const raw = connectTcp(server.port, "127.0.0.1");
      t.onTestFinished(() => void raw.destroy());
      raw.write('CONNECT {"verbose":false,"headers":true}\r\n');
      const headers = [
        "NATS/1.0\r\n\0 x: y\r\n\r\n",
        "NATS/1.0 503\r\na b\xff: y\r\n\r\n",
        "NATS/1.0 9e99\r\n\r\n",
      ];
      const stats = await attacked(t, "headers", (_, reply) => {
        for (const text of headers) {
          const bytes = Buffer.from(text, "latin1");
          raw.write(`HPUB ${reply} ${bytes.length} ${bytes.length}\r\n`);
          raw.write(bytes);
          raw.write("\r\n");
        }
      });
      expect(stats).toMatchObject({ received: 51, stored: 51, refused: 0, shed: 0 });
    });

    test("to numbers that no datagram has, and twice, change nothing", async (t) => {
      const ack = '{"stream":"numbers","seq":1}';
      const stats = await attacked(t, "numbers", (stranger, reply) => {
        const inbox = reply.slice(0, reply.lastIndexOf("."));
        for (const number of ["0", "-1", "1e3", "NaN", "Infinity", "999999", "x", "__proto__"])
          stranger.publish(`${inbox}.${number}`, ack);
        for (let times = 0; times < 3; times++) stranger.publish(reply, ack);
      });
      expect(stats).toMatchObject({ received: 51, stored: 51, refused: 0, shed: 0 });
    });

    test("have reasons of 200 characters at most", () => {
      const error = { err_code: 10_077, description: "x".repeat(1000) };
      expect(readAcknowledgement(Buffer.from(JSON.stringify({ error })), "any")).toEqual({
        kind: "refused",
        reason: "x".repeat(200),
      });
    });
  });
});
