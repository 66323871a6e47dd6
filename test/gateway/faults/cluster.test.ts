/**
 * Three servers that keep three replicas, of which one at a time is killed and started again while datagrams come in: nothing that was
 * acknowledged is lost, nothing is stored twice, and the account closes.
 */

import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import { type TestContext, describe, expect, test } from "vitest";

import { NatsServer, type NatsServerOptions, noServer } from "../nats.js";
import { started } from "../sending.js";
import { below, closed, expectKept, floodDuring, randomOf, seeds, startedAtRandom } from "./seeds.js";

describe.skipIf(noServer !== undefined)("kill -9 of one server of three", () => {
  test.for(seeds(1))("seed %i", async (seed, t) => {
    const random = randomOf(seed);
    const servers = await cluster(t);
    const { running, at } = await startedAtRandom(t, random, {
      nats: servers.map(({ url }) => url),
      stream: "cluster",
      create: { replicas: 3 },
      // A stream has no leader for some seconds after a kill.
      ackTimeoutMs: 1000,
      giveUpMs: 60_000,
    });
    const sent = await floodDuring(t, random, at, async () => {
      for (let kills = 1 + below(random, 3); kills > 0; kills--) {
        const server = servers[below(random, 3)]!;
        await sleep(random() * 500);
        await server.signal("SIGKILL");
        await sleep(random() * 2000);
        await server.start();
        await untilCurrent(servers);
      }
    });
    const stats = await closed(running, sent);
    expect(stats).toMatchObject({ refused: 0, inFlight: 0, resentLate: 0 });
    const [reader] = servers;
    expectKept((await reader?.messages("cluster")) ?? [], stats.stored, sent);
  });
});

test.skipIf(noServer !== undefined)(
  "a stream with three replicas is created when the third server of a cluster comes",
  async (t) => {
    const plan = await planned();
    const servers = [await NatsServer.start(plan[0]), await NatsServer.start(plan[1])];
    t.onTestFinished(async () => {
      await Promise.all(servers.map((server) => server.close()));
    });
    const [first] = servers;
    await untilAsked(first!, "STREAM.NAMES", () => true);
    const starting = started(t, { nats: first!.url, stream: "late", create: { replicas: 3 } });
    servers.push(await NatsServer.start(plan[2]));
    const { running } = await starting;
    expect(running.stats().received).toBe(0);
    expect(await first!.ask("STREAM.INFO.late")).toMatchObject({ config: { num_replicas: 3 } });
  },
);

/** The options of the servers of a cluster. */
async function planned(): Promise<NatsServerOptions[]> {
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`).join(", ");
  return ports.map((port, index) => ({
    settings: `server_name: n${index}\ncluster { name: c, listen: "127.0.0.1:${port}", routes: [${routes}] }`,
  }));
}

/** Three servers, which have elected a leader. */
async function cluster(t: TestContext): Promise<NatsServer[]> {
  const servers = await Promise.all((await planned()).map((options) => NatsServer.start(options)));
  t.onTestFinished(async () => {
    await Promise.all(servers.map((server) => server.close()));
  });
  // The leader knows all three servers when it places a stream on each of them.
  const probe = { name: "probe", subjects: ["probe"], num_replicas: 3 };
  await untilAsked(servers[0]!, "STREAM.CREATE.probe", () => true, probe);
  await untilAsked(servers[0]!, "STREAM.DELETE.probe", () => true);
  return servers;
}

/** Waits until all three servers have the whole stream, so that the next kill finds two others. */
async function untilCurrent(servers: readonly NatsServer[]): Promise<void> {
  interface Info {
    readonly cluster?: {
      readonly leader?: string;
      readonly replicas?: readonly { current: boolean; offline?: boolean }[];
    };
  }
  for (const server of servers) {
    await untilAsked(server, "STREAM.INFO.cluster", (answer) => {
      const { leader, replicas = [] } = (answer as Info).cluster ?? {};
      return (
        leader !== undefined &&
        replicas.length === 2 &&
        replicas.every((each) => each.current && !each.offline)
      );
    });
  }
}

async function untilAsked(
  server: NatsServer,
  subject: string,
  isWanted: (answer: Record<string, unknown>) => boolean,
  request: object = {},
): Promise<void> {
  const asked = async (): Promise<boolean> => {
    try {
      const answer = await server.ask(subject, request);
      return answer.error === undefined && isWanted(answer);
    } catch {
      // No server of the cluster answers while there is no leader.
      return false;
    }
  };
  await expect.poll(asked, { timeout: 60_000, interval: 100 }).toBe(true);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
