/** The commands of docs/segmented-sends.md print what the page shows, one after another in a network of their own. */

import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { bin } from "../cli/program.js";
import { Program, home, requireAll, whySkipped, withDriver } from "../process/programs.js";
import { host, needNetworks } from "./network.js";

const document = readFileSync(`${home}docs/segmented-sends.md`, "utf8");
const steps = [...document.matchAll(/```sh\n(.*?)```\n(?:\n```text\n(.*?)```)?/gs)].map(
  ([, commands = "", output = ""]) => ({ commands, output }),
);
/** Separates the output of the steps. */
const mark = "----";

test.skipIf(whySkipped("native") !== undefined)(
  "each step prints what the page shows below it",
  async (t) => {
    needNetworks(t);
    for (const tool of ["tcpdump", "tshark"]) {
      if (!requireAll && spawnSync(tool, ["--version"]).error) t.skip(`skipped: ${tool} is not there`);
    }
    expect(steps.map(({ output }) => output.split("\n").length - 1)).toEqual([0, 9, 9, 2, 8, 6, 3, 8]);
    const folder = mkdtempSync(join(tmpdir(), "datagram-"));
    t.onTestFinished(() => rmSync(folder, { recursive: true }));
    const command = join(folder, "datagram");
    writeFileSync(command, `#!/bin/sh\nexec ${process.execPath} ${bin} "$@"\n`);
    chmodSync(command, 0o755);
    const script = [
      `cd ${folder}; PATH=${folder}:$PATH; exec 2>&1; set -e`,
      "trap 'kill $(jobs -p) 2>/dev/null' EXIT",
      // The test has made the network already.
      ...steps.map(({ commands }) => commands.replace("sudo unshare --net\n", "")),
    ].join(`\necho "${mark}"\n`);
    const alone = await host(t);
    const { DATAGRAM_GSO: _gso, ...env } = withDriver("native");
    const { lines } = await new Program(t, [...alone.within, "bash", "-c", script], env).ended;
    const shown = lines.join("\n").split(`${mark}\n`).slice(2);
    expect(shown.map(withoutChance)).toEqual(steps.map(({ output }) => withoutChance(output)));
  },
);

/** The text without parts that differ between runs: identifications, ports, and right checksums, which depend on the ports. */
function withoutChance(text: string): string {
  return text
    .trimEnd()
    .replace(/ id \d+/g, " id N")
    .replace(/\.\d{5} >/g, ".PORT >")
    .replace(/-> 0x[0-9a-f]+/g, "-> 0xN");
}
