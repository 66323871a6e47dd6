/**
 * A disk that fills up under the server while datagrams come in, and that has room again after a restart: nothing that was
 * acknowledged is lost, nothing is stored twice, and the account closes.
 */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { type TestContext, describe, expect, test } from "vitest";

import { requireAll } from "../../process/programs.js";
import { NatsServer, noServer } from "../nats.js";
import { below, closed, expectKept, floodDuring, randomOf, seeds, startedAtRandom } from "./seeds.js";

/** Mounts of its own, which the machine does not see. */
const inMounts = ["--mount", "--"];
const canMount =
  requireAll || spawnSync("unshare", [...inMounts, "mount", "-t", "tmpfs", "none", tmpdir()]).status === 0;

describe.skipIf(noServer !== undefined || !canMount)("a disk that is full", () => {
  test.for(seeds(3))("seed %i", async (seed, t) => {
    const random = randomOf(seed);
    const disk = await Disk.make(t, 4000 + below(random, 4000));
    const server = await NatsServer.start({
      within: disk.within,
      store: disk.folder,
      // Else the server takes a part of the free space as its limit, and never fills the disk.
      settings: "jetstream { max_file_store: 1GB }",
    });
    t.onTestFinished(() => server.close());
    const { running, at } = await startedAtRandom(t, random, {
      nats: server.url,
      stream: "disk",
      create: true,
      giveUpMs: below(random, 2) * 60_000,
    });
    const sent = await floodDuring(t, random, at, async () => {
      for (let count = 1 + below(random, 2); count > 0; count--) {
        await sleep(random() * 60);
        disk.fill();
        await sleep(200 + random() * 300);
        disk.free();
        // The server has switched JetStream off, until it starts again.
        await server.signal("SIGKILL");
        await server.start();
      }
    });
    const stats = await closed(running, sent);
    expect(stats).toMatchObject({ inFlight: 0, resentLate: 0 });
    expectKept(await server.messages("disk"), stats.stored, sent);
  });
});

/** A small disk in memory, in mounts of its own. */
class Disk {
  readonly folder: string;
  /** The first words of a command that sees the disk. */
  readonly within: readonly [string, ...string[]];

  private constructor(folder: string, pid: number) {
    this.folder = folder;
    this.within = ["nsenter", `--target=${pid}`, "--mount", "--"];
  }

  static async make(t: TestContext, kilobytes: number): Promise<Disk> {
    const folder = mkdtempSync(join(tmpdir(), "datagram-disk-"));
    const script = `mount -t tmpfs -o size=${kilobytes}k none "$1" && echo mounted && exec cat`;
    const holder = spawn("unshare", [...inMounts, "sh", "-c", script, "sh", folder], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    t.onTestFinished(async () => {
      const ended = once(holder, "exit");
      holder.stdin.end();
      await ended;
      rmSync(folder, { recursive: true });
    });
    await once(holder.stdout, "data");
    return new Disk(folder, holder.pid ?? 0);
  }

  /** Takes all space that is left. */
  fill(): void {
    this.#run('cat /dev/zero >"$1/filler" 2>/dev/null || true');
  }

  /** Returns that space. */
  free(): void {
    this.#run('rm "$1/filler"');
  }

  #run(script: string): void {
    const [program, ...rest] = [...this.within, "sh", "-ec", script, "sh", this.folder];
    const { status, stderr } = spawnSync(program, rest, { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(status).toBe(0);
  }
}
