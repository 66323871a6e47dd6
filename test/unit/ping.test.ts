import { expect, test } from "vitest";

import { frameProbes, textProbes } from "../../src/cli/ping-probes.js";
import { RoundTrips } from "../../src/cli/round-trips.js";

test("without round trips there are no statistics", () => {
  expect(new RoundTrips().stats()).toBeUndefined();
});

test("the quantiles are by the nearest rank, and the jitter is that of RFC 3550", () => {
  const trips = new RoundTrips();
  for (let ms = 100; ms >= 1; ms--) trips.add(ms);
  const { jitterMs, ...rest } = trips.stats()!;
  expect(rest).toEqual({ minMs: 1, medianMs: 50, p99Ms: 99, maxMs: 100 });
  // Each difference is 1, and the jitter goes towards it by a sixteenth of the rest.
  expect(jitterMs).toBeCloseTo(1 - (15 / 16) ** 99, 10);
  const two = new RoundTrips();
  two.add(10);
  expect(two.stats()).toEqual({ minMs: 10, medianMs: 10, p99Ms: 10, maxMs: 10, jitterMs: 0 });
  two.add(26);
  expect(two.stats()?.jitterMs).toBe(1);
});

test("an answer that contains a probe of this ping is matched, and that of another ping is not", () => {
  const probes = textProbes(7, 60);
  expect(probes.payload(3)).toHaveLength(60);
  expect(probes.answered(Buffer.from("pong"))).toBe("newest");
  expect(probes.answered(Buffer.concat([Buffer.from("ack: "), probes.payload(3)]))).toBe(3);
  expect(probes.answered(textProbes(8, 60).payload(3))).toBeUndefined();
  expect(probes.answered(Buffer.from("pong"))).toBeUndefined();
});

test("a PROBE frame is answered by a PROBE_ACK, and by nothing else", () => {
  const probes = frameProbes(0xffff_ffff);
  const probe = probes.payload(2);
  expect(probe.toString("hex", 0, 8)).toBe("0d06000000000001");
  expect(probes.answered(probe)).toBeUndefined();
  expect(probes.answered(Buffer.from("pong"))).toBeUndefined();
});
