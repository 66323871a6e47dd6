/** Descriptors that a supervisor opened: socket activation of systemd (sd_listen_fds(3)), and the option `fd`. */

import dgram from "node:dgram";
import { once } from "node:events";

import { type TestContext, expect, test } from "vitest";

import { Program, home, overDrivers, withDriver } from "./programs.js";

const listening = (count: number | string, names?: string): string =>
  `start LISTEN_PID=@PID LISTEN_FDS=${count}${names === undefined ? "" : ` LISTEN_FDNAMES=${names}`}`;

/** A supervisor that has sockets of these kinds and runs a program, and the ports of the sockets. */
async function supervisor(
  test: TestContext,
  driver: string,
  kinds: string,
  program: readonly string[],
): Promise<{ python: Program; ports: number[] }> {
  const command = [
    "python3",
    "-S",
    `${home}test/process/python/supervisor.py`,
    kinds,
    process.execPath,
    ...program,
  ];
  const python = new Program(test, command, withDriver(driver), "pipe");
  return { python, ports: (await python.line()).split(" ").map(Number) };
}

const fixture = `${home}build/test/process/fixtures/adopted.js`;
const example = `${home}build/examples/systemd/echo.js`;

/** The values that a program prints until it ends. */
async function values(python: Program, count: number): Promise<unknown[]> {
  const found: unknown[] = [];
  while (found.length < count) found.push(JSON.parse(await python.line()));
  python.write("wait");
  expect(await python.line()).toBe("ended 0");
  return found;
}

async function outside({ onTestFinished }: TestContext): Promise<dgram.Socket> {
  const s = dgram.createSocket("udp4").bind(0, "127.0.0.1");
  onTestFinished(() => void s.close());
  await once(s, "listening");
  return s;
}

const text = async (s: dgram.Socket): Promise<string> => String(((await once(s, "message")) as [Buffer])[0]);

overDrivers((driver) => {
  // semantics: systemd-waiting
  test("the example serves what systemd passed, and loses no datagram between two starts", async (context) => {
    const { python, ports } = await supervisor(context, driver, "udp4", [example]);
    const s = await outside(context);
    const answers: string[] = [];
    for (let round = 0; round < 2; round++) {
      // No program runs now: these datagrams wait in the socket.
      const sent = Array.from({ length: 20 }, (_, index) => `${round} ${index}`);
      for (const each of sent) s.send(each, ports[0], "127.0.0.1");
      const heard = new Promise<void>((resolve) => {
        s.on("message", (data) => {
          if (answers.push(String(data)) % 20 === 0) resolve();
        });
      });
      python.write(listening(1, "echo"));
      expect(await python.line()).toBe(`echo at 127.0.0.1:${ports[0]}`);
      await heard;
      s.removeAllListeners("message");
      python.write("stop");
      expect(await python.line()).toBe("ended 0");
      expect(answers.splice(0)).toEqual(sent);
    }
  });

  // semantics: systemd-sockets
  test("sockets have their names and families; a second call and child processes find none", async (context) => {
    const { python } = await supervisor(context, driver, "udp4,udp6", [fixture, "list"]);
    const none = [[], []];
    for (const [line, found] of [
      [
        listening(2, "one:other"),
        [
          ["one", 3, 2],
          ["other", 4, 10],
        ],
      ],
      [
        listening(2),
        [
          ["unknown", 3, 2],
          ["unknown", 4, 10],
        ],
      ],
      [listening(0, ""), []],
      ["start", []],
      ["start LISTEN_FDS=2", []],
      ["start LISTEN_PID=1 LISTEN_FDS=2 LISTEN_FDNAMES=a:b", []],
      [
        listening("two"),
        expect.stringMatching(/^EINVAL: .*LISTEN_FDS must be a whole number above 0, not "two"/),
      ],
      [listening("-1"), expect.stringMatching(/^EINVAL: .*LISTEN_FDS/)],
      [listening(99_999), expect.stringMatching(/^EINVAL: .*LISTEN_FDS is 99999/)],
      ["start LISTEN_PID=x LISTEN_FDS=1", expect.stringMatching(/^EINVAL: .*LISTEN_PID/)],
      [listening(2, "one"), expect.stringMatching(/^EINVAL: .*1 names for 2 descriptors/)],
      [listening(3), expect.stringMatching(/^(EBADF|ENOTSOCK|EINVAL): .*"unknown".*descriptor 5/)],
    ] as const) {
      python.write(line);
      expect(await values(python, 2), line).toEqual([found, none]);
    }
  });

  // semantics: systemd-sockets
  test("a descriptor that is not a UDP socket is refused with its name, unless the call names other descriptors", async (context) => {
    const { python } = await supervisor(context, driver, "tcp4,udp4,unix", [fixture, "list"]);
    python.write(listening(3, "web:dns:log"));
    const [told] = await values(python, 2);
    expect(told).toMatch(/^EINVAL: .*"web".*descriptor 3 .*node:net.*names/);
    const named = await supervisor(context, driver, "tcp4,udp4,unix", [fixture, "list", "dns"]);
    named.python.write(listening(3, "web:dns:log"));
    expect(await values(named.python, 2)).toEqual([[["dns", 4, 2]], [[], []]]);
    named.python.write(listening(3, "web:other:log"));
    const [missing] = await values(named.python, 2);
    expect(missing).toMatch(/^EINVAL: .*no socket "dns" was passed, but web, other, log/);
  });

  // semantics: adopted-descriptor
  test("an adopted socket has its address, cannot be adopted twice, and closes its descriptor", async (context) => {
    const { python, ports } = await supervisor(context, driver, "udp4", [fixture, "adopt"]);
    const s = await outside(context);
    s.send("waited", ports[0], "127.0.0.1");
    const answer = text(s);
    python.write("start");
    const [address, codes, first, closed] = await values(python, 4);
    expect(address).toEqual(["127.0.0.1", ports[0]]);
    expect(codes).toEqual(["EINVAL", expect.stringMatching(/^EBUSY: .*descriptor 3 .*already/), 131_072]);
    expect(first).toEqual(["waited", 6]);
    expect(closed).toMatch(/EBADF/);
    expect(await answer).toBe("first");
  });

  test("bind({ fd }) of datagram/dgram adopts a descriptor as node:dgram does", async (context) => {
    for (const module of ["node:dgram", "datagram/dgram"]) {
      const { python, ports } = await supervisor(context, driver, "udp4", [fixture, "dgram", module]);
      const s = await outside(context);
      s.send("waited", ports[0], "127.0.0.1");
      const answer = text(s);
      python.write("start");
      expect(await values(python, 4), module).toEqual([
        ["TypeError", "ERR_INVALID_FD_TYPE"],
        { address: "127.0.0.1", family: "IPv4", port: ports[0] },
        ["waited", 6, "127.0.0.1"],
        expect.stringMatching(/EBADF/),
      ]);
      expect(await answer).toBe("answer");
    }
  });

  // semantics: bad-descriptor
  test("a descriptor that is not a UDP socket of the family is refused, and stays open", async (context) => {
    const { python } = await supervisor(context, driver, "tcp4,udp6,unix", [
      fixture,
      "refuse",
      "3",
      "4",
      "5",
    ]);
    python.write("start");
    const [told, open, address] = await values(python, 3);
    expect(told).toEqual([
      expect.stringMatching(/^EINVAL: .*it is no.*node:net/),
      expect.stringMatching(/^EINVAL: .*it is no AF_INET socket/),
      expect.stringMatching(/^EINVAL: .*it is no/),
      expect.stringMatching(/^ENOTSOCK: .*it is not a socket/),
      expect.stringMatching(/^EBADF: .*it is not open in this process/),
    ]);
    expect([open, address]).toEqual([true, "::1"]);
  });
});

// semantics: dissolve-warning
test("an adopted IPv6 socket that is dissolved warns that it receives from its former peer only", async (context) => {
  const { python } = await supervisor(context, "native", "udp6", [fixture, "dissolved"]);
  python.write("start");
  const [told] = (await values(python, 1)) as [string, string][];
  expect(told?.[0]).toBe("DISSOLVED_HEARS_FORMER_PEER");
  expect(told?.[1]).toMatch(
    /still receives only from ::1.*the descriptor belongs to the program that opened it/,
  );
});

// semantics: adopted-descriptor
test("a connected descriptor has its peer; the dgram driver cannot read the peer, and refuses it", async (context) => {
  const s = await outside(context);
  const { port } = s.address();
  const native = await supervisor(context, "native", `connected=${port}`, [fixture, "connected"]);
  const arrived = text(s);
  native.python.write("start");
  expect(await arrived).toBe("to the peer");
  s.send("from the peer", native.ports[0], "127.0.0.1");
  expect(await values(native.python, 3)).toEqual([
    ["127.0.0.1", 11],
    "from the peer",
    expect.stringMatching(/^ENOTCONN/),
  ]);
  const other = await supervisor(context, "dgram", `connected=${port}`, [fixture, "connected"]);
  other.python.write("start");
  other.python.write("wait");
  expect(await other.python.line()).toBe("ended 1");
});
