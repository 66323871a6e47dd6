import { describe, expect, test } from "vitest";

import { commandsInOneProcess } from "./one-process.js";
import { datagram, file, hex, pythonPeer, pythonReceiver, run, stayOpen } from "./program.js";

const runHere = commandsInOneProcess();

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
    const { code, stderr } = await runHere([
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
    const { code, stderr } = await runHere(["send", peer.address, "--lines", "--hex"], "00\nff\nxyz\n11\n");
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^sent 2 datagrams, .*\ndatagram send: line 3: --hex takes pairs of hex digits .*"xyz"\n$/,
    );
    expect((await peer.ended).stdout).toBe(`${peer.port}\n00\nff\n`);
  });

  test("the error names a line that cannot be sent", async () => {
    const input = `ok\n${"x".repeat(65_508)}\n`;
    const { code, stderr } = await runHere(["send", "127.0.0.1:9", "--lines"], input);
    expect(code).toBe(1);
    expect(stderr).toContain("datagram send: line 2: a message of ");
  });

  test("a line without an end is not read to its end", async () => {
    const { code, stderr } = await runHere(["send", "127.0.0.1:9", "--lines", "--file", "/dev/zero"]);
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
    const { code, stderr } = await runHere(["send", peer.address, "--lines"], input);
    expect(code).toBe(0);
    expect(stderr).toContain("sent 2000 datagrams");
    expect(await peer.line()).toBe("True");
  });
});
