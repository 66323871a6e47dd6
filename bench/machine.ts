import { cpus, loadavg, release, type as systemName } from "node:os";

import type { Options } from "./options.js";
import { pins } from "./peer.js";
import type { Found, ProgramName } from "./programs.js";

/** Where and how the figures were measured. Without this, no figure has a meaning. */
export interface Machine {
  readonly cpu: string;
  readonly cpus: number;
  readonly kernel: string;
  /** The load average of the last minute, before the benchmark started. */
  readonly load: number;
  readonly pinned: boolean;
  readonly versions: Readonly<Record<string, string>>;
  /** The programs that are missing here, with the reason. */
  readonly missing: Readonly<Record<string, string>>;
  readonly date: string;
  readonly command: string;
  readonly rounds: number;
  readonly quick: boolean;
}

export function describeMachine(
  { rounds, quick, sim }: Options,
  programs: ReadonlyMap<ProgramName, Found>,
): Machine {
  const versions: Record<string, string> = {};
  const missing: Record<string, string> = {};
  for (const [name, program] of programs) {
    if ("missing" in program) missing[name] = program.missing;
    else versions[name] = program.version;
  }
  if (sim) versions.sim = `Node ${process.versions.node}`;
  const args = process.argv.slice(2);
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown CPU",
    cpus: cpus().length,
    kernel: `${systemName()} ${release()}`,
    load: loadavg()[0] ?? 0,
    pinned: pins,
    versions,
    missing,
    date: new Date().toISOString().slice(0, 10),
    command: ["npm run bench", ...(args.length > 0 ? ["--", ...args] : [])].join(" "),
    rounds,
    quick,
  };
}
