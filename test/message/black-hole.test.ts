/** Paths on which large chunks vanish without an ICMP error. */

import { type Endpoint, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, type Warning } from "datagram";
import type { Link } from "datagram/sim";
import { expect, test } from "vitest";

import { between, collect, desk, next, pattern, sleep } from "./tools.js";

const options = { camera: { chunkBytes: 1448 }, desk: { chunkBytes: 1448 } };
const path = { latencyMs: 10 };
/** Bytes of the datagram of a chunk of 1,200 bytes. */
const safeBytes = 1224;
const report = 2;

/** Drops datagrams that are longer than those of 1,200-byte chunks. Returns a function that ends this. */
function dropLarge(link: Link, direction?: "up" | "down"): () => void {
  return link.drop(
    ({ content }) => content.protocol === "udp" && content.payload.length > safeBytes,
    direction,
  );
}

test("a message whose large chunks vanish arrives once and intact, in chunks of 1,200 bytes", async () => {
  await between(
    path,
    async ({ camera, desk: to, link, sockets }) => {
      dropLarge(link);
      const warnings: Warning[] = [];
      sockets[0].on("warning", (warning) => warnings.push(warning));
      const arrived = collect(to);
      const lost: unknown[] = [];
      to.on("lost", (message) => lost.push(message));
      const data = pattern(20_000);
      expect(await camera.send(data, desk)).toMatchObject({ chunks: 17 });
      expect(warnings).toEqual([
        {
          code: "CHUNKS_VANISH",
          message:
            "chunks of 1448 bytes to 10.0.0.2:9000 vanish on the path without an ICMP error, and small datagrams arrive: " +
            "messages to this peer now have chunks of 1200 bytes. Use chunkBytes: 1200 to lose no time with this.",
        },
      ]);
      // The next message does not lose that time again.
      const second = await camera.send(data, desk);
      expect(second).toMatchObject({ chunks: 17, repaired: 0 });
      expect(second.elapsedMs).toBeLessThan(1000);
      expect(arrived).toHaveLength(2);
      for (const message of arrived) {
        expect(message.chunks).toBe(17);
        expect(message.data.equals(data)).toBe(true);
      }
      expect(camera.peer(desk).stats()).toMatchObject({
        chunkBytes: 1200,
        blackHoles: 1,
        inFlightChunks: 0,
        pendingMessages: 0,
      });
      await sleep(20_000);
      expect([arrived.length, lost, warnings.length]).toEqual([2, [], 1]);
    },
    options,
  );
});

test.each([1201, 1448, 1449, 2000])(
  "a message of %d bytes arrives on a path that was never used",
  async (bytes) => {
    await between(
      path,
      async ({ camera, desk: to, link }) => {
        dropLarge(link);
        const arrived = next(to);
        expect(await camera.send(pattern(bytes), desk)).toMatchObject({ chunks: 2 });
        expect((await arrived).data).toEqual(pattern(bytes));
      },
      options,
    );
  },
);

test("a path that becomes narrow within a message, and six messages at a time", async () => {
  await between(
    { latencyMs: 10, rateBps: 2_000_000 },
    async ({ camera, desk: to, link, network }) => {
      network.clock.after(100, () => dropLarge(link));
      const arrived = collect(to);
      const sizes = [100_000, 50_000, 3000, 50, 1500, 0];
      await Promise.all(sizes.map((bytes, seed) => camera.send(pattern(bytes, seed), desk)));
      await sleep(20_000);
      expect(arrived).toHaveLength(sizes.length);
      for (const { data } of arrived) {
        const seed = sizes.indexOf(data.length);
        expect(data.equals(pattern(data.length, seed)), `${data.length} bytes`).toBe(true);
      }
      expect(camera.peer(desk).stats()).toMatchObject({ blackHoles: 1, inFlightChunks: 0 });
    },
    options,
  );
});

test("ordered messages whose large chunks vanish arrive in order", async () => {
  await between(
    path,
    async ({ camera, desk: to, link }) => {
      dropLarge(link);
      const arrived = collect(to);
      const sizes = [5000, 100, 1448, 3000, 10];
      await Promise.all(
        sizes.map((bytes, seed) => camera.send(pattern(bytes, seed), desk, { mode: "ordered" })),
      );
      expect(arrived.map(({ data }) => data)).toEqual(sizes.map((bytes, seed) => pattern(bytes, seed)));
    },
    options,
  );
});

test("the handler of a request runs once if the large chunks of request and reply vanish", async () => {
  await between(
    path,
    async ({ camera, desk: to, link }) => {
      dropLarge(link);
      const sources: Endpoint[] = [];
      to.serve(({ data, source }) => {
        sources.push(source);
        return Buffer.concat([data, data]);
      });
      const data = pattern(5000);
      const reply = await camera.request(data, desk, { timeoutMs: 60_000 });
      expect(reply.data).toEqual(Buffer.concat([data, data]));
      await sleep(60_000);
      expect(sources).toHaveLength(1);
      expect(to.peer(sources[0] as Endpoint).stats()).toMatchObject({ chunkBytes: 1200, blackHoles: 1 });
    },
    options,
  );
});

test("a message that arrived, and whose reports were lost, is not delivered again in smaller chunks", async () => {
  await between(
    path,
    async ({ camera, desk: to, link, network }) => {
      const end = link.drop(
        ({ content }) => content.protocol === "udp" && (content.payload.readUInt8(1) & 0x0f) === report,
        "down",
      );
      network.clock.after(8000, end);
      const arrived = collect(to);
      let runs = 0;
      to.serve(({ data }) => {
        runs++;
        return data.subarray(0, 10);
      });
      await Promise.all([camera.send(pattern(5000), desk), camera.request(pattern(5000, 2), desk)]);
      await sleep(20_000);
      expect(camera.peer(desk).stats().blackHoles).toBe(1);
      expect([arrived.length, runs]).toEqual([1, 1]);
    },
    options,
  );
});

test("large chunks are tried again after 10 minutes", async () => {
  await between(
    path,
    async ({ camera, desk: to, link }) => {
      const heal = dropLarge(link);
      const arrived = collect(to);
      await camera.send(pattern(14_480), desk);
      heal();
      for (let minute = 0; minute < 9; minute++) {
        await sleep(59_000);
        expect(await camera.send(pattern(14_480), desk)).toMatchObject({ chunks: 13 });
      }
      await sleep(70_000);
      expect(camera.peer(desk).stats().chunkBytes).toBe(1448);
      expect(await camera.send(pattern(14_480), desk)).toMatchObject({ chunks: 10 });
      expect(arrived).toHaveLength(11);
    },
    options,
  );
});

test("a kernel that refuses large chunks makes them smaller, without a warning", async () => {
  await between(
    { latencyMs: 10, mtuBytes: 1280 },
    async ({ camera, desk: to, sockets }) => {
      sockets[0].setsockopt(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
      const warnings: Warning[] = [];
      sockets[0].on("warning", (warning) => warnings.push(warning));
      const arrived = collect(to);
      const receipt = await camera.send(pattern(5000), desk);
      expect(receipt).toMatchObject({ chunks: 5, repaired: 0 });
      expect(receipt.elapsedMs).toBeLessThan(30);
      expect(arrived).toHaveLength(1);
      expect(camera.peer(desk).stats()).toMatchObject({ chunkBytes: 1200, blackHoles: 0 });
      expect(warnings).toEqual([]);
    },
    options,
  );
});

test("a peer that answers nothing is no black hole", async () => {
  await between(
    path,
    async ({ camera, desk: to, link }) => {
      collect(to);
      await camera.send("first", desk);
      link.drop(() => true, "down");
      await expect(camera.send(pattern(5000), desk)).rejects.toMatchObject({ code: "ETIMEDOUT" });
      expect(camera.peer(desk).stats()).toMatchObject({ chunkBytes: 1448, blackHoles: 0 });
    },
    options,
  );
});

test("losses of 30% each way are no black hole, with the seeds 1 to 100", async () => {
  for (let seed = 1; seed <= 100; seed++) {
    await between(
      { latencyMs: 10, lossRatio: 0.3 },
      async ({ camera, desk: to }) => {
        const arrived = collect(to);
        for (const bytes of [1448, 14_480, 1300]) await camera.send(pattern(bytes, seed), desk);
        expect(camera.peer(desk).stats(), `seed ${seed}`).toMatchObject({ chunkBytes: 1448, blackHoles: 0 });
        expect(arrived, `seed ${seed}`).toHaveLength(3);
      },
      { ...options, seed },
    );
  }
});

test.each([1, 25])(
  "a fleeting stream of %d chunks a message finds the black hole, and then arrives",
  async (chunks) => {
    await between(
      path,
      async ({ camera, desk: to, link, sockets }) => {
        dropLarge(link);
        const warnings: Warning[] = [];
        sockets[0].on("warning", (warning) => warnings.push(warning));
        const arrived = collect(to);
        const data = pattern(chunks * 1448);
        for (let frame = 0; frame < 60; frame++) {
          await camera.send(data, desk, { mode: "fleeting" });
          await sleep(100);
        }
        expect(warnings.map(({ code }) => code)).toEqual(["CHUNKS_VANISH"]);
        expect(camera.peer(desk).stats()).toMatchObject({ chunkBytes: 1200, blackHoles: 1 });
        // The first 2 to 3 s are lost.
        expect(arrived.length).toBeGreaterThan(30);
        for (const message of arrived) expect(message.data.equals(data)).toBe(true);
      },
      options,
    );
  },
);

test("losses of 30% each way are no black hole for a fleeting stream, with the seeds 1 to 20", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    await between(
      { latencyMs: 10, lossRatio: 0.3 },
      async ({ camera, desk: to }) => {
        collect(to);
        for (let frame = 0; frame < 100; frame++) {
          await camera.send(pattern(1448), desk, { mode: "fleeting" });
          await sleep(100);
        }
        expect(camera.peer(desk).stats().blackHoles, `seed ${seed}`).toBe(0);
      },
      { ...options, seed },
    );
  }
});
