/** The simulated network: datagrams per second, the cost of idle hosts, the memory of many sockets, ten virtual minutes. */
import { join } from "node:path";

import type { Progress } from "./measure.js";
import type { Options } from "./options.js";
import { type Line, Peer, type Settings } from "./peer.js";
import { type Program, root } from "./programs.js";
import { type SimOutcome, spread } from "./results.js";

interface Scene {
  readonly name: string;
  readonly role: string;
  readonly settings: Settings;
  readonly figure: "perSecond" | "seconds" | "rssBytes";
}

const amount = { full: 1_000_000, quick: 100_000 };
const senders = [
  { by: "promises", what: "1,024 sendto() promises in a tick" },
  { by: "sendMany", what: "sendMany() of 1,024" },
  { by: "awaited", what: "sendto(), one by one, each awaited" },
];
const readers = [
  { reader: "for-await", what: "for await" },
  { reader: "recvMany", what: "recvMany()" },
];
const scenes: readonly Scene[] = [
  ...senders.flatMap(({ by, what }) =>
    readers.map(({ reader, what: how }): Scene => ({
      name: `${what}, to ${how}`,
      role: "deliver",
      settings: { by, reader },
      figure: "perSecond",
    })),
  ),
  {
    name: "over a switch, by two of 10,000 hosts, each with a socket bound",
    role: "beside",
    settings: { by: "promises", reader: "for-await", hosts: 10_000, amount: 200_000 },
    figure: "perSecond",
  },
  ...[
    { over: "links", what: "each linked to the next" },
    { over: "switch", what: "all on one switch" },
  ].map(({ over, what }): Scene => ({
    name: `ten virtual minutes of 100 hosts, ${what}, ten datagrams a second each`,
    role: "minutes",
    settings: { over },
    figure: "seconds",
  })),
  {
    name: "resident memory of 10,000 hosts with 100,000 sockets, each of which has sent and received",
    role: "crowd",
    settings: { hosts: 10_000 },
    figure: "rssBytes",
  },
];

/** Runs all cases in turn, round by round, each in a process of its own on CPU 0. */
export async function measureSim({ rounds, quick }: Options, progress: Progress): Promise<SimOutcome> {
  const measured = scenes.map((scene) => ({ scene, lines: [] as Line[] }));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const { scene, lines } of measured) {
        progress(`sim: round ${round + 1} of ${rounds}, ${scene.name}`);
        lines.push(await play(scene, quick));
      }
    }
  } catch (error) {
    return { failed: (error as Error).message };
  }
  const figures = measured.map(({ scene: { name, figure }, lines }) => ({
    name,
    figure,
    spread: spread(lines.map((line) => line[figure])),
  }));
  const ratios = measured.flatMap(({ lines }) => lines.map(({ ratio }) => ratio));
  return { figures, idleCost: spread(ratios) };
}

async function play({ role, settings }: Scene, quick: boolean): Promise<Line> {
  const program: Program = {
    command: [process.execPath, join(root, "build", "bench", "sim", "worker.js")],
    env: process.env,
    version: process.version,
  };
  const of = { amount: quick ? amount.quick : amount.full, ...settings };
  await using peer = new Peer(program, role, of, 0);
  return await peer.result();
}
