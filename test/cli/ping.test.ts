import { setTimeout as wait } from "node:timers/promises";

import { socket } from "datagram";
import { messages } from "datagram/message";
import { describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { objects } from "./listening.js";
import { datagram, deadAddress, pythonPeer, run } from "./program.js";

const fast = ["--interval", "20ms"];

describe("ping", () => {
  test("a Python peer that acknowledges, as on the page, is measured", async (t) => {
    const { address } = await pythonPeer(
      t,
      `while True:
    request, source = s.recvfrom(65535)
    s.sendto(b"ack: " + request, source)`,
    );
    const { code, stdout, stderr } = await run(t, ["ping", address, "--count", "3", ...fast]);
    expect(code).toBe(0);
    const line = (seq: number): string => `61 bytes from ${address}: seq=${seq} time=\\d+\\.\\d\\d ms\n`;
    expect(stdout).toMatch(new RegExp(`^${line(1)}${line(2)}${line(3)}$`));
    expect(stderr).toMatch(
      new RegExp(
        `^3 probes to ${address}: 3 answered, 0 lost \\(0%\\)\n` +
          "round trip: min [\\d.]+, median [\\d.]+, p99 [\\d.]+, max [\\d.]+ ms; jitter [\\d.]+ ms\n$",
      ),
    );
  });

  test("--json has answers, losses and duplicates, and the summary as its last object", async (t) => {
    // It answers the first probe twice, not the second, and the third.
    const { address } = await pythonPeer(
      t,
      `for copies in (2, 0, 1):
    probe, source = s.recvfrom(65535)
    for _ in range(copies): s.sendto(probe, source)`,
    );
    const args = ["ping", address, "--count", "3", "--size", "100", "--json", ...fast];
    const { code, stdout, stderr } = await run(t, args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = objects(stdout);
    expect(lines.map(({ event, seq }) => [event, seq]).sort()).toEqual([
      ["answer", 1],
      ["answer", 1],
      ["answer", 3],
      ["lost", 2],
      ["summary", undefined],
    ]);
    expect(lines.at(-1)).toMatchObject({ sent: 3, answered: 2, lost: 1, duplicates: 1, lossRatio: 1 / 3 });
    expect(lines[0]).toMatchObject({ size: 100, rttMs: expect.any(Number) as number });
  });

  test("--message probes a peer that reads messages, and Ctrl-C prints the summary", async (t) => {
    const s = socket();
    t.onTestFinished(() => s.close());
    await s.bind(["127.0.0.1", 0]);
    const m = messages(s);
    const ping = datagram(t, ["ping", String(s.getsockname()), "--message", ...fast]);
    for (const seq of [1, 2]) expect(await ping.line()).toMatch(new RegExp(`^24 bytes .*: seq=${seq} time=`));
    const { code, stderr } = await ping.stop();
    expect(code).toBe(0);
    expect(stderr).toMatch(/^\d+ probes to .*: \d+ answered, 0 lost \(0%\)/);
    expect(m.stats().dropped).toEqual({});
  });
});

overDrivers((driver) => {
  test("an answer that came in time is no loss if the machine stopped the command meanwhile", async (t) => {
    const peer = socket();
    t.onTestFinished(() => peer.close());
    await peer.bind(["127.0.0.1", 0]);
    const args = ["ping", String(peer.getsockname()), "--count", "1", "--timeout", "1s"];
    const ping = datagram(t, args, { env: { DATAGRAM_DRIVER: driver } });
    const [probe, source] = await peer.recvfrom(65_535);
    ping.child.kill("SIGSTOP");
    await peer.sendto(probe, source);
    await wait(1200);
    ping.child.kill("SIGCONT");
    const { code, stderr } = await ping.ended;
    expect(stderr).toMatch(/: 1 answered, 0 lost/);
    expect(code).toBe(0);
  });
});

describe("no answer is exit code 1", () => {
  test("a silent peer: the losses, and what to start there", async (t) => {
    const { address } = await pythonPeer(t, "while True: s.recvfrom(99)");
    const args = ["ping", address, "--count", "2", ...fast, "--timeout", "60ms"];
    expect(await run(t, args)).toEqual({
      code: 1,
      signal: null,
      stdout: "seq=1 lost: no answer in 60 ms\nseq=2 lost: no answer in 60 ms\n",
      stderr:
        `2 probes to ${address}: 0 answered, 2 lost (100%)\n` +
        `datagram ping: no answer from ${address}: lost, or no program there answers (datagram listen --echo does)\n`,
    });
  });

  overDrivers((driver) => {
    test("an ICMP error is told at once", async (t) => {
      const env = { DATAGRAM_DRIVER: driver };
      const address = deadAddress();
      const { code, stdout, stderr } = await run(t, ["ping", address, "--count", "1", "--timeout", "10m"], {
        env,
      });
      expect(code).toBe(1);
      expect(stdout).toMatch(new RegExp(`^seq=1 nobody is listening on ${address}`));
      expect(stderr).toContain(`\ndatagram ping: nobody is listening on ${address}`);
    });
  });
});
