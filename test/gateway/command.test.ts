/** `datagram gateway` with a real server of NATS. */

import { once } from "node:events";

import { type TestContext, afterAll, beforeAll, describe, expect, test } from "vitest";

import { messages } from "datagram/message";
import { commandsInOneProcess } from "../cli/one-process.js";
import { type Program, datagram } from "../cli/program.js";
import { NatsServer, noServer } from "./nats.js";
import { bound } from "./sending.js";

const runHere = commandsInOneProcess();

describe.skipIf(noServer !== undefined)("datagram gateway", () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.close());

  /** Starts the command at several free ports. Returns the ports. */
  async function start(t: TestContext, ...args: readonly string[]): Promise<[Program, readonly number[]]> {
    const program = datagram(t, ["gateway", ...args, "--nats", server.url]);
    const ports: number[] = [];
    for (;;) {
      const line = await program.line("stderr");
      if (line.startsWith("storing in the stream")) return [program, ports];
      const [, port] = /^listening on \S+:(\d+)/.exec(line) ?? [];
      if (port !== undefined) ports.push(Number(port));
    }
  }

  test("stores what arrives at several ports, and Ctrl-C ends it with the account", async (t) => {
    const [program, ports] = await start(t, "0", "0", "--stream", "two", "--create", "--json");
    const from = await bound(t);
    for (const port of ports) await from.sendto(`to ${port}`, ["127.0.0.1", port]);
    expect(JSON.parse(await program.line("stdout"))).toMatchObject({ received: 2, stored: 2, shed: 0 });
    program.child.kill("SIGINT");
    const { code, stderr } = await program.ended;
    expect(code).toBe(0);
    expect(stderr).toContain("2 datagrams received\n  stored: 2\n  shed: 0\n  refused: 0\n");
    const peer = `127-0-0-1_${from.getsockname().port}`;
    const subjects = (await server.messages("two")).map(({ subject }) => subject);
    expect(subjects.sort()).toEqual(ports.map((port) => `datagram.${port}.${peer}`).sort());
  });

  for (const workers of [1, 2]) {
    test(`if the reader of its output goes away, it ends with the account, and all is stored: --workers ${workers}`, async (t) => {
      const stream = `unread${workers}`;
      const args = ["0", "--stream", stream, "--create", "--json", "--workers", String(workers)];
      const [program, [port = 0]] = await start(t, ...args);
      const from = await bound(t);
      let sent = 0;
      const send = () => from.sendto(`datagram ${sent++}`, ["127.0.0.1", port]);
      await send();
      await program.line("stdout");
      program.child.stdout!.destroy();
      await once(program.child.stdout!, "close");
      // They come while it notices, and while it ends.
      const sending = setInterval(() => void send(), 5);
      const { code, stderr } = await program.ended;
      clearInterval(sending);
      const [, received, stored] = /^(\d+) datagrams received\n {2}stored: (\d+)\n/m.exec(stderr) ?? [];
      expect([code, stored]).toEqual([0, received]);
      expect(Number(received)).toBeGreaterThan(1);
      expect(await server.messages(stream)).toHaveLength(Number(stored));
    });
  }

  test("says how to go on without a server, and with a second port for a stream", async (t) => {
    const away = ["gateway", "0", "--stream", "one", "--nats", "nats://127.0.0.1:1"];
    expect(await runHere(away)).toMatchObject({
      code: 4,
      stderr:
        "datagram gateway: nats://127.0.0.1:1: connection refused: start a server: nats-server -js, or name one with --nats\n",
    });
    const [first, [port = 0]] = await start(t, "0", "--stream", "one", "--create");
    first.child.kill("SIGINT");
    expect((await first.ended).code).toBe(0);
    const second = ["gateway", "0", "--stream", "one", "--create", "--nats", server.url];
    const { code, stderr } = await runHere(second);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(
        `^datagram gateway: the stream one takes datagram\\.${port}\\.\\*, and the gateway needs .*: ` +
          "give all ports to one gateway, or use another --stream\n$",
      ),
    );
  });

  test("says that the stream is full, and ends with 1", async (t) => {
    const [program, [port = 0]] = await start(t, "0", "--stream", "small", "--create", "--max-bytes", "1k");
    const from = await bound(t);
    for (let index = 0; index < 5; index++) await from.sendto(Buffer.alloc(400), ["127.0.0.1", port]);
    // Before it can come a warning about the version of the server.
    let line = await program.line("stderr");
    while (!line.startsWith("refused")) line = await program.line("stderr");
    expect(line).toMatch(/^refused \d datagrams?: the stream is full$/);
    program.child.kill("SIGINT");
    const { code, stderr } = await program.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/\n {4}the stream is full: [34]\n/);
    expect(stderr).toMatch(/\ndatagram gateway: [34] datagrams not stored\n$/);
  });

  test("with --message counts messages, and tells of those that are longer than the server takes", async (t) => {
    const [program, [port = 0]] = await start(t, "0", "--stream", "whole", "--create", "--message");
    const sender = messages(await bound(t), { giveUpMs: 25_000 });
    await expect(sender.send(Buffer.alloc(1_100_000), ["127.0.0.1", port])).rejects.toMatchObject({
      code: "EMSGSIZE",
    });
    expect(await program.line("stderr")).toBe("refused 1 message: longer than the server takes");
    await sender.send("short", ["127.0.0.1", port]);
    program.child.kill("SIGINT");
    const { code, stderr } = await program.ended;
    expect(code).toBe(1);
    expect(stderr).toContain("\n1 message received\n  stored: 1\n");
    expect(stderr).toContain("\n  refused before they arrived, longer than the server takes: 1\n");
    expect(stderr).toMatch(/\ndatagram gateway: 1 message not stored\n$/);
  });

  test.for([1, 2])(
    "with --message warns of datagrams that are no messages, %i process(es)",
    async (workers, t) => {
      const args = [
        "0",
        "--stream",
        `plain${workers}`,
        "--create",
        "--message",
        "--workers",
        String(workers),
      ];
      const [program, [port = 0]] = await start(t, ...args);
      const from = await bound(t);
      for (let index = 0; index < 3; index++) await from.sendto("plain text", ["127.0.0.1", port]);
      const advice =
        "datagram send --message sends messages, and the gateway without --message stores any datagram";
      expect(await program.line("stderr")).toBe(
        `warning: datagrams come that are no messages, and are not stored: ${advice}`,
      );
      program.child.kill("SIGINT");
      const { code, stderr } = await program.ended;
      expect(code).toBe(1);
      expect(stderr).toContain("\n0 messages received\n");
      expect(stderr).toMatch(/\n {2}datagrams of another format: [1-3]\n/);
      expect(stderr).toContain(`\ndatagram gateway: only datagrams came that are no messages: ${advice}\n`);
    },
  );

  test("refuses options of answers if it sends none", async () => {
    for (const [args, text] of [
      [["--message", "--seen-within", "5s"], "--seen-within is for answers, and --message sends none"],
      [["--message", "--icmp-wait", "1s"], "--icmp-wait is for answers, and --message sends none"],
      [["--no-answers", "--icmp-wait", "1s"], "--icmp-wait is for answers, and --no-answers sends none"],
    ] as const) {
      const { code, stderr } = await runHere(["gateway", "0", "--stream", "x", ...args]);
      expect([code, stderr]).toEqual([2, expect.stringContaining(text) as string]);
    }
  });

  test("says when the server is away, and stores everything after it is back", async (t) => {
    const [program, [port = 0]] = await start(t, "0", "--stream", "away", "--create", "--drain", "30s");
    const from = await bound(t);
    await from.sendto("before", ["127.0.0.1", port]);
    await server.signal("SIGKILL");
    expect(await program.line("stderr")).toBe("the connection to the server is lost: datagrams wait");
    await from.sendto("while", ["127.0.0.1", port]);
    await server.start();
    expect(await program.line("stderr")).toBe("connected to the server again");
    await from.sendto("after", ["127.0.0.1", port]);
    await expect.poll(async () => (await server.messages("away")).length, { timeout: 60_000 }).toBe(3);
    program.child.kill("SIGTERM");
    const { code, stderr } = await program.ended;
    expect(code).toBe(0);
    expect(stderr).toContain("3 datagrams received\n  stored: 3\n");
  });

  test.for([1, 2])("says at the end what was never sent, after %i signals", async (signals, t) => {
    const away = await NatsServer.start();
    t.onTestFinished(() => away.close());
    const drain = signals === 1 ? "100ms" : "10m";
    const args = [
      "gateway",
      "0",
      "--stream",
      "x",
      "--create",
      "--nats",
      away.url,
      "--drain",
      drain,
      "--json",
    ];
    const program = datagram(t, args);
    const [, port = "0"] = /^listening on \S+:(\d+)/.exec(await program.line("stderr")) ?? [];
    while (!(await program.line("stderr")).startsWith("storing in"));
    await away.signal("SIGKILL");
    expect(await program.line("stderr")).toBe("the connection to the server is lost: datagrams wait");
    const from = await bound(t);
    for (let index = 0; index < 3; index++) await from.sendto("waits", ["127.0.0.1", Number(port)]);
    let counts = {} as Record<string, number>;
    while (counts.received !== 3) counts = JSON.parse(await program.line("stdout")) as typeof counts;
    program.child.kill("SIGINT");
    if (signals === 2) {
      // The second one counts when the first one has been taken: until then, both are one for the kernel.
      const again = setInterval(() => program.child.kill("SIGINT"), 100);
      t.onTestFinished(() => clearInterval(again));
    }
    const { code, stderr } = await program.ended;
    expect([code, program.child.signalCode]).toEqual(signals === 1 ? [1, null] : [null, "SIGINT"]);
    expect(stderr).toContain(
      "3 datagrams received\n  stored: 0\n  shed: 0\n  refused: 0\n  never sent to the server: 3\n  without an answer of the server: 0\n",
    );
  });

  test("names the stream that has the subjects of a new one", async (t) => {
    const [first, [port = 0]] = await start(t, "0", "--stream", "owner", "--create");
    first.child.kill("SIGINT");
    await first.ended;
    const args = ["gateway", String(port), "--stream", "second", "--create", "--nats", server.url];
    expect(await runHere(args)).toMatchObject({
      code: 1,
      stderr:
        "datagram gateway: the stream second: the stream owner has its subjects: use that stream, or another prefix\n",
    });
  });

  test("says that the user or the password is wrong, and that a name is not known", async (t) => {
    const settings = "authorization { user: me, password: secret }";
    const strict = await NatsServer.start({ settings });
    t.onTestFinished(() => strict.close());
    const wrong = strict.url.replace("//", "//me:guess@");
    const text = `${strict.url}: wrong user or password (give them as nats://user:password@host)`;
    for (const [url, why] of [
      [wrong, text],
      ["nats://nosuch.invalid", "nats://nosuch.invalid: the name of the host cannot be resolved"],
      [
        "nats://127.0.0.1:1",
        "nats://127.0.0.1:1: connection refused: start a server: nats-server -js, or name one with",
      ],
    ] as const)
      for (const args of [
        ["gateway", "0", "--stream", "x", "--nats", url],
        ["listen", "--from", url, "--stream", "x"],
        ["replay", "--from", url, "--stream", "x", "--to", "127.0.0.1:9"],
      ]) {
        const { code, stderr } = await runHere(args);
        expect([code, stderr]).toEqual([4, expect.stringContaining(`datagram ${args[0]}: ${why}`) as string]);
      }
  });

  test("says that the parent of a folder is missing", async () => {
    const { code, stderr } = await runHere(["gateway", "127.0.0.1:0", "--into", "/nowhere/at/all"]);
    const text = 'cannot store in "/nowhere/at/all": there is no folder "/nowhere/at"';
    expect([code, stderr]).toEqual([1, expect.stringContaining(text) as string]);
  });

  test("ends with 4 if no server answers, and with 1 without the stream", async () => {
    const none = ["gateway", "0", "--stream", "x", "--nats", "nats://user:secret@127.0.0.1:9"];
    const { code, stderr } = await runHere(none);
    expect(code).toBe(4);
    expect(stderr).toContain("nats://127.0.0.1:9: connection refused");
    expect(stderr).not.toContain("secret");
    const missing = ["gateway", "0", "--stream", "missing", "--nats", server.url];
    expect(await runHere(missing)).toMatchObject({
      code: 1,
      stderr: "datagram gateway: there is no stream missing: --create creates it\n",
    });
  });
});
