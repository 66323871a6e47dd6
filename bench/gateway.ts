/**
 * Measures the gateway to NATS JetStream beside the client's own calls, and beside rsyslog:
 *
 *     npm run bench:gateway -- [rounds, 3] [seconds, 3]
 */
import { fileURLToPath } from "node:url";

import { Server, cpuUsOf, linesOf, start } from "./gateway/server.js";
import { type Published, type Way, ways } from "./gateway/ways.js";

const [rounds = "3", seconds = "3"] = process.argv.slice(2);
const port = 14_222;
const publishing = fileURLToPath(new URL("gateway/publishing.js", import.meta.url));

const server = await Server.start(port);
try {
  for (let round = 1; round <= Number(rounds); round++) {
    const rates = new Map<Way, number>();
    const texts: string[] = [];
    for (let turn = 0; turn < ways.length; turn++) {
      const way = ways[(round + turn) % ways.length] ?? "gateway";
      await server.freshStream();
      const before = cpuUsOf(server.pid);
      const child = start(publishing, [way, server.url, seconds]);
      const { messages, seconds: took, cpuUs } = JSON.parse(await linesOf(child)()) as Published;
      const serverUs = cpuUsOf(server.pid) - before;
      rates.set(way, messages / took);
      texts.push(
        `${way} ${Math.round(messages / took)}/s, ${(cpuUs / messages).toFixed(1)} µs, server ${(serverUs / (await server.stored())).toFixed(1)} µs`,
      );
    }
    const own = rates.get("gateway") ?? 0;
    process.stdout.write(
      `${texts.join("; ")}; to js.publish ${(own / (rates.get("js.publish") ?? 0)).toFixed(2)}, to core ${(own / (rates.get("core publish") ?? 0)).toFixed(2)}\n`,
    );
  }
} finally {
  await server.close();
}
