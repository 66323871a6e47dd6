/** ICMP errors are news, not traps: what they are about fails by them, and nothing else does. */

import { type TestContext, describe, expect, test } from "vitest";

import { cleanEnding, inOpenNetwork, needNamespaces, needStorms, start, whySkipped } from "./programs.js";

const why = whySkipped("native");

/** Runs a fixture where each datagram to nobody has its ICMP error, and gives what it prints. */
async function run(
  context: TestContext,
  fixture: string,
  args: readonly string[] = [],
  node: readonly string[] = [],
): Promise<unknown> {
  needNamespaces(context);
  const { lines, ...ending } = await start(context, "native", fixture, args, { node, within: inOpenNetwork })
    .ended;
  expect(ending).toEqual(cleanEnding);
  return JSON.parse(lines[0]!) as unknown;
}

/** All that is told of datagrams to where nobody listens. */
const told = {
  reports: ["ECONNREFUSED dead, port unreachable from host"],
  allCounted: true,
  sendErrors: {},
} as const;
/** The same where the kernel had room for no more than the errno. */
const bare = ["ECONNREFUSED undefined, undefined from undefined"];

/** More of its time than this, a process does not sleep through. */
const busyShare = 0.3;

function times<T>(count: number, ...items: T[]): T[] {
  return Array.from({ length: count }, () => items).flat();
}

describe.skipIf(why !== undefined)(`over native${why === undefined ? "" : ` (${why})`}`, () => {
  describe.each(["IPv4", "IPv6", "mapped"])("over %s", (route) => {
    const ask = (context: TestContext, name: string) => run(context, "icmp", [name, route]);

    // semantics: unreachable-others-sent
    test("what ICMP said of one peer fails no send to another, whether it was seen before or not", async (t) => {
      expect(await ask(t, "a send after an error")).toEqual({
        outcomes: times(26, "4"),
        many: "5",
        manyLost: "600",
        arrived: times(15, "kept"),
        ...told,
      });
    });

    // semantics: unreachable-receives, iteration-icmp
    test("what ICMP says ends no receive call and no iteration that waits", async (t) => {
      const found = times(3, "hello");
      expect(await ask(t, "a receive and an iteration that wait")).toEqual({ found, ...told });
    });

    // semantics: unreachable-receives
    test("a receive call gives the datagrams that are there, though an error waits too", async (t) => {
      const four = ["1", "2", "3", "4"];
      expect(await ask(t, "receives with datagrams queued")).toEqual({
        found: [...four, ...four, "1234", ...four],
        ...told,
      });
    });

    // semantics: unreachable-flood
    test("errors that nobody asks for take no room from datagrams: after 20,000 of them, 100 of 100 arrive", async (t) => {
      expect(await ask(t, "a datagram after 20,000 errors")).toEqual([100, 100, 100, 100]);
    });

    // semantics: unreachable-no-room
    test("where the receive buffer has no room for the error, it is told without a destination, and all goes on", async (t) => {
      const { cpuShare, ...rest } = (await ask(t, "no room for the error")) as { cpuShare: number };
      expect(rest).toEqual({
        outcomes: times(8, "4"),
        arrived: times(4, "kept"),
        without: bare,
        unread: ["unread"],
        after: told.reports,
      });
      expect(cpuShare).toBeLessThan(busyShare);
    });

    // semantics: refused
    test("on a connected socket the next send is ECONNREFUSED, once for each refusal, and sends nothing", async (t) => {
      expect(await ask(t, "a connected socket: send")).toEqual({
        outcomes: times(6, "4", "ECONNREFUSED"),
        sent: 6,
        ...told,
        sendErrors: { ECONNREFUSED: 6 },
      });
    });

    // semantics: refused
    test("on a connected socket the next receive call is ECONNREFUSED, once, and then it hears its peer", async (t) => {
      expect(await ask(t, "a connected socket: receive")).toEqual({
        found: [...times(3, "ECONNREFUSED"), "EAGAIN", "here now", "5", "hello"],
        ...told,
      });
    });

    // semantics: refused-elsewhere
    test("what ICMP said of the connected peer fails no sendto elsewhere", async (t) => {
      expect(await ask(t, "a connected socket: sendto elsewhere")).toEqual({
        outcomes: times(2, "5", "2", "ECONNREFUSED", "EAGAIN"),
        arrived: times(6, "aside"),
      });
    });

    // semantics: unreachable-elsewhere
    test("on a connected socket, nobody at another address fails no call about the peer", async (t) => {
      expect(await ask(t, "a connected socket: an error about another")).toEqual({
        outcomes: times(2, "5", "5", "hello"),
        arrived: times(2, "hello"),
      });
    });

    // semantics: refused-forgotten
    test("connecting to another peer forgets what waited of the last", async (t) => {
      expect(await ask(t, "a connected socket: another peer")).toEqual({
        outcomes: times(2, "5", "hello", "EAGAIN"),
        arrived: times(2, "hello"),
      });
    });

    // semantics: unreachable-unread
    test("an unreferenced socket is told all the same, while something else keeps the process", async (t) => {
      expect(await ask(t, "an unreferenced socket")).toEqual(told);
    });

    // semantics: unreachable-close
    test("close() while errors wait: it tells them, and no event comes once it is done", async (t) => {
      expect(await ask(t, "close while errors wait")).toEqual({ silent: [], late: [] });
    });

    // semantics: unreachable-close
    test("close() in a listener, while more errors wait: it tells them too, and no event comes once it is done", async (t) => {
      const after = ["EBADF", "1"];
      expect(await ask(t, "close in a listener")).toEqual({ told: 3, late: 0, after });
    });

    // semantics: listener-throws
    test("what a listener throws is the program's uncaught exception, and costs nobody an event or a datagram", async (t) => {
      expect(await ask(t, "a listener that throws")).toEqual({
        uncaught: times(2, "a listener"),
        others: 2,
        arrived: ["kept"],
        ...told,
      });
    });

    // semantics: unreachable-flood
    test("errors that were told leave the process asleep, whether somebody waits for datagrams or not", async (t) => {
      for (const share of (await ask(t, "idle after errors")) as number[])
        expect(share).toBeLessThan(busyShare);
    });
  });

  // semantics: unreachable-flood
  test("10,000 errors in a second, time after time: told of, timers and other sockets go on, and then all is quiet", async (t) => {
    needStorms(t);
    const storm = (await run(t, "storm", [], ["--expose-gc"])) as Storm;
    expect(storm).toMatchObject({ refused: 0, kept: storm.rounds, counted: storm.reports });
    expect(storm.reports).toBeGreaterThan(storm.sent / 10);
    // Of the process's own time, which does not pass while the machine runs other programs.
    expect(storm.reports / storm.cpuMs).toBeGreaterThan(10);
    expect(storm.cpuMs / storm.ticks).toBeLessThan(50);
    expect(storm.idleShare).toBeLessThan(busyShare);
    expect(storm.memory.at(-1)! - storm.memory[0]!).toBeLessThan(3 << 20);
  });
});

/** What the fixture prints. */
interface Storm {
  /** Datagrams to nobody. */
  readonly sent: number;
  /** Datagrams to somebody among them: one a round. */
  readonly rounds: number;
  readonly kept: number;
  /** Datagrams to nobody whose call failed. */
  readonly refused: number;
  readonly reports: number;
  readonly counted: number;
  /** Milliseconds of work, for sending and for being told. */
  readonly cpuMs: number;
  /** Calls of a timer meanwhile. */
  readonly ticks: number;
  /** The share of its time that the process works when all is done. */
  readonly idleShare: number;
  /** Bytes in use after each storm. */
  readonly memory: readonly number[];
}
