/**
 * node exchange.mjs PACKAGE loopback|simulated FOLDER: runs the exchange of one package, and prints what happened as JSON.
 * Which `node:dgram` the loopback has is decided by `node --import`.
 */
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

import { packages } from "./packages.mjs";

const [name, world, folder] = process.argv.slice(2);
const { exchange } = packages.find((each) => each.name === name);
const from = join(folder, "exchange.js");

/** With this seed, the first packet of the client is lost. */
const seed = 31;

/** The longest time that an exchange may take, in seconds: real ones on loopback, virtual ones in the network. */
const limit = { loopback: 15, simulated: 900 };

async function loopback() {
  const require = createRequire(from);
  const lines = [];
  const load = (specifier) => Promise.resolve(require(specifier));
  const ends = { at: "127.0.0.1", from: "127.0.0.1", client: load, server: load };
  const run = exchange({ ...ends, say: (line) => lines.push(line), wait: setTimeout });
  const end = await Promise.race([outcome(run), setTimeout(limit.loopback * 1000, "does not end")]);
  return { lines, end };
}

async function simulated(lossRatio) {
  const { Network } = await import("datagram/sim");
  const network = new Network({ seed, seedProgram: true });
  const [client, server] = [
    network.host("client", { address: "10.0.0.1" }),
    network.host("server", { address: "10.0.0.2" }),
  ];
  network.link(client, server, { latencyMs: 20, lossRatio });
  const lines = [];
  let ended = 0;
  const end = await outcome(
    network.run(
      async () => {
        await exchange({
          at: server.address,
          from: client.address,
          client: (specifier) => client.load(specifier, { from }),
          server: (specifier) => server.load(specifier, { from }),
          say: (line) => lines.push(line),
          wait: (ms) => new Promise((resolve) => globalThis.setTimeout(resolve, ms)),
        });
        ended = network.clock.now();
      },
      { limitMs: limit.simulated * 1000 },
    ),
  );
  const { hash, packets } = network.trace;
  const trace = createHash("sha256")
    .update(JSON.stringify([hash, lines, end]))
    .digest("hex")
    .slice(0, 16);
  return {
    lines,
    end,
    ended,
    trace,
    packets: packets.length,
    lost: packets.filter(({ fate }) => fate === "lost").length,
  };
}

/** "ended", or why not. */
async function outcome(run) {
  try {
    await run;
    return "ended";
  } catch (error) {
    if (error?.code === "ERR_SIM_TIME_LIMIT" || error?.code === "ERR_SIM_DEADLOCK") return "does not end";
    return String(error?.message ?? error).split("\n")[0];
  }
}

const write = (result) => process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit());
process.on("uncaughtException", (error) =>
  write({ lines: [], end: `uncaught: ${error.message.split("\n")[0]}` }),
);
if (world === "loopback") write(await loopback());
else {
  const lossy = [];
  const clean = await simulated(0);
  for (let time = 0; time < 3; time++) lossy.push(await simulated(0.2));
  write({ clean, lossy });
}
