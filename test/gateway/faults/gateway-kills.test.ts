/**
 * `kill -9` of `datagram gateway` at random times while datagrams come in, several times on one stream: the stream has every datagram
 * that a gateway had reported as stored, and each datagram once.
 */

import { setTimeout as sleep } from "node:timers/promises";

import { type TestContext, describe, expect, test } from "vitest";

import { type Program, datagram } from "../../cli/program.js";
import { unusedPort } from "../../ports.js";
import { NatsServer, noServer } from "../nats.js";
import { below, expectKept, floodDuring, randomOf, seeds } from "./seeds.js";

describe.skipIf(noServer !== undefined)("kill -9 of the gateway", () => {
  test.for(seeds(3))("seed %i", async (seed, t) => {
    const random = randomOf(seed);
    const server = await NatsServer.start();
    t.onTestFinished(() => server.close());
    const port = unusedPort();
    let [sent, reported] = [0, 0];
    for (let kills = 1 + below(random, 2); kills > 0; kills--) {
      const program = await gatewayAt(t, port, server.url);
      const first = sent;
      sent += await floodDuring(
        t,
        random,
        ["127.0.0.1", port],
        async () => {
          // A report comes once a second.
          while ((JSON.parse(await program.line("stdout")) as { stored: number }).stored === 0);
          await sleep(random() * 300);
          program.child.kill("SIGKILL");
          await program.ended;
        },
        first,
        // The kill is at least a second later, long after these.
        4_000,
      );
      const { stdout } = await program.ended;
      const reports = stdout.split("\n").filter((line) => line.endsWith("}"));
      reported += (JSON.parse(reports.at(-1) ?? "{}") as { stored: number }).stored;
    }
    expect(reported).toBeGreaterThan(0);
    const messages = await server.messages("killed");
    // A gateway stores on after its last report.
    expectKept(messages, reported, sent, sent - reported);
  });
});

/** Starts the command, and waits until it listens. */
async function gatewayAt(t: TestContext, port: number, nats: string): Promise<Program> {
  const program = datagram(t, [
    "gateway",
    `127.0.0.1:${port}`,
    "--stream",
    "killed",
    "--create",
    "--json",
    "--nats",
    nats,
  ]);
  let line = "";
  while (!line.startsWith("storing in the stream")) line = await program.line("stderr");
  return program;
}
