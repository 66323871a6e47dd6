/** Packages of npm that messages are measured beside. They are installed only for a measurement that names them. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The packages, with their exact versions. */
export const peerVersions = { "udx-native": "1.21.3" } as const;
export type PeerName = keyof typeof peerVersions;

/** A package that is installed in a folder, from which it can be required. */
export interface InstalledPeer {
  readonly name: PeerName;
  readonly version: string;
  readonly folder: string;
}

export function isPeer(name: string): name is PeerName {
  return Object.hasOwn(peerVersions, name);
}

/**
 * Installs a package in a temporary folder, without its install scripts, and removes the folder when the process ends.
 *
 * @throws `Error` if npm is missing or fails, for example without a network.
 */
export function installPeer(name: PeerName): InstalledPeer {
  const version = peerVersions[name];
  const wanted = `${name}@${version}`;
  const folder = mkdtempSync(join(tmpdir(), "datagram-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "package.json"), '{ "private": true }');
  process.stderr.write(`installing ${wanted} in ${folder}\n`);
  const { status, stderr, error } = spawnSync(
    "npm",
    ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", wanted],
    { cwd: folder, encoding: "utf8", timeout: 120_000 },
  );
  if (error) throw new Error(`--beside ${name} needs npm: ${error.message}`);
  if (status !== 0) {
    const reason = stderr.split("\n").find((line) => line !== "") ?? `exit code ${status ?? "none"}`;
    throw new Error(`--beside ${name} needs npm and the network to install ${wanted}: ${reason}`);
  }
  return { name, version, folder };
}
