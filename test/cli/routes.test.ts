/** The options that choose how datagrams leave and which ones are received, on the loopback interface. */

import { socket } from "datagram";
import { messages } from "datagram/message";
import { type TestContext, expect, test } from "vitest";

import { overDrivers } from "../process/programs.js";
import { commandsInOneProcess } from "./one-process.js";
import { type Listener, datagram, listen, pythonPeer } from "./program.js";

/** Prints for each datagram its payload, source, TTL and TOS. */
const witness = `
for option in (12, 13): s.setsockopt(0, option, 1)
while True:
    data, control, _, source = s.recvmsg(99, 999)
    known = {kind: int.from_bytes(value, "little") for _, kind, value in control}
    say(data.decode(), *source, known[2], known[1])`;

overDrivers((driver) => {
  const native = driver === "native";
  const env = { DATAGRAM_DRIVER: driver };
  const runHere = commandsInOneProcess(env);
  const start = (t: TestContext, at: string, ...args: string[]): Promise<Listener> =>
    listen(t, ["--interface", "lo", ...args], at, { env });

  test("--source, --ttl and --tos set the fields of the datagram that arrives", async (t) => {
    const peer = await pythonPeer(t, witness);
    const send = (...args: string[]) => runHere(["send", peer.address, "x", ...args]);
    expect(await send("--source", "127.0.0.2:9421", "--ttl", "7")).toMatchObject({ code: 0 });
    expect(await peer.line()).toBe("x 127.0.0.2 9421 7 0");
    await send("--source", ":9421");
    expect(await peer.line()).toBe("x 127.0.0.1 9421 64 0");
    await send("--source", "localhost");
    expect(await peer.line()).toMatch(/^x 127\.0\.0\.1 \d+ 64 0$/);
    for (const [name, byte] of [
      ["ef", 0xb8],
      ["AF41", 0x88],
      ["cs1", 0x20],
      ["0x29", 0x29],
    ] as const) {
      const sent = await send("--tos", name);
      if (native) expect(await peer.line()).toMatch(new RegExp(`^x 127\\.0\\.0\\.1 \\d+ 64 ${byte}$`));
      else {
        expect(sent.code).toBe(1);
        expect(sent.stderr).toMatch(/^datagram send: --tos: .*: the native driver can \(ENOTSUP\)\n$/);
      }
    }
  });

  test("send --message, request --message and ping take --source and --interface too", async (t) => {
    const s = socket();
    t.onTestFinished(() => s.close());
    await s.bind(["127.0.0.1", 0]);
    const found = new Set<string>();
    const m = messages(s);
    s.tap(({ direction, source }) => {
      if (direction === "in") found.add(String(source));
    });
    m.serve(({ data }) => data);
    const to = String(s.getsockname());
    const commands = [
      ["send", to, "x", "--message"],
      ["request", to, "x", "--message"],
      ["ping", to, "--message", "--count", "1"],
    ];
    for (const [at, command] of commands.entries()) {
      const { code, stderr } = await runHere([...command, "--source", `127.0.0.${at + 3}:0`, "--ttl", "7"]);
      expect(code, stderr).toBe(0);
      const by = await runHere([...command, "--interface", "lo"]);
      if (native) expect(by.code, by.stderr).toBe(0);
      else {
        expect(by.code).toBe(1);
        expect(by.stderr).toMatch(/^datagram \w+: --interface: .*: the native driver can \(ENOTSUP\)\n$/);
      }
      const twice = await runHere([...command, "--interface", "lo", "--interface", "lo"]);
      expect(twice.code).toBe(2);
      expect(twice.stderr).toContain("--interface can be given once here");
    }
    expect([...found].map((each) => each.replace(/:\d+$/, ""))).toEqual(
      expect.arrayContaining(["127.0.0.3", "127.0.0.4", "127.0.0.5"]),
    );
  });

  test("--source with an address of another host is an error in one line", async () => {
    const { code, stderr } = await runHere(["request", "127.0.0.1:9", "x", "--source", "192.0.2.1"]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /^datagram request: bind 192\.0\.2\.1:0: .*\(EADDRNOTAVAIL\)\n$/,
      ) as string,
    });
  });

  test("listen joins a group, several listeners receive its datagrams, and the first answer counts", async (t) => {
    const first = await start(t, "239.7.7.7:0", "--reply", "first");
    expect(first.address).toBe(`239.7.7.7:${first.port}`);
    expect(await first.line("stderr")).toBe("  group 239.7.7.7 on lo");
    const second = await start(t, first.address, "--count", "2");
    const asked = await runHere(["request", first.address, "ping", "--interface", "lo"]);
    expect(asked).toMatchObject({ code: 0, stdout: '"first"\n' });
    expect(asked.stderr).toMatch(new RegExp(`^5 bytes from (?!239)[\\d.]+:${first.port} in `));
    const sent = await runHere(["send", first.address, "pong", "--interface", "127.0.0.1"]);
    expect(sent.stderr).toBe("sent 1 datagram, 4 bytes to 1 destination by lo\n");
    const { stdout } = await second.ended;
    expect(stdout.match(/"p.ng"/g)).toEqual(['"ping"', '"pong"']);
    expect((await first.stop()).stderr).toContain("\n  answered: 2\n");
  });

  test("--join adds groups to a port on every interface, and each is printed", async (t) => {
    const listener = await start(t, "0", "--join", "239.7.7.7", "--join", "239.7.7.8", "--count", "3");
    expect(listener.address).toBe(`0.0.0.0:${listener.port}`);
    expect(await listener.line("stderr")).toBe("  group 239.7.7.7 on lo");
    expect(await listener.line("stderr")).toBe("  group 239.7.7.8 on lo");
    for (const host of ["239.7.7.7", "239.7.7.8"])
      await runHere(["send", `${host}:${listener.port}`, host, "--interface", "lo"]);
    await runHere(["send", `127.0.0.1:${listener.port}`, "host"]);
    const { stdout } = await listener.ended;
    expect(stdout.match(/"[\d.host]+"/g)).toEqual(['"239.7.7.7"', '"239.7.7.8"', '"host"']);
  });

  test("on the address of a host, --join warns that no group is received there", async (t) => {
    const listener = await start(t, "127.0.0.1:0", "--join", "239.7.7.7");
    const warning = new RegExp(`\nwarning: .*0\\.0\\.0\\.0:${listener.port}`);
    expect((await listener.stop()).stderr).toMatch(warning);
  });

  test("a listener answers from the address of --source", async (t) => {
    const listener = await listen(t, ["--echo", "--source", "127.0.0.2:9422"], "0", { env });
    const asked = await runHere(["request", listener.address, "x", "--count", "1"]);
    expect(asked).toMatchObject({ code: 0, stdout: expect.stringMatching(/^127\.0\.0\.2:9422 /) as string });
    const alone = datagram(t, ["listen", "0.0.0.0:0", "--echo", "--source", "127.0.0.3"], { env });
    if (native) {
      const [, port] = /:(\d+)$/.exec(await alone.line("stderr"))!;
      const answered = await runHere(["request", `127.0.0.1:${port}`, "x", "--count", "1"]);
      expect(answered.stdout).toMatch(new RegExp(`^127\\.0\\.0\\.3:${port} `));
    } else {
      const { code, stderr } = await alone.ended;
      expect(code).toBe(1);
      expect(stderr).toMatch(/--source 127\.0\.0\.3: .*: the native driver can \(ENOTSUP\)\n$/);
    }
  });

  test("answers to a group arrive at a request that joined it, and its own datagrams do not", async (t) => {
    const peer = await pythonPeer(
      t,
      `
import struct
s.setsockopt(0, 35, socket.inet_aton("239.7.7.9") + struct.pack("@ii", 0, 1))
s.setsockopt(0, 32, socket.inet_aton("127.0.0.1"))
data, source = s.recvfrom(99)
s.sendto(b"to all", ("239.7.7.9", source[1]))`,
      "0.0.0.0",
    );
    const to = `239.7.7.9:${peer.port}`;
    const options = ["--interface", "lo", "--join", "239.7.7.9", "--source", ":9423"];
    expect(await runHere(["request", to, "who?", ...options])).toMatchObject({
      code: 0,
      stdout: '"to all"\n',
    });
    // Only the request itself listens on that port.
    const own = ["request", "239.7.7.9:9423", "who?", ...options, "--timeout", "200ms"];
    expect(await runHere(own)).toMatchObject({ code: 3, stdout: "" });
  });

  test("fewer answers than --count are exit code 3", async (t) => {
    const once = "data, source = s.recvfrom(99)\ns.sendto(data, source)\ntime.sleep(600)";
    const { address } = await pythonPeer(t, once);
    // A slow peer is asked again, until its only answer comes.
    const limits = ["--count", "2", "--timeout", "200ms", "--retries", "1000"];
    const { code, stdout, stderr } = await runHere(["request", address, "x", ...limits]);
    expect(code).toBe(3);
    expect(stdout).toMatch(/^\S+ [\d.]+ ms 1 byte "x"\n$/);
    expect(stderr).toContain("1 of 2 answers came, and no more in 200 ms");
  });
});
