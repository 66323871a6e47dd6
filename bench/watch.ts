/**
 * Compares how many datagrams a socket takes unwatched, watched by `watch` of `datagram/watch`, and watched with a page that is
 * connected:
 *
 *     npm run bench:watch -- [rounds, 3] [datagrams a second, 200000] [bytes, 64]
 *
 * Another process offers the datagrams for 3 s. The three run one after the other in each round, each in a process of its own. It prints
 * the shares of the offered datagrams that were taken, and the CPU time for each.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { socket } from "datagram";
import { watch } from "datagram/watch";
import { WebSocket } from "ws";

const here = fileURLToPath(import.meta.url);
const modes = ["unwatched", "watched", "page"] as const;
const offerMs = 3000;
/** Milliseconds for the last datagrams to arrive. */
const restMs = 200;

const [first = "3", second = "200000", third = "64", fourth] = process.argv.slice(2);
if (first === "--offer") await offer(Number(second), Number(third), Number(fourth));
else if (first === "--take") await take(second as (typeof modes)[number], Number(third), Number(fourth));
else {
  for (let round = 1; round <= Number(first); round++) {
    const parts = modes.map((mode) => {
      const args = [here, "--take", mode, second, third];
      return `${mode} ${spawnSync(process.execPath, args, { encoding: "utf8" }).stdout.trim()}`;
    });
    process.stdout.write(`${parts.join("  ")}\n`);
  }
}

/** Sends datagrams at a rate. Prints how many. */
async function offer(port: number, rate: number, bytes: number): Promise<void> {
  await using s = socket();
  await s.connect(["127.0.0.1", port]);
  const payload = Buffer.alloc(bytes, "x");
  const start = performance.now();
  let sent = 0;
  for (let ms = 0; ms < offerMs; ms = performance.now() - start) {
    const due = Math.min(Math.floor((ms / 1000) * rate) - sent, 512);
    if (due >= 32) {
      await s.sendMany(Array<Buffer>(due).fill(payload));
      sent += due;
    } else await new Promise((resolve) => setImmediate(resolve));
  }
  process.stdout.write(String(sent));
}

/** Receives what another process offers. Prints the share, and the CPU time of each datagram. */
async function take(mode: (typeof modes)[number], rate: number, bytes: number): Promise<void> {
  const s = socket();
  await s.bind(["127.0.0.1", 0]);
  const page = mode === "unwatched" ? undefined : await watch(s);
  if (page && mode === "page") {
    const client = new WebSocket(`${page.url.replace("http", "ws")}socket`, {
      origin: new URL(page.url).origin,
    });
    await once(client, "open");
    client.send(JSON.stringify({ type: "list", request: 1, live: true, text: "" }));
  }
  const offerer = spawn(
    process.execPath,
    [here, "--offer", String(s.getsockname().port), String(rate), String(bytes)],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let offered = "";
  offerer.stdout.on("data", (part) => (offered += String(part)));
  let taken = 0;
  const before = process.cpuUsage();
  offerer.on("close", () => {
    setTimeout(() => {
      const { user, system } = process.cpuUsage(before);
      const share = (100 * taken) / Number(offered);
      process.stdout.write(`${share.toFixed(1)}% ${((user + system) / taken).toFixed(2)} µs\n`);
      process.exit();
    }, restMs);
  });
  for await (const batch of s.batches()) taken += batch.length;
}
