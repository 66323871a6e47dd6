import { rmSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type TestContext, describe, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { datagram, deadAddress, onTerminal, pythonPeer, pythonReceiver, run, stayOpen } from "./program.js";

const hex = (text: string | Buffer): string => Buffer.from(text as string).toString("hex");

describe("destinations", () => {
  test("send works with one destination, and the summary says so", async (t) => {
    const peer = await pythonReceiver(t, 1);
    expect(await run(t, ["send", peer.address, "hello"])).toEqual({
      code: 0,
      signal: null,
      stdout: "",
      stderr: "sent 1 datagram, 5 bytes to 1 destination\n",
    });
    expect(await peer.line()).toBe(hex("hello"));
  });

  test("send works with many destinations, of both families and by name", async (t) => {
    const peers = await Promise.all([
      pythonReceiver(t, 1),
      pythonReceiver(t, 1, "::1"),
      pythonReceiver(t, 1),
    ]);
    const addresses = [peers[0].address, peers[1].address, `localhost:${peers[2].port}`];
    const { code, stderr } = await run(t, ["send", ...addresses, "to all"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 3 datagrams, 18 bytes to 3 destinations\n" });
    expect(await Promise.all(peers.map((peer) => peer.line()))).toEqual(peers.map(() => hex("to all")));
  });

  test("a broadcast address needs --broadcast", async (t) => {
    const { code, stderr } = await run(t, ["send", "127.255.255.255:9", "x"]);
    const refusal =
      "datagram send: 127.255.255.255:9 is a broadcast address: give --broadcast to send there\n";
    expect({ code, stderr }).toEqual({ code: 1, stderr: refusal });

    const peer = await pythonReceiver(t, 1, "127.255.255.255");
    expect(await run(t, ["send", peer.address, "x", "--broadcast"])).toMatchObject({ code: 0 });
    expect(await peer.line()).toBe(hex("x"));
  });

  test("a name that does not resolve is an error in one line that names it", async (t) => {
    const { code, stderr } = await run(t, ["send", "no-such-host.invalid:9", "x"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^datagram send: [^\n]*no-such-host\.invalid[^\n]*\n$/);
  });
});

describe("data", () => {
  const bytes = Buffer.from([0, 0xff, 0x1b, 0x0d, 0x0a]);

  test.for<[string, readonly string[], string | Buffer, string]>([
    ["from the argument", ["héllo"], "", hex("héllo")],
    ["that is empty", [""], "", "empty"],
    ["that looks like a destination", ["127.0.0.1:9000"], "", hex("127.0.0.1:9000")],
    ["that begins with a dash, after --", ["--", "-x"], "", hex("-x")],
    ["in hex digits", ["--hex", "00fF"], "", "00ff"],
    ["in hex digits with spaces", ["--hex", " 00 ff\n10 "], "", "00ff10"],
    ["from standard input, without an argument", [], bytes, hex(bytes)],
    ["from standard input, by -", ["-"], bytes, hex(bytes)],
    ["from standard input, by --file -", ["--file", "-"], bytes, hex(bytes)],
    ["from standard input, in hex digits", ["-", "--hex"], "00 ff\n", "00ff"],
    ["from an empty standard input", ["-"], "", "empty"],
  ])("data %s arrives unchanged", async ([, args, input, expected], t) => {
    const peer = await pythonReceiver(t, 1);
    expect(await run(t, ["send", peer.address, ...args], { input })).toMatchObject({ code: 0 });
    expect(await peer.line()).toBe(expected);
  });

  test("data from a file arrives unchanged", async (t) => {
    const peer = await pythonReceiver(t, 1);
    const path = file(t, bytes);
    expect(await run(t, ["send", peer.address, "--file", path])).toMatchObject({ code: 0 });
    expect(await peer.line()).toBe(hex(bytes));
  });

  test.for(["/no/such/file", tmpdir()])(
    "a file that cannot be read is an error in one line: %s",
    async (path, t) => {
      const { code, stderr } = await run(t, ["send", "127.0.0.1:9", "--file", path]);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^datagram send: (ENOENT|EISDIR)[^\n]*\n$/);
    },
  );

  test("if the data is missing on a terminal, the command asks for it", async (t) => {
    const terminal = onTerminal(t, ["send", "127.0.0.1:9"], { NO_COLOR: "1" });
    const { code, stdout } = await terminal.ended;
    expect(code).toBe(2);
    expect(stdout).toMatch(/^datagram send: no data: it is the last argument, or - /);
  });
});

describe("sizes", () => {
  const warning = /^warning: 1401 bytes are over 1400: .*MTU.*fragments/m;

  test("above 1400 bytes a warning is printed once, with the reason", async (t) => {
    const peer = await pythonReceiver(t, 3);
    const { code, stderr } = await run(t, ["send", peer.address, "x".repeat(1401), "--repeat", "3"]);
    expect(code).toBe(0);
    expect(stderr).toMatch(warning);
    expect(stderr.match(/warning/g)).toHaveLength(1);
    expect(await peer.line()).toHaveLength(2802);
  });

  test("at 1400 bytes there is no warning", async (t) => {
    const { stderr } = await run(t, ["send", (await pythonReceiver(t, 1)).address, "x".repeat(1400)]);
    expect(stderr).not.toContain("warning");
  });

  test.for([
    ["127.0.0.1", 65_507, "IPv4"],
    ["::1", 65_527, "IPv6"],
  ] as const)("to %s, %i bytes are sent and one more is refused", async ([host, most, family], t) => {
    const peer = await pythonReceiver(t, 1, host);
    const { code, stderr } = await run(t, ["send", peer.address, "x".repeat(most + 1)]);
    const refusal = `datagram send: a message of ${most + 1} bytes is over the limit of ${most} of a datagram over ${family}\n`;
    expect({ code, stderr }).toEqual({ code: 1, stderr: refusal });

    expect(await run(t, ["send", peer.address, "-"], { input: "x".repeat(most) })).toMatchObject({ code: 0 });
    // Python cuts at 65,535 bytes, which is more than both limits.
    expect(await peer.line()).toHaveLength(2 * most);
  });

  test("a file without an end is not read to its end", async (t) => {
    const { code, stderr } = await run(t, ["send", "127.0.0.1:9", "--file", "/dev/zero"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^datagram send: a message of at least \d+ bytes is over the limit of 65507[^\n]*\n$/,
    );
  });
});

describe("--repeat and --every", () => {
  test("--repeat sends that often", async (t) => {
    const peer = await pythonReceiver(t, 100);
    const { code, stderr } = await run(t, ["send", peer.address, "again", "--repeat", "100"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 100 datagrams, 500 bytes to 1 destination\n" });
    expect((await peer.ended).stdout).toBe(`${peer.port}\n${`${hex("again")}\n`.repeat(100)}`);
  });

  test("--every waits between two datagrams", async (t) => {
    const peer = await pythonReceiver(t, 3);
    const start = performance.now();
    const { code, stderr } = await run(t, ["send", peer.address, "x", "--repeat", "3", "--every", "300ms"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 3 datagrams, 3 bytes to 1 destination\n" });
    expect(performance.now() - start).toBeGreaterThanOrEqual(600);
    expect(await peer.ended).toMatchObject({ code: 0 });
  });

  test("--every alone sends until Ctrl-C, which is exit code 0", async (t) => {
    const peer = await pythonPeer(t, "for _ in range(3): say(s.recv(99))\ntime.sleep(20)");
    const sender = datagram(t, ["send", peer.address, "tick", "--every", "10ms"]);
    for (let left = 3; left > 0; left--) expect(await peer.line()).toBe("b'tick'");
    const { code, stderr } = await sender.stop();
    expect(code).toBe(0);
    expect(stderr).toMatch(/^sent \d+ datagrams, \d+ bytes to 1 destination\n$/);
  });

  test.for([["--every", "1m"], []])("Ctrl-C before the end of --repeat is an error %s", async (pace, t) => {
    const peer = await pythonPeer(t, "say(s.recv(99))\ntime.sleep(20)");
    const sender = datagram(t, ["send", peer.address, "x", "--repeat", "1000000000", ...pace]);
    expect(await peer.line()).toBe("b'x'");
    const { code, stderr } = await sender.stop();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^sent \d+ datagrams?, .*\ndatagram send: interrupted before all was sent\n$/);
  });
});

describe("--lines", () => {
  test("each line is a datagram, with any line end", async (t) => {
    const peer = await pythonReceiver(t, 4);
    const { code, stderr } = await run(t, ["send", peer.address, "--lines"], {
      input: "unix\ndos\r\n\nlast",
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 4 datagrams, 11 bytes to 1 destination\n" });
    const lines = [hex("unix"), hex("dos"), "empty", hex("last")];
    expect((await peer.ended).stdout).toBe(`${peer.port}\n${lines.join("\n")}\n`);
  });

  test("a line is sent when it is read, not at the end of the input", async (t) => {
    const peer = await pythonReceiver(t, 2);
    const sender = datagram(t, ["send", peer.address, "--lines"], { input: stayOpen });
    sender.type("first\nsec");
    expect(await peer.line()).toBe(hex("first"));
    sender.type("ond\n");
    expect(await peer.line()).toBe(hex("second"));
    sender.child.stdin!.end();
    expect(await sender.ended).toMatchObject({ code: 0 });
  });

  test("Ctrl-C at an open input is exit code 0", async (t) => {
    const peer = await pythonReceiver(t, 1);
    const sender = datagram(t, ["send", peer.address, "--lines"], { input: stayOpen });
    sender.type("first\n");
    expect(await peer.line()).toBe(hex("first"));
    const { code, stderr } = await sender.stop();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 1 datagram, 5 bytes to 1 destination\n" });
  });

  test("the lines of a file are sent to many destinations, with --every between them", async (t) => {
    const peers = await Promise.all([pythonReceiver(t, 2), pythonReceiver(t, 2)]);
    const path = file(t, "a\nb\n");
    const addresses = peers.map(({ address }) => address);
    const { code, stderr } = await run(t, [
      "send",
      ...addresses,
      "--lines",
      "--file",
      path,
      "--every",
      "1ms",
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 4 datagrams, 4 bytes to 2 destinations\n" });
    for (const peer of peers) expect((await peer.ended).stdout).toBe(`${peer.port}\n61\n62\n`);
  });

  test("with --hex, the error names the bad line, and the lines before it are sent", async (t) => {
    const peer = await pythonReceiver(t, 2);
    const { code, stderr } = await run(t, ["send", peer.address, "--lines", "--hex"], {
      input: "00\nff\nxyz\n11\n",
    });
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^sent 2 datagrams, .*\ndatagram send: line 3: --hex takes pairs of hex digits .*"xyz"\n$/,
    );
    expect((await peer.ended).stdout).toBe(`${peer.port}\n00\nff\n`);
  });

  test("the error names a line that cannot be sent", async (t) => {
    const input = `ok\n${"x".repeat(65_508)}\n`;
    const { code, stderr } = await run(t, ["send", "127.0.0.1:9", "--lines"], { input });
    expect(code).toBe(1);
    expect(stderr).toContain("datagram send: line 2: a message of ");
  });

  test("a line without an end is not read to its end", async (t) => {
    const { code, stderr } = await run(t, ["send", "127.0.0.1:9", "--lines", "--file", "/dev/zero"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^datagram send: line 1: a message of at least \d+ bytes is over the limit/);
  });

  test("more lines than fit one batch arrive in their order", async (t) => {
    const body = `
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
got = [int(s.recv(64)) for _ in range(60)]
say(got == sorted(got))`;
    const peer = await pythonPeer(t, body);
    const input = Array.from({ length: 2000 }, (_, number) => `${number}\n`).join("");
    const { code, stderr } = await run(t, ["send", peer.address, "--lines"], { input });
    expect(code).toBe(0);
    expect(stderr).toContain("sent 2000 datagrams");
    expect(await peer.line()).toBe("True");
  });
});

overDrivers((driver) => {
  const env = { DATAGRAM_DRIVER: driver };
  const nobody = (address: string): string => {
    const said = address.startsWith("[::1]") ? "::1" : "127.0.0.1";
    return `nobody is listening on ${address}${driver === "native" ? ` (port unreachable, from ${said})` : ""}`;
  };

  describe("--confirm", () => {
    test.for(["127.0.0.1", "::1"])(
      "an ICMP error about a closed port on %s ends send at once with exit code 4",
      async (host, t) => {
        const address = await deadAddress(t, host);
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
      const { code, stderr } = await run(t, ["send", peer.address, "hello", "--confirm"], { env });
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
      const dead = await Promise.all([deadAddress(t), deadAddress(t, "::1")]);
      const peer = await pythonReceiver(t, 2);
      const { code, stderr } = await run(t, ["send", ...dead, peer.address, "x", "--confirm", "500ms"], {
        env,
      });
      expect(code).toBe(4);
      const [, refusals] = /^datagram send: (.*)$/m.exec(stderr)!;
      expect(refusals!.split("; ").sort()).toEqual(dead.map(nobody).sort());
      expect(await peer.line()).toBe(hex("x"));
    });

    test("send ends after every destination has refused", async (t) => {
      const dead = await Promise.all([deadAddress(t), deadAddress(t)]);
      const { code, stderr } = await run(t, ["send", ...dead, "x", "--confirm", "10m"], { env });
      expect(code).toBe(4);
      for (const address of dead) expect(stderr).toContain(nobody(address));
    });

    test.for([
      ["--repeat", "1000000000"],
      ["--every", "10ms"],
      ["--every", "10m"],
    ])("a refusal ends the sending of %s %s", async (pace, t) => {
      const address = await deadAddress(t);
      const { code, stderr } = await run(t, ["send", address, "x", ...pace, "--confirm", "10m"], { env });
      expect(code).toBe(4);
      expect(stderr).toMatch(/^sent \d+ datagrams?, /);
      expect(stderr).toContain(`\ndatagram send: ${nobody(address)}\n`);
    });

    test("a refusal ends the sending of --lines, even if more lines follow", async (t) => {
      const address = await deadAddress(t);
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
      const { code, stderr } = await run(t, ["send", peer.address, "x", "--confirm", "300ms"], { env });
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
    const dead = await Promise.all([deadAddress(t), deadAddress(t, "::1")]);
    const peer = await pythonReceiver(t, 5);
    const paced = ["--repeat", "5", "--every", "100ms"];
    const { code, stderr } = await run(t, ["send", ...dead, peer.address, "x", ...paced], { env });
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
    const { code, stderr } = await run(t, ["send", ...place[where]!(peer.address)]);
    expect(code).toBe(0);
    expect(stderr).toContain("no refusal came in 1 s");
    expect(await peer.line()).toBe(hex("data"));
  });

  test("after -- it is data", async (t) => {
    const peer = await pythonReceiver(t, 2);
    const { code, stderr } = await run(t, ["send", peer.address, "--", "--confirm"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "sent 1 datagram, 9 bytes to 1 destination\n" });
    expect(await peer.line()).toBe(hex("--confirm"));
  });
});

/** A file that is deleted when the test ends. */
function file(test: TestContext, content: string | Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), "datagram-"));
  test.onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "data");
  writeFileSync(path, content);
  return path;
}
