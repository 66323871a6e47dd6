import { type Socket, socket } from "datagram";
import { type Message, type Messages, type MessagesOptions, messages } from "datagram/message";
import { proxy } from "datagram/proxy";
import { type TestContext, describe, expect, test } from "vitest";

import { commandsInOneProcess } from "./one-process.js";
import { deadAddress, file, onTerminal, run } from "./program.js";

const runHere = commandsInOneProcess();

const picture = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), Buffer.alloc(99_997, 7)]);

/** A socket on a free port of the loopback interface. */
async function bound(test: TestContext): Promise<Socket> {
  const s = socket();
  test.onTestFinished(() => s.close());
  await s.bind(["127.0.0.1", 0]);
  return s;
}

/** A peer that reads messages. */
async function reader(
  test: TestContext,
  options?: MessagesOptions,
): Promise<{ address: string; port: number; m: Messages }> {
  const s = await bound(test);
  return { address: String(s.getsockname()), port: s.getsockname().port, m: messages(s, options) };
}

/** The next message that arrives. */
async function nextOf(m: Messages): Promise<Message> {
  for await (const message of m) return message;
  throw new Error("the messages ended");
}

describe("a message", () => {
  test("a file arrives as one message, and one line says so", async (t) => {
    const { address, m } = await reader(t);
    const args = [
      "send",
      address,
      "--message",
      "--file",
      file(t, picture),
      "--channel",
      "7",
      "--parity",
      "2",
    ];
    const [{ code, stdout, stderr }, message] = await Promise.all([run(t, args), nextOf(m)]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(stderr).toMatch(
      new RegExp(
        `^sent 100000 bytes to ${address} in [\\d.]+ m?s \\([\\d.]+ [kM]bit/s\\): 84 chunks, \\d+ resent\n$`,
      ),
    );
    expect(message.channel).toBe(7);
    expect(message.data.equals(picture)).toBe(true);
  });

  test("standard input in hex digits arrives, also with --fleeting", async (t) => {
    const { address, m } = await reader(t);
    const args = ["send", address, "--message", "--hex", "--fleeting"];
    const [{ code, stderr }, message] = await Promise.all([runHere(args, "00 ff\n"), nextOf(m)]);
    expect(code).toBe(0);
    expect(stderr).toContain("1 chunk\nnothing says whether it arrived");
    expect(message.data.toString("hex")).toBe("00ff");
  });

  test("on a terminal, one line shows how far it is", async (t) => {
    const { m, port } = await reader(t);
    const relay = await proxy({
      listen: ["127.0.0.1", 0],
      target: ["127.0.0.1", port],
      link: { up: { rateBps: 800_000, lossRatio: 0.1 }, down: {} },
      seed: 5,
    });
    t.onTestFinished(() => relay.close());
    const sender = onTerminal(t, ["send", String(relay.address), "--message", "--file", file(t, picture)]);
    const [{ code, stdout }, message] = await Promise.all([sender.ended, nextOf(m)]);
    expect(code).toBe(0);
    expect(message.data.equals(picture)).toBe(true);
    expect(stdout).toMatch(/\r\[=* +\] +\d+% of 97\.7 KiB, [\d.]+ kbit\/s, \d+ resent, \d+ s left/);
    expect(stdout).toMatch(/\r\u001b\[Ksent 100000 bytes to .*: 84 chunks, \d+ resent\r\n$/);
  });
});

describe("a message that does not arrive", () => {
  test("nobody is listening: exit code 4, at once", async () => {
    const address = deadAddress();
    const { code, stderr } = await runHere(["send", address, "--message", "x"]);
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: `datagram send: nobody is listening on ${address} (port unreachable, from 127.0.0.1)\n`,
    });
  });

  test("an echo is not taken for a peer", async (t) => {
    const s = await bound(t);
    void (async () => {
      for await (const datagram of s) await datagram.reply(datagram.data);
    })();
    const { code, stderr } = await runHere(["send", String(s.getsockname()), "--message", "--size", "9000"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^datagram send: 127\.0\.0\.1:\d+ sends back each datagram, and does not read messages: start/,
    );
  });

  test("a peer of another kind is named, and what to start", async (t) => {
    const s = await bound(t);
    void (async () => {
      for await (const datagram of s) await datagram.reply("ack");
    })();
    const { port } = s.getsockname();
    const args = ["send", `127.0.0.1:${port}`, "--message", "x", "--timeout", "300ms"];
    expect(await runHere(args)).toMatchObject({
      code: 3,
      stderr: `datagram send: 127.0.0.1:${port} answers, but not as one that reads messages, or it has another version: start datagram receive ${port} --into <folder> there\n`,
    });
  });

  test("a silent peer is exit code 3, after --timeout or --deadline", async (t) => {
    const address = String((await bound(t)).getsockname());
    const start = `start datagram receive ${address.split(":")[1]} --into <folder> there\n`;
    for (const [limit, also] of [
      ["--timeout", ": "],
      ["--deadline", ", or the deadline is shorter than a round trip: give a longer --deadline, or "],
    ] as const) {
      const { code, stderr } = await runHere(["send", address, "--message", "x", limit, "200ms"]);
      expect(code).toBe(3);
      expect(stderr).toContain(
        `no report came from ${address} in 200 ms: lost, or nobody there reads messages${also}${start}`,
      );
    }
  });

  test("a message that is too long for the peer is exit code 1, with the limit", async (t) => {
    const { address } = await reader(t, { maxSourceBytes: 5000 });
    const { code, stderr } = await runHere(["send", address, "--message", "--size", "5001"]);
    expect(code).toBe(1);
    expect(stderr).toContain(`${address} takes messages of at most 5000 bytes, and this one has 5001`);
  });
});
