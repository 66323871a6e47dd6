/** Requests over links that lose datagrams, in virtual time. */

import { AF_INET, type OSError, SOCK_DGRAM } from "datagram";
import { request, serve } from "datagram/message";
import { Network } from "datagram/sim";
import { expect, test } from "vitest";

/** A desk that asks and a camera that answers, with a link between them. */
function deskAndCamera(seed: number, lossRatio: number, latencyMs = 0) {
  const network = new Network({ seed });
  const desk = network.host("desk", { address: "10.0.0.1" });
  const camera = network.host("camera", { address: "10.0.0.2" });
  network.link(desk, camera, { lossRatio, latencyMs });
  return { network, desk, camera };
}

const seeds = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

// semantics: request-resend, request-timeout
test("the waits are those of RFC 7252: the first is 2 to 3 s, each next one is twice as long", async () => {
  const firsts: number[] = [];
  for (const seed of seeds(20)) {
    const { network, desk, camera } = deskAndCamera(seed, 0);
    await network.run(async () => {
      const silent = camera.socket(AF_INET, SOCK_DGRAM);
      await silent.bind(["", 9000]);
      const s = desk.socket(AF_INET, SOCK_DGRAM);
      const start = s.clock.now();
      const error = await request(s, "x", ["camera", 9000]).catch((reason: unknown) => reason as OSError);
      expect(error).toMatchObject({ name: "TimeoutError", code: "ETIMEDOUT" });
      const total = s.clock.now() - start;
      const times = (await silent.recvMany(64)).map(({ timestamp }) => Number(timestamp ?? 0n) / 1e6);
      expect(times.length).toBe(5);
      const waits = times.slice(1).map((at, index) => at - times[index]!);
      const [first = 0] = waits;
      firsts.push(first);
      for (const [index, wait] of waits.entries()) expect(wait / (first * 2 ** index)).toBeCloseTo(1, 3);
      expect(total / (first * 31)).toBeCloseTo(1, 3);
    });
  }
  expect(Math.min(...firsts)).toBeGreaterThanOrEqual(1999);
  expect(Math.max(...firsts)).toBeLessThanOrEqual(3001);
  expect(Math.max(...firsts) - Math.min(...firsts), "the first wait is random").toBeGreaterThan(500);
});

// semantics: request-many
test("at 30% loss both ways, each request gets its own answer or a TimeoutError (seeds 1 to 25)", async () => {
  let [answered, failed] = [0, 0];
  for (const seed of seeds(25)) {
    const { network, desk, camera } = deskAndCamera(seed, 0.3, 25);
    await network.run(async () => {
      const server = camera.socket(AF_INET, SOCK_DGRAM);
      await server.bind(["", 9000]);
      const stop = serve(server, ({ data }) => `ack: ${data.toString()}`);
      const s = desk.socket(AF_INET, SOCK_DGRAM);
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const expected = `ack: ${index}`;
          const accept = ({ data }: { data: Buffer }): boolean => data.toString() === expected;
          try {
            const { data } = await request(s, `${index}`, ["camera", 9000], { accept });
            expect(data.toString()).toBe(expected);
            answered++;
          } catch (error) {
            expect(error, `seed ${seed}`).toMatchObject({ code: "ETIMEDOUT" });
            failed++;
          }
        }),
      );
      await stop();
    });
  }
  // A send and its answer arrive with a chance of 0.49, so that all of five are lost with 0.51 ** 5, or 3.5%.
  expect(answered + failed).toBe(500);
  expect(failed / 500).toBeGreaterThan(0.015);
  expect(failed / 500).toBeLessThan(0.055);
});

// semantics: request-unreachable
test("a request ends when the peer's program has closed its socket, after one round trip", async () => {
  const { network, desk } = deskAndCamera(1, 0, 25);
  await network.run(async () => {
    const s = desk.socket(AF_INET, SOCK_DGRAM);
    const start = s.clock.now();
    await expect(request(s, "x", ["camera", 9000])).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(s.clock.now() - start).toBeLessThan(60);
  });
});
