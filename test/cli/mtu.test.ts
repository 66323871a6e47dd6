import { describe, expect, test } from "vitest";

import { whySkipped } from "../process/programs.js";
import { commandsInOneProcess } from "./one-process.js";
import { listen, pythonPeer, run } from "./program.js";

const native = { env: { DATAGRAM_DRIVER: "native" } } as const;
const skipped = whySkipped("native") !== undefined;
const runHere = commandsInOneProcess(native.env);

/** The lines that `datagram mtu` writes for the probes to this machine itself, over IPv4. */
const probes = [
  / 1200 bytes {2}answered in \d+\.\d\d ms/,
  /65507 bytes {2}answered in \d+\.\d\d ms/,
  /65507 bytes {2}answered in \d+\.\d\d ms/,
];

describe.skipIf(skipped)("a peer on this machine", () => {
  test.for([[["--echo"]], [["--reply", "ok"]], [["--reply", "ack: {}", "--recvfrom", "64"]]])(
    "the result for a peer with %j is the largest possible datagram",
    async ([args], t) => {
      const { address } = await listen(t, args);
      const { code, stdout, stderr } = await run(t, ["mtu", address], native);
      expect(code).toBe(0);
      expect(stderr).toMatch(new RegExp(`^${probes.map(({ source }) => `${source}\n`).join("")}$`));
      expect(stdout.split("\n")).toEqual([
        `payload     65507 bytes: the largest datagram that arrives at ${address} in one packet`,
        "overhead    28 bytes of IPv4 and UDP headers",
        "path MTU    65535 bytes",
        expect.stringMatching(/^round trip {2}\d+\.\d\d ms, the shortest of 3 probes, 0 lost$/),
        "64 KiB      2 datagrams of that size",
        "",
      ]);
    },
  );

  test("--json prints one object on one line, and the probes stay on standard error", async (t) => {
    const { address, port } = await listen(t, ["--echo"], "[::1]:0");
    const { code, stdout, stderr } = await runHere(["mtu", address, "--json"]);
    expect({ code, lines: stdout.split("\n").length }).toEqual({ code: 0, lines: 2 });
    const result = JSON.parse(stdout) as { rttMs: number; maxPayload: number; mtu: number };
    expect(result).toEqual({
      destination: { host: "::1", port },
      maxPayload: expect.any(Number) as number,
      mtu: result.maxPayload + 48,
      overhead: 48,
      probes: 3,
      lost: 0,
      rttMs: expect.any(Number) as number,
      blackHole: false,
      ignored: 0,
      chunksOf64KiB: 2,
    });
    expect(stderr).toMatch(/^ 1200 bytes {2}answered in/);
  });

  test("the result for a peer that drops datagrams above a size is that size, with each loss and a warning", async (t) => {
    const body = `
while True:
    data, source = s.recvfrom(65535)
    if len(data) <= 1471: s.sendto(data, source)`;
    const { address } = await pythonPeer(t, body);
    const { code, stdout, stderr } = await runHere(["mtu", address, "--timeout", "100ms"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^payload {5}1471 bytes: /);
    for (const size of ["65507", " 1472"]) {
      for (const attempt of [1, 2, 3]) expect(stderr).toContain(`${size} bytes  lost (${attempt} of 3)\n`);
    }
    expect(stderr).toMatch(/\nwarning: a black hole: datagrams above 1471 bytes vanish[^\n]*\n$/);
  });
});

describe.skipIf(skipped)("no result", () => {
  test("a closed port ends the search at once with exit code 4", async (t) => {
    const gone = await pythonPeer(t, "");
    await gone.ended;
    const ending = await runHere(["mtu", gone.address, "--timeout", "10m"]);
    expect(ending).toMatchObject({ code: 4, stdout: "" });
    expect(ending.stderr).toBe(
      `datagram mtu: nobody is listening on ${gone.address} (port unreachable, from 127.0.0.1)\n`,
    );
  });

  test("a silent peer is exit code 3, and the message says which peers answer", async (t) => {
    const { address } = await pythonPeer(t, "while True: s.recvfrom(65535)");
    const { code, stdout, stderr } = await runHere(["mtu", address, "--timeout", "50ms"]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    const lost = ["1200", "  64"].flatMap((size) => [1, 2, 3].map((n) => ` ${size} bytes  lost (${n} of 3)`));
    expect(stderr.split("\n")).toEqual([
      ...lost,
      expect.stringMatching(/^datagram mtu: no answer from 127\.0\.0\.1:\d+: .*datagram listen --echo/),
      "",
    ]);
  });
});

test("over node:dgram the exit code is 1, and the message names the driver that can", async (t) => {
  const { address } = await listen(t, ["--echo"]);
  const env = { DATAGRAM_DRIVER: "dgram" };
  const { code, stdout, stderr } = await run(t, ["mtu", address], { env });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^datagram mtu: .*the native driver.* \(ENOTSUP\)\n$/);
});
