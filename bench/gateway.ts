/**
 * Measures the gateway to NATS JetStream: publishing, beside the client's own calls; and the datagrams that are stored without loss,
 * beside a plain program and rsyslogd. The part `folder` has only the programs of `datagrams` that need no server, and one that only
 * receives; it runs if it is named:
 *
 *     npm run bench:gateway -- [rounds, 3] [seconds, 3] [--only publishing | --only datagrams | --only folder]
 */
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { measureDatagrams, measureFolder } from "./gateway/datagrams.js";
import { Server, cpuUsOf, linesOf, start } from "./gateway/server.js";
import { type Published, type Way, warmUpSeconds, ways } from "./gateway/ways.js";

const { values, positionals } = parseArgs({ options: { only: { type: "string" } }, allowPositionals: true });
const rounds = Number(positionals[0] ?? 3);
const seconds = Number(positionals[1] ?? 3);
const publishing = fileURLToPath(new URL("gateway/publishing.js", import.meta.url));
const parts = new Map([
  ["publishing", measurePublishing],
  ["datagrams", measureDatagrams],
  ["folder", measureFolder],
]);
for (const name of values.only === undefined ? ["publishing", "datagrams"] : [values.only]) {
  const measure = parts.get(name);
  if (!measure) throw new Error(`--only is one of ${[...parts.keys()].join(", ")}`);
  await measure(rounds, seconds);
}

async function measurePublishing(rounds: number, seconds: number): Promise<void> {
  const server = await Server.start();
  try {
    for (let round = 1; round <= rounds; round++) {
      const rates = new Map<Way, number>();
      const texts: string[] = [];
      for (let turn = 0; turn < ways.length; turn++) {
        const way = ways[(round + turn) % ways.length] ?? "gateway";
        await server.freshStream();
        const before = cpuUsOf(server.pid);
        const child = start(publishing, [way, server.url, String(seconds)]);
        const { messages, seconds: took, cpuUs } = JSON.parse(await linesOf(child)()) as Published;
        const serverUs = cpuUsOf(server.pid) - before;
        rates.set(way, messages / took);
        // The server has worked in the warm-up too.
        const ofServer = (serverUs / messages) * (took / (took + warmUpSeconds));
        texts.push(
          `${way} ${Math.round(messages / took)}/s, ${(cpuUs / messages).toFixed(1)} µs, server ${ofServer.toFixed(1)} µs`,
        );
      }
      for (const way of ["gateway", "gateway with bundles"] as const) {
        const ratioTo = (other: Way): string => ((rates.get(way) ?? 0) / (rates.get(other) ?? 0)).toFixed(2);
        texts.push(`${way} to js.publish ${ratioTo("js.publish")}, to core ${ratioTo("core publish")}`);
      }
      process.stdout.write(`${texts.join("; ")}; load ${(loadavg()[0] ?? 0).toFixed(1)}\n`);
    }
  } finally {
    await server.close();
  }
}
