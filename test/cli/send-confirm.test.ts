import { describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { commandsInOneProcess } from "./one-process.js";
import { datagram, deadAddress, hex, pythonPeer, pythonReceiver, run, stayOpen } from "./program.js";

overDrivers((driver) => {
  const env = { DATAGRAM_DRIVER: driver };
  const runHere = commandsInOneProcess(env);
  const nobody = (address: string): string => {
    const said = address.startsWith("[::1]") ? "::1" : "127.0.0.1";
    return `nobody is listening on ${address}${driver === "native" ? ` (port unreachable, from ${said})` : ""}`;
  };

  describe("--confirm", () => {
    test.for(["127.0.0.1", "::1"])(
      "an ICMP error about a closed port on %s ends send at once with exit code 4",
      async (host, t) => {
        const address = deadAddress(host);
        expect(await run(t, ["send", address, "hello", "--confirm", "10m"], { env })).toEqual({
          code: 4,
          signal: null,
          stdout: "",
          stderr: `sent 1 datagram, 5 bytes to 1 destination\ndatagram send: ${nobody(address)}\n`,
        });
      },
    );

    test("without an ICMP error send waits for 1 s, and says what that means", async (t) => {
      const peer = await pythonReceiver(t, 2);
      const start = performance.now();
      const { code, stderr } = await runHere(["send", peer.address, "hello", "--confirm"]);
      expect(performance.now() - start).toBeGreaterThanOrEqual(1000);
      expect({ code, stderr }).toEqual({
        code: 0,
        stderr:
          "sent 1 datagram, 5 bytes to 1 destination\n" +
          "no refusal came in 1 s: that does not prove that it arrived\n",
      });
      expect(await peer.line()).toBe(hex("hello"));
    });

    test("send names every destination that refused, and no other", async (t) => {
      const dead = [deadAddress(), deadAddress("::1")];
      const peer = await pythonReceiver(t, 2);
      const { code, stderr } = await runHere(["send", ...dead, peer.address, "x", "--confirm", "500ms"]);
      expect(code).toBe(4);
      const [, refusals] = /^datagram send: (.*)$/m.exec(stderr)!;
      expect(refusals!.split("; ").sort()).toEqual(dead.map(nobody).sort());
      expect(await peer.line()).toBe(hex("x"));
    });

    test("send ends after every destination has refused", async () => {
      const dead = [deadAddress(), deadAddress()];
      const { code, stderr } = await runHere(["send", ...dead, "x", "--confirm", "10m"]);
      expect(code).toBe(4);
      for (const address of dead) expect(stderr).toContain(nobody(address));
    });

    test.for([
      ["--repeat", "1000000000"],
      ["--every", "10ms"],
      ["--every", "10m"],
    ])("a refusal ends the sending of %s %s", async (pace) => {
      const address = deadAddress();
      const { code, stderr } = await runHere(["send", address, "x", ...pace, "--confirm", "10m"]);
      expect(code).toBe(4);
      expect(stderr).toMatch(/^sent \d+ datagrams?, /);
      expect(stderr).toContain(`\ndatagram send: ${nobody(address)}\n`);
    });

    test("a refusal ends the sending of --lines, even if more lines follow", async (t) => {
      const address = deadAddress();
      const sender = datagram(t, ["send", address, "--lines", "--confirm", "10m"], { env, input: stayOpen });
      sender.type("first\n");
      expect(await sender.ended).toMatchObject({
        code: 4,
        stderr: `sent 1 datagram, 5 bytes to 1 destination\ndatagram send: ${nobody(address)}\n`,
      });
    });

    test("answers do not disturb send", async (t) => {
      const peer = await pythonPeer(
        t,
        "request, source = s.recvfrom(99)\ns.sendto(b'ack', source)\ns.recvfrom(99)",
      );
      const { code, stderr } = await runHere(["send", peer.address, "x", "--confirm", "300ms"]);
      expect(code).toBe(0);
      expect(stderr).toContain("no refusal came in 300 ms");
    });

    test("Ctrl-C before the end of --confirm is an error", async (t) => {
      const peer = await pythonReceiver(t, 2);
      const sender = datagram(t, ["send", peer.address, "x", "--confirm", "10m"], { env });
      expect(await sender.line("stderr")).toMatch(/^sent 1 datagram/);
      const { code, stderr } = await sender.stop();
      expect(code).toBe(1);
      expect(stderr).toMatch(/\ndatagram send: interrupted while waiting 600 s for a refusal\n$/);
    });
  });

  test("without --confirm, a refusal between two sends is a warning, once for each destination", async (t) => {
    const dead = [deadAddress(), deadAddress("::1")];
    const peer = await pythonReceiver(t, 5);
    const paced = ["--repeat", "5", "--every", "100ms"];
    const { code, stderr } = await runHere(["send", ...dead, peer.address, "x", ...paced]);
    expect(code).toBe(0);
    const [summary, ...warnings] = stderr.trimEnd().split("\n").reverse();
    expect(summary).toBe("sent 15 datagrams, 15 bytes to 3 destinations");
    expect(warnings.sort()).toEqual(
      driver === "native" ? dead.map((address) => `warning: ${nobody(address)}`).sort() : [],
    );
    expect(await peer.ended).toMatchObject({ code: 0 });
  });
});

describe("--confirm takes the next argument as its time only if that looks like a time", () => {
  const runHere = commandsInOneProcess();
  const place: Record<string, (address: string) => readonly string[]> = {
    "before the destination": (address) => ["--confirm", address, "data"],
    "before the data": (address) => [address, "--confirm", "data"],
    "before another option": (address) => ["--confirm", "--broadcast", address, "data"],
    "before --": (address) => ["--confirm", "--", address, "data"],
    "with a time before the destination": (address) => ["--confirm", "1s", address, "data"],
    "with a time after =": (address) => [address, "--confirm=1s", "data"],
  };

  test.for(Object.keys(place))("%s", async (where, t) => {
    const peer = await pythonReceiver(t, 2);
    const { code, stderr } = await runHere(["send", ...place[where]!(peer.address)]);
    expect(code).toBe(0);
    expect(stderr).toContain("no refusal came in 1 s");
    expect(await peer.line()).toBe(hex("data"));
  });

  test("after -- it is data", async (t) => {
    const peer = await pythonReceiver(t, 2);
    const { code, stderr } = await runHere(["send", peer.address, "--", "--confirm"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 1 datagram, 9 bytes to 1 destination\n" });
    expect(await peer.line()).toBe(hex("--confirm"));
  });
});
