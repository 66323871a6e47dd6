/** `datagram listen --from nats://…` and `datagram replay --from nats://…`. */

import { type TestContext, afterAll, beforeAll, describe, expect, test } from "vitest";

import { connect, headers } from "@nats-io/transport-node";

import { replay } from "datagram/capture";
import { type GatewayOptions, consume } from "datagram/gateway";
import { commandsInOneProcess } from "../cli/one-process.js";
import { datagram } from "../cli/program.js";
import { NatsServer, noServer } from "./nats.js";
import { bound, sendNumbered, started, until } from "./sending.js";

/** What tells datagrams of a stream apart. */
interface Place {
  readonly sequence: number;
  readonly index: number;
}

const runHere = commandsInOneProcess();

describe.skipIf(noServer !== undefined)("commands that read a stream", () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.close());

  async function stored(t: TestContext, stream: string, count: number, more: Partial<GatewayOptions> = {}) {
    const { running, at } = await started(t, { nats: server.url, stream, create: true, ...more });
    const from = await bound(t);
    await sendNumbered(running, from, at, count, "number ");
    await until(running, ({ inFlight }) => inFlight === 0);
    return {
      running,
      at,
      from,
      peer: String(from.getsockname()),
      source: ["--from", server.url, "--stream", stream],
    };
  }

  test("listen prints a stream as it prints a socket, and says where it ended", async (t) => {
    const { source, peer, at } = await stored(t, "lines", 3);
    await server.ask("STREAM.MSG.DELETE.lines", { seq: 2 });
    const { code, stdout, stderr } = await runHere(["listen", ...source, "--until", "now"]);
    expect(code).toBe(0);
    const line = new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d{3} ${peer} 8 bytes "number [02]"$`);
    expect(stdout.trimEnd().split("\n")).toEqual([expect.stringMatching(line), expect.stringMatching(line)]);
    expect(stderr).toBe(
      `reading the stream lines of ${server.url}\n2 datagrams, 16 bytes from 1 peer\n` +
        "  deleted in the stream, between them: 1\n  the last message is number 3: --since 4 goes on after it\n",
    );
    const json = await runHere(["listen", ...source, "--until", "now", "--since", "3", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      source: { host: "127.0.0.1" },
      destination: { port: at.port },
      text: "number 2",
      interface: "lo",
      sequence: 3,
      missingBefore: 0,
    });
    const raw = await runHere(["listen", ...source, "--count", "1", "--raw"]);
    expect([raw.code, raw.stdout]).toEqual([0, "number 0"]);
    const chosen = await runHere(["listen", ...source, "--until", "now", "--peer", "127.0.0.2"]);
    expect([chosen.code, chosen.stdout]).toEqual([0, ""]);
    const summary = await runHere(["listen", ...source, "--until", "now", "--summary"]);
    expect(summary.stderr).toMatch(/\npeer +datagrams +bytes/);
  });

  test("listen that ends within a bundle says to begin with that bundle again", async (t) => {
    const { source } = await stored(t, "within", 400, { bundle: true });
    const lines = ["listen", ...source, "--until", "now", "--json"];
    const all = (await runHere(lines)).stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Place);
    expect(all.length).toBe(400);
    // A datagram with another one of its bundle after it.
    const within = all.findIndex(({ sequence }, at) => all[at + 1]?.sequence === sequence);
    const { sequence, index } = all[within] as Place;
    const { stdout, stderr } = await runHere([...lines, "--count", String(within + 1)]);
    expect(stdout.trimEnd().split("\n").length).toBe(within + 1);
    expect(stderr).toContain(
      `  the bundle in message number ${sequence} was read up to index ${index}: --since ${sequence} begins with it again\n`,
    );
    const rest = await runHere([...lines, "--since", String(sequence)]);
    const places = rest.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Place);
    expect(places.filter((each) => each.sequence > sequence || each.index > index).length).toBe(399 - within);
    expect(rest.stderr).toMatch(/the last message is number (\d+): --since \d+ goes on after it\n$/);
  });

  test("listen prints what strangers write, without characters that a terminal executes", async (t) => {
    await server.ask("STREAM.CREATE.strange", { name: "strange", subjects: ["datagram.9001.*"] });
    const nats = await connect({ servers: server.url.slice("nats://".length) });
    t.onTestFinished(() => nats.close());
    for (const fields of [
      { Source: "10.0.0.7:1", Timestamp: "0" },
      { Source: "[fe80::1%%1b[31mX%07]:1" },
      { Source: "[fe80::1%%e2%80%ae]:1" },
    ]) {
      const set = headers();
      for (const [name, value] of Object.entries({ ...fields, Size: "2" }))
        set.set(`Datagram-${name}`, value);
      await nats.request("datagram.9001.7", "hi", { headers: set, timeout: 60_000 });
    }
    const args = ["listen", "--from", server.url, "--stream", "strange", "--until", "now", "--summary"];
    const { code, stdout, stderr } = await runHere(args);
    expect([code, stdout.trimEnd().split("\n").length]).toEqual([0, 3]);
    expect(stdout + stderr).not.toMatch(/[\x1b\x07\u202e]/);
    expect(stdout).toContain(String.raw`[fe80::1%\u{001b}[31mX\u{0007}]:1 2 bytes "hi"`);
    const json = await runHere([...args, "--json"]);
    const [first] = json.stdout.split("\n");
    expect(json.code).toBe(0);
    expect(JSON.parse(first ?? "")).toMatchObject({
      timestamp: "1970-01-01T00:00:00.000000000Z",
      text: "hi",
    });
  });

  test("listen goes on with what comes, until Ctrl-C", async (t) => {
    const { source, running, from, at } = await stored(t, "live", 1);
    const program = datagram(t, ["listen", ...source, "--since", "1", "--json"]);
    expect(JSON.parse(await program.line("stdout"))).toMatchObject({ sequence: 1 });
    await sendNumbered(running, from, at, 1, "later ");
    expect(JSON.parse(await program.line("stdout"))).toMatchObject({ sequence: 2, text: "later 0" });
    program.child.kill("SIGINT");
    const { code, stderr } = await program.ended;
    expect(code).toBe(0);
    expect(stderr).toContain("2 datagrams, 15 bytes from 1 peer\n");
  });

  test("listen ends with 3 if nothing comes, with 1 without the stream, and with 4 without a server", async (t) => {
    const { source } = await stored(t, "codes", 1);
    const none = await runHere(["listen", ...source, "--since", "new", "--timeout", "200ms"]);
    expect([none.code, none.stderr.split("\n").at(-2)]).toEqual([
      3,
      "datagram listen: no datagram came in 200 ms",
    ]);
    // The first one is stored: it needs a part of the time only, also on a slow machine.
    const few = await runHere(["listen", ...source, "--count", "2", "--timeout", "5s"]);
    expect([few.code, few.stderr]).toEqual([
      3,
      expect.stringContaining("1 of 2 datagrams came, and no more in 5 s") as string,
    ]);
    const missing = await runHere(["listen", "--from", server.url, "--stream", "missing"]);
    expect([missing.code, missing.stderr]).toEqual([
      1,
      expect.stringContaining("datagram listen: there is no stream missing\n") as string,
    ]);
    expect(missing.stderr).not.toContain("reading the stream");
    const away = await runHere(["listen", "--from", "nats://user:secret@127.0.0.1:9", "--stream", "x"]);
    expect(away.code).toBe(4);
    expect(away.stderr).not.toContain("secret");
  });

  test("replay sends a stream with its times, and reports as for a file", async (t) => {
    const { source, running, at, from } = await stored(t, "again", 2);
    await sendNumbered(running, from, at, 1, "late ");
    await until(running, ({ stored: done }) => done === 3);
    const to = await bound(t);
    const target = String(to.getsockname());
    const { code, stderr } = await runHere(["replay", ...source, "--to", target]);
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^replaying the stream again of nats:.*\nsent 3 datagrams, 22 bytes in [\d.]+ m?s\n {2}half of them at most/,
    );
    const received = await to.recvMany(10);
    expect(received.map(({ data }) => String(data))).toEqual(["number 0", "number 1", "late 0"]);
    const part = await runHere(["replay", ...source, "--to", target, "--since", "3", "--speed", "max"]);
    expect(part.stderr).toContain("sent 1 datagram, 6 bytes");
    const none = await runHere(["replay", ...source, "--to", target, "--peer", "9.9.9.9"]);
    expect(none.code).toBe(1);
    expect(none.stderr).toMatch(/\ndatagram replay: the stream again of nats:.* has no such datagram\n$/);
  });

  test("replay of a program takes a stream, and its filter sees the datagrams of the stream", async (t) => {
    const { running, at, from } = await stored(t, "code", 4);
    // The kernel's time of the last one is later by this.
    await new Promise((resolve) => setTimeout(resolve, 300));
    await sendNumbered(running, from, at, 1, "late ");
    await until(running, ({ inFlight }) => inFlight === 0);
    const s = await bound(t);
    const to = await bound(t);
    const timed = await replay(consume({ nats: server.url, stream: "code", until: "now" }), s, {
      to: to.getsockname(),
      speed: 2,
    });
    expect(timed.recordedMs).toBeGreaterThanOrEqual(299);
    expect(timed.elapsedMs).toBeGreaterThanOrEqual(timed.recordedMs / 2);
    const stats = await replay(consume({ nats: server.url, stream: "code", until: "now" }), s, {
      to: to.getsockname(),
      speed: Infinity,
      filter: ({ sequence }) => sequence % 2 === 0,
    });
    expect(stats).toMatchObject({ datagrams: 2, skipped: { filtered: 3 } });
    await expect(
      replay(consume({ nats: server.url, stream: "none", until: "now" }), s, { to: to.getsockname() }),
    ).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("options that contradict a stream are refused before anything is opened", async () => {
    const source = ["--from", "nats://127.0.0.1:9", "--stream", "x"];
    for (const [args, text] of [
      [["listen", "9000", ...source], "give a port to listen on or --from nats://host, not both"],
      [["listen", ...source, "--echo"], "--echo needs a socket: it is not possible with --from nats://host"],
      [["listen", ...source, "--record", "x"], "--record needs a socket"],
      [["listen", ...source, "--interface", "lo"], "--interface needs a socket"],
      [
        ["listen", ...source, "--from", "10.0.0.7"],
        "--from takes servers of NATS or senders of a group, not both",
      ],
      [
        ["listen", ...source, "--since", "yesterday"],
        "--since takes beginning, new, the number of a message",
      ],
      [["listen", ...source, "--since", "new", "--until", "now"], "--since new with --until now is nothing"],
      [["listen", ...source, "--peer", "camera.local"], "--peer must be an IP address"],
      [["listen", "--from", "nats://127.0.0.1:9"], "give the stream: --stream <name>"],
      [["listen", "9000", "--stream", "x"], "--stream is for a stream: give --from nats://host too"],
      [["listen", "9000", "--until", "now"], "--until is for a stream: give --from nats://host too"],
      [
        ["replay", "file.pcap", "--to", "127.0.0.1:9", ...source],
        "give a file or --from nats://host, not both",
      ],
      [["replay", "--to", "127.0.0.1:9", ...source, "--loop", "2"], "--loop is for a file"],
      [["replay", "--to", "127.0.0.1:9", ...source, "--from", "10.0.0.7"], "choose a source by --peer"],
      [["replay", "file.pcap", "--to", "127.0.0.1:9", "--since", "3"], "--since is for a stream"],
    ] as const) {
      const { code, stderr } = await runHere(args);
      expect([args, code, stderr]).toEqual([args, 2, expect.stringContaining(text)]);
    }
  });
});
