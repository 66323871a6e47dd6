/** A host with several addresses answers from the address that a peer sent to. */

import { AF_INET, AF_INET6, SOCK_DGRAM, type Socket, type SocketOptions } from "datagram";
import { type Messages, messages, request, serve } from "datagram/message";
import { Network } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { frameKind } from "../../src/wire/message-frame.js";
import { collect, pattern } from "./tools.js";

const port = 9000;

describe.each([
  {
    family: "IPv4",
    number: AF_INET,
    any: "0.0.0.0",
    camera: "10.0.0.1",
    first: "10.0.0.2",
    second: "10.0.0.3",
  },
  { family: "IPv6", number: AF_INET6, any: "::", camera: "fd00::1", first: "fd00::2", second: "fd00::3" },
] as const)("a socket bound to all addresses, over $family,", ({ number, any, camera, first, second }) => {
  /** Runs a program with a socket of a camera and one of a desk, which has two addresses. `sources` are the hosts that answered. */
  async function withTwoAddresses(
    program: (camera: Socket, desk: Socket, sources: Set<string>) => Promise<void>,
    options: SocketOptions = {},
  ): Promise<void> {
    const network = new Network({ seed: 1 });
    const from = network.host("camera", { address: camera });
    const to = network.host("desk", { addresses: [first, second] });
    network.link(from, to, { latencyMs: 5, lossRatio: 0.05 });
    await network.run(async () => {
      const [s, r] = [from.socket(number), to.socket(number, SOCK_DGRAM, options)];
      await r.bind([any, port]);
      const sources = new Set<string>();
      s.tap(({ direction, source }) => {
        if (direction === "in") sources.add(source.host);
      });
      await program(s, r, sources);
    });
  }

  /** Sends a message and a request with a long reply, which needs a proof of the address. */
  async function exchangeWith(m: Messages, host: string): Promise<void> {
    const reply = await m.request("picture?", [host, port]);
    expect(reply.source.host).toBe(host);
    expect(reply.data.equals(pattern(50_000))).toBe(true);
    await m.send(pattern(200_000), [host, port]);
  }

  test.each([first, second])("reports, proves and replies from %s if the peer sent there", async (host) => {
    await withTwoAddresses(async (s, r, sources) => {
      const [m, n] = [messages(s), messages(r)];
      const arrived = collect(n);
      n.serve(() => pattern(50_000));
      await exchangeWith(m, host);
      expect([...sources]).toEqual([host]);
      expect(arrived.map(({ data }) => data.length)).toEqual([200_000]);
      expect(m.peer([host, port]).stats().isProven).toBe(true);
    });
  });

  test("answers each message of a peer from the address that the message was sent to", async () => {
    await withTwoAddresses(async (s, r) => {
      const [m, n] = [messages(s), messages(r)];
      const arrived = collect(n);
      n.serve(() => pattern(50_000));
      const sentTo = new Map<number, string>();
      const answers = { right: 0, wrong: 0 };
      s.tap(({ direction, data, source, destination }) => {
        const kind = (data[1] ?? 0) & 0x0f;
        const id = data.readUInt32BE(4);
        if (direction === "out") {
          if (kind === frameKind.data || kind === frameKind.request) sentTo.set(id, destination.host);
        } else if (kind === frameKind.report || kind === frameKind.reply) {
          answers[sentTo.get(id) === source.host ? "right" : "wrong"]++;
        }
      });
      await Promise.all([first, second, second, first].map((host) => exchangeWith(m, host)));
      expect(arrived.length).toBe(4);
      expect(answers.wrong).toBe(0);
      expect(answers.right).toBeGreaterThan(4 * 42);
    });
  });

  test("answers plain requests of serve from the address that the peer sent to", async () => {
    await withTwoAddresses(async (s, r, sources) => {
      serve(r, ({ destination }) => destination?.host);
      for (const host of [second, first]) {
        expect((await request(s, "where?", [host, port])).data.toString()).toBe(host);
      }
      expect([...sources].sort()).toEqual([first, second]);
    });
  });

  test("answers from the address that the kernel chooses if the option metadata is off", async () => {
    await withTwoAddresses(
      async (s, r, sources) => {
        const [m, n] = [messages(s, { giveUpMs: 1000 }), messages(r)];
        const arrived = collect(n);
        await expect(m.send("hello", [second, port])).rejects.toMatchObject({ code: "ETIMEDOUT" });
        expect([...sources]).toEqual([first]);
        expect(arrived.length).toBe(1);
        expect(m.stats().dropped.stray).toBeGreaterThan(0);
      },
      { metadata: false },
    );
  });
});
