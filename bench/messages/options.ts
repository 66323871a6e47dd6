import { parseArgs } from "node:util";

import { wholeNumber } from "../whole-number.js";
import { type PeerName, isPeer, peerVersions } from "./peers.js";

const usual = [
  "small",
  "bulk",
  "share",
  "interop",
  "fleeting",
  "requests",
  "forgeries",
  "peers",
  "loopback",
] as const;
/** Tables that take long, or that need a machine without other work. */
const onlyIfNamed = ["cameras", "load"] as const;
const all = [...usual, ...onlyIfNamed];
/** `most_peers` of bench/peers/cameras.c. */
const mostPeers = 4096;
export type TableName = (typeof all)[number];

/** How the cameras of the table `load` send: `fleeting` with a number of parities. */
interface Mode {
  readonly name: string;
  readonly mode: "reliable" | "fleeting";
  readonly parity: number;
}

export interface Options {
  readonly only: readonly TableName[];
  readonly seeds: number;
  readonly first: number;
  readonly quick: boolean;
  /** `undefined` if it was not given: the tables have different numbers. */
  readonly cameras: readonly number[] | undefined;
  readonly ms: number;
  readonly everyMs: number;
  readonly modes: readonly Mode[];
  readonly seconds: number;
  readonly offload: boolean;
  readonly beside: readonly PeerName[];
}

const help = `Usage: npm run bench:messages -- [options]

  --only <a,b,…>   some of: ${usual.join(", ")} (all)
  --seeds <n>      runs of each case, 1 to 10000 (100); forgeries and peers run once
  --first <n>      the first seed (101: seeds 1 to 100 were used while the window was tuned)
  --quick          forgeries and peers: a twentieth of the datagrams
  --only cameras   only if named: cameras that send pictures on the simulated network, and what the memory was meanwhile
  --only load      only if named: peers of a C program that send ten pictures a second over loopback, and what the receiver took
  --cameras <n,…>  cameras: how many (1000); load: how many, one number after another, at most ${mostPeers} (100,400,1000)
  --mode <a,b,…>   load: reliable, or fleeting+3 with a number of parities (reliable,fleeting+3)
  --seconds <n>    load: the measured time, after 12 s (20)
  --no-offload     load: each datagram is sent by itself
  --beside <a,…>   loopback: packages that are measured too, after npm has installed them in a temporary folder: ${Object.keys(peerVersions).join(", ")}
  --ms <n>         cameras: for so much virtual time (6000); 3600000 is an hour
  --every <ms>     cameras: the time between two pictures of a camera (100)
`;

/** The options of the command line. Ends the process after `--help`, and with 2 if an option is wrong. */
export function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: "string", default: usual.join(",") },
        seeds: { type: "string" },
        first: { type: "string" },
        quick: { type: "boolean", default: false },
        cameras: { type: "string" },
        ms: { type: "string" },
        every: { type: "string" },
        mode: { type: "string", default: "reliable,fleeting+3" },
        seconds: { type: "string" },
        "no-offload": { type: "boolean", default: false },
        beside: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(help);
      process.exit(0);
    }
    const only = values.only.split(",").map(tableOf);
    const beside = values.beside?.split(",").map(peerOf) ?? [];
    if (beside.length > 0 && !only.includes("loopback")) throw new Error("--beside needs the table loopback");
    const cameras = values.cameras?.split(",").map((text) => wholeNumber("cameras", text, 0, 1, 10_000));
    if (only.includes("cameras") && cameras !== undefined && cameras.length > 1)
      throw new Error("--only cameras takes one number of --cameras");
    if (only.includes("load") && cameras?.some((count) => count > mostPeers))
      throw new Error(`--only load takes at most ${mostPeers} of --cameras`);
    return {
      only,
      seeds: wholeNumber("seeds", values.seeds, 100, 1, 10_000),
      first: wholeNumber("first", values.first, 101, 1, 1_000_000_000),
      quick: values.quick,
      cameras,
      ms: wholeNumber("ms", values.ms, 6000, 10, 86_400_000),
      everyMs: wholeNumber("every", values.every, 100, 1, 3_600_000),
      modes: values.mode.split(",").map(modeOf),
      seconds: wholeNumber("seconds", values.seconds, 20, 1, 3600),
      offload: !values["no-offload"],
      beside,
    };
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n\n${help}`);
    process.exit(2);
  }
}

function tableOf(name: string): TableName {
  const found = all.find((each) => each === name);
  if (found === undefined) throw new Error(`no table is called ${name}`);
  return found;
}

function peerOf(name: string): PeerName {
  if (!isPeer(name)) throw new Error(`--beside knows no ${name}`);
  return name;
}

/** Reads `reliable`, or `fleeting+3` with a number of parities. */
function modeOf(name: string): Mode {
  if (name === "reliable") return { name, mode: "reliable", parity: 0 };
  const [, parity] = /^fleeting\+([0-9])$/.exec(name) ?? [];
  if (parity === undefined)
    throw new Error(`a mode is reliable, or fleeting+3 with 0 to 9 parities, not ${name}`);
  return { name, mode: "fleeting", parity: Number(parity) };
}
