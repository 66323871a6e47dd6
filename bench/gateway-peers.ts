/**
 * Measures the memory of `datagram gateway` while datagrams of many peers come in, each from an address of its own in 127.0.0.0/8:
 *
 *     npm run bench:peers -- [peers, 1000000] [datagrams a second, 20000]
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { socket } from "datagram";
import { Server, start } from "./gateway/server.js";

const [peers = "1000000", rate = "20000"] = process.argv.slice(2);
const natsPort = 14_223;
const at = ["127.0.0.1", 14_224] as const;
const command = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
/** Addresses that a sender has: 127.0.0.2 to 127.255.255.253. */
const maxPeers = 2 ** 24 - 4;

const server = await Server.start(natsPort);
const args = [
  `${at[0]}:${at[1]}`,
  "--nats",
  server.url,
  "--stream",
  "peers",
  "--create",
  "--buckets",
  "64",
  "--json",
];
const gateway = start(command, ["gateway", ...args]);
let counts: Record<string, number> = {};
if (!gateway.stdout) throw new Error("the output of the gateway is read");
createInterface({ input: gateway.stdout }).on("line", (line) => {
  counts = JSON.parse(line) as Record<string, number>;
});
try {
  await using s = socket();
  let sent = 0;
  const startMs = performance.now();
  // Further peers, until the gateway has seen enough: the kernel may drop some.
  while ((counts.received ?? 0) < Number(peers) && sent < maxPeers) {
    const due = Math.min(200, Math.floor(((performance.now() - startMs) / 1000) * Number(rate)) - sent);
    if (due > 0)
      await s.sendMany(
        Array.from({ length: due }, () => ({ data: "x".repeat(200), address: at, source: sourceOf(sent++) })),
      );
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const status = readFileSync(`/proc/${gateway.pid}/status`, "utf8");
  const [, kilobytes] = /^VmHWM:\s*(\d+) kB$/m.exec(status) ?? [];
  const [, ofServer] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${server.pid}/status`, "utf8")) ?? [];
  const { received, stored, shed, refused, inFlight } = counts;
  process.stdout.write(
    `${JSON.stringify({ sent, received, stored, shed, refused, inFlight })}: at most ${Math.round(Number(kilobytes) / 1024)} MiB resident in the gateway, ${Math.round(Number(ofServer) / 1024)} MiB in the server\n`,
  );
} finally {
  gateway.kill("SIGINT");
  await server.close();
}

function sourceOf(number: number): string {
  const address = number + 2;
  return `127.${address >> 16}.${(address >> 8) & 255}.${address & 255}`;
}
