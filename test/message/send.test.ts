/** Messages arrive once and intact on bad networks, or the sender is told. */

import { Network } from "datagram/sim";
import { type LostMessage, type Message, MessageError, messages } from "datagram/message";
import { describe, expect, test } from "vitest";

import { between, collect, desk, next, pattern, sleep } from "./tools.js";

describe("a reliable message", () => {
  test.each([0, 1, 1199, 1200, 1201, 65_536, 2_000_000])("of %i bytes arrives", async (bytes) => {
    const data = pattern(bytes);
    await between({ latencyMs: 10 }, async ({ camera, desk: to }) => {
      const arrived = next(to);
      const receipt = await camera.send(data, desk);
      const message = await arrived;
      expect(message.data.equals(data)).toBe(true);
      expect(message).toMatchObject({
        channel: 0,
        chunks: Math.max(1, Math.ceil(bytes / 1200)),
        repaired: 0,
      });
      expect(receipt).toMatchObject({ chunks: message.chunks, sentChunks: message.chunks, repaired: 0 });
      expect(message.verified).toBe(true);
    });
  });

  test("fails with EFAULT if its memory is transferred to another thread before all of it arrived", async () => {
    await between({ latencyMs: 10 }, async ({ camera }) => {
      const data = Uint8Array.from(pattern(100_000));
      const failed = expect(camera.send(data, desk)).rejects.toMatchObject({ code: "EFAULT" });
      await sleep(5);
      structuredClone(data, { transfer: [data.buffer] });
      await failed;
    });
  });

  test.each([
    ["loss of 1% both ways", { latencyMs: 25, lossRatio: 0.01 }],
    ["loss of 20% both ways", { latencyMs: 25, lossRatio: 0.2 }],
    ["loss of 30% both ways, in bursts", { latencyMs: 25, lossRatio: 0.3, lossBurstLength: 3 }],
    [
      "corruption of 15% that the checksum of UDP misses",
      { latencyMs: 15, corruptRatio: 0.15, corruptPasses: true },
    ],
    ["reordering of 30%", { latencyMs: 15, reorderRatio: 0.3, reorderMs: 8 }],
    ["duplication of 50%", { latencyMs: 15, duplicateRatio: 0.5 }],
  ])("arrives once and intact with %s", async (_, link) => {
    for (let seed = 1; seed <= 5; seed++) {
      const data = pattern(65_536, seed);
      const [found, elapsedMs] = await between(
        link,
        async ({ camera, desk: to }) => {
          const arrived = collect(to);
          const receipt = await camera.send(data, desk);
          await sleep(3000);
          return [arrived, receipt.elapsedMs] as const;
        },
        { seed },
      );
      expect(found.length, `seed ${seed}`).toBe(1);
      expect(found[0]!.data.equals(data), `seed ${seed}`).toBe(true);
      expect(elapsedMs, `seed ${seed}`).toBeLessThan(5000);
    }
  });

  test.each([
    ["port", []],
    ["address", ["10.0.0.3", "10.0.0.4", "10.0.0.5"]],
  ])("goes on when a NAT gives the sender a new %s every 5 s", async (_, addresses) => {
    const network = new Network({ seed: 3 });
    const camera = network.host("camera", { address: "192.168.0.2" });
    const router = network.router("router", { address: "10.0.0.1", nat: { inside: ["192.168.0.0/24"] } });
    const to = network.host("desk", { address: desk[0] });
    network.link(camera, router, { latencyMs: 5 });
    network.link(router, to, { latencyMs: 5, rateBps: 500_000, queueBytes: 30_000 });
    const data = pattern(1_000_000);
    const found = await network.run(async () => {
      const [s, r] = [camera.socket(), to.socket()];
      await r.bind(desk);
      const arrived = collect(messages(r));
      const sent = messages(s).send(data, desk);
      let rebindings = 0;
      for (let isSent = false; !isSent; rebindings++) {
        isSent = await Promise.race([sent.then(() => true), sleep(5000).then(() => false)]);
        router.rebind(addresses[rebindings % 3]);
      }
      expect(rebindings).toBeGreaterThan(2);
      return arrived;
    });
    expect(found.map((message) => message.data.equals(data))).toEqual([true]);
  });

  test("fails with ETIMEDOUT that says how much arrived, if the peer falls silent", async () => {
    await between({ latencyMs: 10, rateBps: 1_000_000 }, async ({ camera, desk: to, link, network }) => {
      collect(to);
      const sent = camera.send(pattern(200_000), desk);
      network.clock.after(500, () => link.blackHole());
      const error = await sent.catch((reason) => reason as MessageError);
      expect(error).toBeInstanceOf(MessageError);
      expect(error).toMatchObject({
        code: "ETIMEDOUT",
        syscall: "send",
        address: desk[0],
        port: desk[1],
        chunks: 167,
      });
      const { arrivedChunks } = error as MessageError;
      expect(arrivedChunks).toBeGreaterThan(10);
      expect((error as MessageError).message).toContain(
        `${arrivedChunks} of 167 chunks of 200000 bytes arrived`,
      );
      expect((error as MessageError).message).toContain("giveUpMs, 10000 ms");
    });
  });

  test("fails with ETIMEDOUT after deadlineMs", async () => {
    await between({ latencyMs: 10, rateBps: 1_000_000 }, async ({ camera, network }) => {
      const start = network.clock.now();
      await expect(camera.send(pattern(200_000), desk, { deadlineMs: 300 })).rejects.toThrow(
        /\d+ of 167 chunks of 200000 bytes arrived within deadlineMs, 300 ms/,
      );
      expect(network.clock.now() - start).toBeCloseTo(300, 0);
    });
  });

  test("fails with ETIMEDOUT if the peer forgets it again and again", async () => {
    await between({ latencyMs: 10, rateBps: 500_000 }, async ({ camera, desk: to, sockets, network }) => {
      let isOver = false;
      const sent = camera.send(pattern(1_000_000), desk).finally(() => (isOver = true));
      const failed = expect(sent).rejects.toMatchObject({ code: "ETIMEDOUT", chunks: 834 });
      for (let current = to; !isOver; current = messages(sockets[1])) {
        await sleep(3000);
        await current.close();
      }
      await failed;
      expect(network.clock.now()).toBeLessThan(60_000);
    });
  });

  test("does not fail while it waits longer than giveUpMs for the chunks of another one", async () => {
    await between({ latencyMs: 10, rateBps: 500_000, queueBytes: 100_000 }, async ({ camera, desk: to }) => {
      const arrived = collect(to);
      await Promise.all([1, 2].map((seed) => camera.send(pattern(700_000, seed), desk)));
      expect(arrived.length).toBe(2);
    });
  });

  test("fails with ECONNREFUSED if nobody listens there", async () => {
    await between({ latencyMs: 10 }, async ({ camera }) => {
      await expect(camera.send("hello", [desk[0], 9001])).rejects.toMatchObject({
        code: "ECONNREFUSED",
        arrivedChunks: 0,
      });
    });
  });

  test("fails with EMSGSIZE and the limit, if it is longer than the peer takes", async () => {
    const options = { desk: { maxSourceBytes: 100_000 } };
    await between(
      { latencyMs: 10 },
      async ({ camera }) => {
        await expect(camera.send(pattern(100_001), desk)).rejects.toMatchObject({
          code: "EMSGSIZE",
          limit: 100_000,
        });
        await expect(camera.send(pattern(100_000), desk)).resolves.toMatchObject({ chunks: 84 });
      },
      options,
    );
  });

  test("fails with EMSGSIZE before the first datagram, if it has more than 65,535 chunks", async () => {
    await between(
      { latencyMs: 10 },
      async ({ camera, sockets }) => {
        const [chunkBytes, limit] = [64, 64 * 65_535];
        const data = Buffer.alloc(limit + 1);
        const text = `${limit + 1} bytes are over the ${limit} bytes of the longest message in chunks of ${chunkBytes} bytes`;
        for (const call of ["send", "request"] as const) {
          await expect(camera[call](data, desk)).rejects.toMatchObject({
            name: "MessageError",
            code: "EMSGSIZE",
            message: `${call} ${desk.join(":")}: ${text} (EMSGSIZE)`,
            limit,
            chunks: 65_536,
            arrivedChunks: 0,
          });
        }
        await expect(camera.send(data, desk, { mode: "fleeting" })).rejects.toMatchObject({ limit });
        expect(sockets[0].stats().sent.datagrams).toBe(0);
      },
      { camera: { chunkBytes: 64 } },
    );
  });

  test("ends with the reason of its signal, and those after it arrive", async () => {
    await between({ latencyMs: 10, rateBps: 1_000_000 }, async ({ camera, desk: to, network }) => {
      const arrived = collect(to);
      const stop = new AbortController();
      const sent = camera.send(pattern(200_000), desk, { signal: stop.signal });
      const after = camera.send("after", desk);
      network.clock.after(100, () => stop.abort(new Error("enough")));
      await expect(sent).rejects.toThrow("enough");
      await after;
      expect(arrived.map(({ data }) => data.toString())).toEqual(["after"]);
    });
  });

  test("counts each datagram with a chunk as sent, and each but the first of a chunk as sent again", async () => {
    await between({ latencyMs: 10, lossRatio: 0.3 }, async ({ camera, desk: to, link }) => {
      let left = 0;
      const end = link.drop(({ content }) => {
        if (content.protocol === "udp" && (content.payload.readUInt8(1) & 0x0f) === 1) left++;
        return false;
      }, "up");
      collect(to);
      let [chunks, repaired] = [0, 0];
      for (let n = 0; n < 20; n++) {
        const receipt = await camera.send(pattern(10_000, n), desk);
        chunks += receipt.chunks;
        repaired += receipt.repaired;
      }
      end();
      expect(repaired).toBeGreaterThan(0);
      expect(left).toBe(chunks + repaired);
      expect(camera.peer(desk).stats()).toMatchObject({ sentChunks: left, resentChunks: repaired });
    });
  });

  test("with a parity repairs a loss without a round trip", async () => {
    await between({ latencyMs: 100 }, async ({ camera, desk: to, link, network }) => {
      await camera.send("first", desk);
      await next(to);
      let packets = 0;
      const end = link.drop(() => packets++ === 2);
      const arrived = next(to);
      const start = network.clock.now();
      const sent = camera.send(pattern(6000), desk, { parity: 1 });
      expect(await arrived).toMatchObject({ chunks: 5, repaired: 1 });
      expect(network.clock.now() - start).toBeLessThan(150);
      expect(await sent).toMatchObject({ repaired: 0 });
      end();
    });
  });
});

test("ordered messages of a channel arrive in the order of the calls, and other channels do not wait", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const found = await between(
      { latencyMs: 20, lossRatio: 0.2 },
      async ({ camera, desk: to }) => {
        const arrived = collect(to);
        const sends = Array.from({ length: 60 }, (_, number) =>
          camera.send(`${number}`.padEnd(1 + ((number * 977) % 6000), "."), desk, {
            mode: "ordered",
            channel: number % 2,
          }),
        );
        await Promise.all(sends);
        await sleep(1000);
        return arrived;
      },
      { seed },
    );
    for (const channel of [0, 1]) {
      const numbers = found
        .filter((each) => each.channel === channel)
        .map(({ data }) => parseInt(data.toString(), 10));
      expect(numbers, `seed ${seed}`).toEqual(Array.from({ length: 30 }, (_, at) => 2 * at + channel));
    }
  }
});

test("an ordered message that fails does not hold back those after it", async () => {
  await between({ latencyMs: 10, rateBps: 1_000_000 }, async ({ camera, desk: to, network }) => {
    const arrived = collect(to);
    await camera.send("first", desk, { mode: "ordered" });
    const stop = new AbortController();
    const failed = camera.send(pattern(300_000), desk, { mode: "ordered", signal: stop.signal });
    const [third, fourth] = ["third", "fourth"].map((text) => camera.send(text, desk, { mode: "ordered" }));
    network.clock.after(300, () => stop.abort(new Error("enough")));
    await expect(failed).rejects.toThrow("enough");
    await Promise.all([third, fourth]);
    await camera.send("fifth", desk, { mode: "ordered" });
    await sleep(10_000);
    expect(arrived.map(({ data }) => data.toString())).toEqual(["first", "third", "fourth", "fifth"]);
  });
});

describe("a fleeting message", () => {
  test("is not sent again, and its loss is told with the missing chunks", async () => {
    await between({ latencyMs: 10 }, async ({ camera, desk: to, link }) => {
      const arrived = collect(to);
      const lost: LostMessage[] = [];
      to.on("lost", (message) => lost.push(message));
      let packets = 0;
      const end = link.drop(() => packets++ === 3);
      await camera.send(pattern(6000), desk, { mode: "fleeting", channel: 4, deadlineMs: 100 });
      await sleep(1000);
      end();
      expect(arrived).toEqual([]);
      expect(lost).toMatchObject([
        { channel: 4, chunks: 5, received: 4, missing: [3], length: 6000, cause: "late" },
      ]);
      expect(packets).toBeLessThan(10);
    });
  });

  test("replaces what has not left of the one before it", async () => {
    await between({ latencyMs: 50, rateBps: 1_000_000 }, async ({ camera, desk: to }) => {
      const arrived = collect(to);
      const first = camera.send(pattern(100_000), desk, { mode: "fleeting" });
      const second = camera.send("newer", desk, { mode: "fleeting" });
      const receipt = await first;
      expect(receipt.sentChunks).toBeLessThan(receipt.chunks);
      expect(await second).toMatchObject({ chunks: 1, sentChunks: 1 });
      await sleep(3000);
      expect(arrived.map(({ data }) => data.toString())).toEqual(["newer"]);
    });
  });

  test("never arrives after a newer one of its channel", async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const link = { latencyMs: 5, reorderRatio: 0.3, reorderMs: 40 };
      const found = await between(
        link,
        async ({ camera, desk: to }) => {
          const arrived = collect(to);
          for (let number = 0; number < 50; number++) {
            await camera.send(`${number}`.padEnd(1500, "."), desk, { mode: "fleeting" });
            await sleep(10);
          }
          await sleep(1000);
          return arrived;
        },
        { seed },
      );
      const numbers = found.map(({ data }) => parseInt(data.toString(), 10));
      expect(numbers, `seed ${seed}`).toEqual([...numbers].sort((a, b) => a - b));
      expect(numbers.length).toBeGreaterThan(10);
    }
  });
});

test("a restarted sender's message never mixes with the one before the restart", async () => {
  await between({ latencyMs: 10, rateBps: 500_000 }, async ({ hosts, sockets, desk: to }) => {
    const arrived: Message[] = collect(to);
    const [one, two] = [pattern(50_000, 1), pattern(50_000, 2)];
    const [camera] = hosts;
    const s = camera.socket();
    await s.bind(["10.0.0.1", 7000]);
    const before = messages(s).send(one, desk);
    await sleep(300);
    const failed = before.catch((reason: unknown) => reason);
    await s.close();
    expect(await failed).toMatchObject({ code: "ECANCELED" });
    const again = camera.socket();
    await again.bind(["10.0.0.1", 7000]);
    await messages(again).send(two, desk);
    expect(arrived.map(({ data }) => data.equals(two))).toEqual([true]);
    expect(sockets[1].closed).toBe(false);
  });
});

test("a message and a request of one chunk arrive once if a NAT gives the sender a new port before the report", async () => {
  for (const rebindTo of [undefined, "10.0.0.3"]) {
    const network = new Network({ seed: 3 });
    const camera = network.host("camera", { address: "192.168.0.2" });
    const router = network.router("router", { address: "10.0.0.1", nat: { inside: ["192.168.0.0/24"] } });
    const to = network.host("desk", { address: desk[0] });
    network.link(camera, router, { latencyMs: 5 });
    network.link(router, to, { latencyMs: 5 });
    await network.run(async () => {
      const [s, r] = [camera.socket(), to.socket()];
      await r.bind(desk);
      const [m, n] = [messages(s), messages(r)];
      const arrived = collect(n);
      let runs = 0;
      n.serve(() => `run ${++runs}`);
      const sent = m.send("hello", desk);
      const request = m.request("hello?", desk);
      network.clock.after(8, () => router.rebind(rebindTo));
      await sent;
      expect((await request).data.toString()).toBe("run 1");
      await sleep(20_000);
      expect(arrived.map(({ data }) => data.toString())).toEqual(["hello"]);
      expect(runs).toBe(1);
    });
  }
});
