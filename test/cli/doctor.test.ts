import { readFileSync } from "node:fs";
import process from "node:process";

import { describe, expect, test } from "vitest";

import { commandsInOneProcess } from "./one-process.js";
import { Program, bin, everyTestRequired, run } from "./program.js";

/** The driver is chosen by default. */
const runHere = commandsInOneProcess({ DATAGRAM_DRIVER: undefined });

interface Findings {
  readonly ok: boolean;
  readonly driver: { readonly name: string; readonly why: string };
  readonly capabilities: Record<string, { readonly available: boolean; readonly reason?: string }>;
  readonly buffers: readonly {
    readonly name: string;
    readonly askedBytes: number;
    readonly givenBytes: number;
    readonly setting: string;
    readonly settingBytes: number | null;
    readonly advice?: string;
  }[];
  readonly multicast: readonly { readonly name: string; readonly most: number; readonly setting: string }[];
  readonly families: readonly {
    readonly name: string;
    readonly available: boolean;
    readonly loopbackMs: number | null;
  }[];
}

describe("doctor", () => {
  test("doctor prints its findings as text for people", async (t) => {
    const { code, stdout, stderr } = await run(t, ["doctor"], { env: { DATAGRAM_DRIVER: "dgram" } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`on Node.js ${process.versions.node}, ${process.platform} ${process.arch}\n`);
    expect(stdout).toContain("\ndriver dgram\n  DATAGRAM_DRIVER=dgram asks for it; ");
    expect(stdout).toMatch(/\n {2}batching +no +node:dgram /);
    expect(stdout).toMatch(/\n {2}receive +\d+ of 4194304 bytes asked for \(net\.core\.rmem_max is \d+\)\n/);
    expect(stdout).toMatch(/\n {2}IPv4 {2}yes {2}arrived in \d+(\.\d+)? ms\n/);
  });

  test("doctor --json prints the same findings in one line", async () => {
    const { code, stdout, stderr } = await runHere(["doctor", "--json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n")).toHaveLength(2);
    const findings = JSON.parse(stdout) as Findings;
    expect(findings).toMatchObject({ ok: true, node: process.versions.node, arch: process.arch });
    expect(["native", "dgram"]).toContain(findings.driver.name);
    expect(findings.families[0]).toMatchObject({
      name: "IPv4",
      available: true,
      loopbackMs: expect.any(Number) as number,
    });
    for (const capability of Object.values(findings.capabilities)) {
      expect(capability.available || capability.reason).toBeTruthy();
    }
  });

  test("doctor says how to get larger buffers if the kernel gave smaller ones, and only then", async () => {
    const { buffers } = JSON.parse((await runHere(["doctor", "--json"])).stdout) as Findings;
    expect(buffers.map(({ name }) => name)).toEqual(["receive", "send"]);
    for (const { askedBytes, givenBytes, setting, settingBytes, advice } of buffers) {
      const most = Number(readFileSync(`/proc/sys/${setting.replaceAll(".", "/")}`, "utf8"));
      expect(settingBytes).toBe(most);
      expect(givenBytes).toBe(Math.min(most, askedBytes));
      expect(advice).toBe(givenBytes < askedBytes ? `sudo sysctl -w ${setting}=${askedBytes}` : undefined);
    }
  });

  test("doctor says how many groups a socket may join, and how to raise that limit", async () => {
    const { multicast } = JSON.parse((await runHere(["doctor", "--json"])).stdout) as Findings;
    expect(multicast.map(({ name }) => name)).toEqual([
      "IPv4 groups of a socket",
      "sources of an IPv4 group",
      "sources of an IPv6 group",
    ]);
    for (const { most, setting } of multicast.slice(0, 2))
      expect(most).toBe(Number(readFileSync(`/proc/sys/${setting.replaceAll(".", "/")}`, "utf8")));
    const { stdout } = await runHere(["doctor"]);
    for (const { most, setting } of multicast)
      expect(stdout).toContain(`at most ${most} (sudo sysctl -w ${setting}=${2 * most} for more)\n`);
  });

  test("doctor says which driver is chosen by default, and why", async () => {
    const { stdout } = await runHere(["doctor", "--json"]);
    const { driver } = JSON.parse(stdout) as Findings;
    expect(driver).toEqual(
      driver.name === "native"
        ? { name: "native", why: "the native driver loads here" }
        : { name: "dgram", why: expect.stringMatching(/^the native driver is not available: ./) as string },
    );
  });

  test("an unknown driver is an error in one line", async (t) => {
    const { code, stdout, stderr } = await run(t, ["doctor"], { env: { DATAGRAM_DRIVER: "pigeon" } });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toBe(
      'datagram doctor: socket: DATAGRAM_DRIVER must be native or dgram, not "pigeon" (EINVAL)\n',
    );
  });

  test("without a loopback interface the exit code is 1, and the report is complete", async (t) => {
    // The loopback interface of a new network namespace is down.
    const alone = ["--user", "--map-root-user", "--net", process.execPath, bin, "doctor", "--json"];
    const { code, stdout, stderr } = await new Program(t, "unshare", alone).ended;
    if (stderr.startsWith("unshare:") && !everyTestRequired) t.skip(`needs a network namespace: ${stderr}`);
    expect(code).toBe(1);
    expect(stderr).toBe("datagram doctor: a datagram to this machine did not arrive\n");
    const { ok, families } = JSON.parse(stdout) as Findings;
    expect(ok).toBe(false);
    expect(families.map(({ loopbackMs }) => loopbackMs)).toEqual([null, null]);
  });
});
