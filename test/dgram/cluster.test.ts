/** Workers of `node:cluster` share a port. Each row runs over the real `node:dgram` first, and then over `datagram/register`. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { Program, cleanEnding, home, sharedLifetime, whySkipped, withDriver } from "../process/programs.js";

const fixtures = `${home}build/test/dgram/fixtures/`;
const nodeMajor = Number(process.versions.node.split(".")[0]);
/** Runs a program whose descriptor 30 is a bound UDP socket. */
const withDescriptor = [
  "python3",
  "-S",
  "-c",
  `import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
os.dup2(s.fileno(), 30)
os.execvp(sys.argv[1], sys.argv[1:])`,
];

interface Row {
  /** What the scenario prints. */
  readonly prints: unknown;
  /** The first major version of Node that has this. */
  readonly since?: number;
}

/** The errors of a bind to 127.0.0.1:9. */
const inUse = {
  message: "bind EADDRINUSE 127.0.0.1:9",
  code: "EADDRINUSE",
  errno: -98,
  syscall: "bind",
  address: "127.0.0.1",
  port: 9,
};

const rows: Readonly<Record<string, readonly [scenario: string, row: Row]>> = {
  "port 0 is the same port in both workers, and another one for the second socket of a worker": [
    "port0",
    {
      prints: {
        first: { address: "127.0.0.1", family: "IPv4", port: expect.any(Number) as number },
        same: true,
        secondSocketsSame: true,
        secondSocketsOther: true,
      },
    },
  ],
  "each datagram reaches one worker, once": ["once", { prints: { distinct: 500, all: 500 } }],
  "answers of both workers come from the shared port": [
    "answers",
    { prints: { sources: 1, fromPort: true } },
  ],
  "workers share a port of IPv6": [
    "ipv6",
    {
      prints: {
        first: { address: "::1", family: "IPv6", port: expect.any(Number) as number },
        same: true,
        distinct: 100,
      },
    },
  ],
  "the primary emits listening with the address, for each worker": [
    "listening",
    { prints: { address: { addressType: "udp4", address: "127.0.0.1", port: 9, fd: -1 }, second: true } },
  ],
  "after one worker closed, the other one gets each datagram, and the first may bind again": [
    "closeOne",
    { prints: { distinct: 100, ofClosed: 0, again: null } },
  ],
  "the port is free after all workers closed": [
    "closeAll",
    { prints: { before: false, between: false, after: true } },
  ],
  "close before the answer of the primary emits close alone": ["bindAndClose", { prints: ["close"] }],
  "a worker that is killed leaves the port to the other, and the port is free after both": [
    "death",
    { prints: { distinct: 100, free: true } },
  ],
  "disconnect of a worker closes its sockets, and the worker ends": [
    "disconnect",
    { prints: { code: 0, signal: null, voluntary: true, distinct: 100 } },
  ],
  "an exclusive port is not shared, and not announced": [
    "exclusive",
    { prints: { shared: 0, second: inUse, sharing: inUse } },
  ],
  "a port that the primary uses is EADDRINUSE, and the socket may bind later": [
    "taken",
    { prints: { taken: inUse, again: true } },
  ],
  "an address of another host is EADDRNOTAVAIL": [
    "notHere",
    {
      prints: {
        message: "bind EADDRNOTAVAIL 192.0.2.1",
        code: "EADDRNOTAVAIL",
        errno: -99,
        syscall: "bind",
        address: "192.0.2.1",
      },
    },
  ],
  "sockets that send before they are bound do not share a port": ["unbound", { prints: { different: true } }],
  "with reusePort each worker has a socket of its own": [
    "reusePort",
    { since: 24, prints: { shared: 0, same: true } },
  ],
  "a second worker cannot join the same group": [
    "membership",
    { prints: ["joined", "addMembership EADDRINUSE"] },
  ],
  "fd is a descriptor of the primary": ["descriptor", { prints: { same: true, distinct: 100 } }],
  "fd that is no socket of the primary is EINVAL": [
    "wrongDescriptor",
    { prints: { message: "open EINVAL", code: "EINVAL", errno: -22, syscall: "open" } },
  ],
};

for (const world of ["node:dgram", "native", "dgram"] as const) {
  const why = world === "native" ? whySkipped(world) : undefined;
  const register = world === "node:dgram" ? [] : ["--import", `${home}dist/register/index.js`];
  const env = withDriver(world === "node:dgram" ? undefined : world);
  describe.skipIf(why !== undefined)(`over ${world}${why === undefined ? "" : ` (${why})`}`, () => {
    const life = sharedLifetime();
    let primary: Program;

    beforeAll(() => {
      const command = [...withDescriptor, process.execPath, ...register, `${fixtures}cluster.js`];
      primary = new Program(life, command, env, "pipe");
    });

    afterAll(async () => {
      primary.endInput();
      expect(await primary.ended).toMatchObject(cleanEnding);
    });

    test.for(Object.entries(rows))("%s", async ([, [scenario, row]], context) => {
      const { since = 0, prints } = row;
      if (world !== "native" && nodeMajor < since) context.skip(`from Node ${since} on`);
      primary.write(scenario);
      expect(JSON.parse(await primary.line())).toEqual(prints);
    });

    test("a process receives on a socket that another process passed to it", async (context) => {
      const command = [process.execPath, `${fixtures}passing.js`, ...register];
      const { lines, ...ending } = await new Program(context, command, env).ended;
      expect(ending).toEqual(cleanEnding);
      expect(JSON.parse(lines[0]!)).toEqual({ got: "hello", isReplaced: world !== "node:dgram" });
    });
  });
}
