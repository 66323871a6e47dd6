/** What strangers send breaks no promise of the decoders, the receiver, the sender and the codecs: `test/fuzz` for a short time. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { messages } from "datagram/message";
import { Network } from "datagram/sim";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { errorOf, fuzz, save } from "../fuzz/fuzz.js";
import { mutated } from "../fuzz/mutations.js";
import { parseSteps } from "../fuzz/steps.js";
import { readCorpus, targets } from "../fuzz/targets.js";
import { desk, next, pattern, sleep } from "./tools.js";

describe.each(targets)("$name", (target) => {
  const corpus = readCorpus(target.name);

  test.each([...corpus])("passes on %s", (_, steps) => {
    expect(steps.length).toBeGreaterThan(0);
    expect(errorOf(target, steps)).toBeUndefined();
  });

  test("passes on changed inputs", () => {
    // The same inputs each time. `npm run fuzz` looks for new ones.
    const { runs, failure } = fuzz(target, [...corpus.values()], 14, { seconds: 100, runs: 300 });
    expect(failure).toBeUndefined();
    expect(runs).toBe(300);
  });
});

test("an input that fails is made smaller, and saved in the corpus as text", () => {
  const planted = {
    name: "planted",
    isFramed: false,
    run: (steps: readonly { readonly data: Uint8Array }[]) => {
      if (steps.some(({ data }) => data.length > 2 && data[1] === 0x77)) throw new Error("it is 77");
    },
  };
  const corpus = [parseSteps("0 1 00112233\n1 2 445566\n# a comment\n2 3 \n")];
  const { failure } = fuzz(planted, corpus, 1, { seconds: 100, runs: 100_000 });
  expect(failure).toBeDefined();
  // One byte is enough, so the smallest input has one change.
  const changed = failure!.steps.filter(({ data }) => data[1] === 0x77);
  expect(changed.length).toBeGreaterThan(0);
  const folder = mkdtempSync(join(tmpdir(), "fuzz-"));
  try {
    const text = readFileSync(save(folder, failure!), "utf8");
    expect(text).toMatch(/^# Error: it is 77\n/);
    expect(errorOf(planted, parseSteps(text))).toContain("it is 77");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("frames of strangers keep no message of an honest peer from arriving once and intact", async () => {
  const corpus = [...readCorpus("receiver").values(), ...readCorpus("sender").values()];
  await fc.assert(
    fc.asyncProperty(mutated(corpus, true), async (steps) => {
      const network = new Network({ seed: 1 });
      const hosts = ["stranger", "camera", "desk"].map((name, at) =>
        network.host(name, { address: at === 2 ? desk[0] : `10.0.0.${at + 3}` }),
      );
      const middle = network.switch("middle");
      for (const host of hosts) network.link(host, middle, { latencyMs: 1 });
      const [stranger, camera, to] = hosts;
      await network.run(async () => {
        const r = to!.socket();
        await r.bind(desk);
        const m = messages(r, { maxSourceBytes: 200_000, maxBytes: 400_000 });
        const honest = messages(camera!.socket());
        m.serve(({ data }) => data);
        const attack = stranger!.socket();
        const sending = (async () => {
          for (const { waitMs, data } of steps) {
            if (waitMs > 0) await sleep(Math.min(waitMs, 50));
            await attack.sendto(data, desk);
            expect(m.stats().partialBytes).toBeLessThanOrEqual(400_000);
          }
        })();
        const source = camera!.address;
        const arrived = (async () => {
          for (;;) {
            const message = await next(m);
            if (message.source.host === source) return message;
          }
        })();
        await honest.send(pattern(50_000), desk);
        expect((await arrived).data.equals(pattern(50_000))).toBe(true);
        expect((await honest.request("hello", desk)).data.toString()).toBe("hello");
        await sending;
        await Promise.all([m.close(), honest.close()]);
      });
    }),
    { numRuns: 40, seed: 14 },
  );
});
