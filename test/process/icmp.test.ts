/** An ICMP error fails only the calls that it is about. */

import { type TestContext, afterAll, describe, expect, test } from "vitest";

import {
  type Lifetime,
  type Program,
  cleanEnding,
  inOpenNetwork,
  needNamespaces,
  needStorms,
  start,
  whySkipped,
} from "./programs.js";

const why = whySkipped("native");

/** Starts the fixture in a network where each datagram to a closed port causes an ICMP error. */
function startCases(life: Lifetime, route: string): Program {
  return start(life, "native", "icmp", [route], { within: inOpenNetwork, input: "pipe" });
}

async function askOf(program: Program, name: string): Promise<unknown> {
  program.write(name);
  return JSON.parse(await program.line()) as unknown;
}

async function end(program: Program): Promise<void> {
  program.endInput();
  expect(await program.ended).toMatchObject(cleanEnding);
}

/** Returns a function that asks for the result of a case. The cases of a route run in one process, one after the other. */
function inOneProcess(route: string): (context: TestContext, name: string) => Promise<unknown> {
  const endings: Parameters<Lifetime["onTestFinished"]>[0][] = [];
  /** It is missing while a case runs, so that the case after a failed one has another process. */
  let free: Program | undefined;
  afterAll(async () => {
    if (free) await end(free);
    await Promise.all(endings.map((ending) => (ending as () => unknown)()));
  });
  return async (context, name) => {
    needNamespaces(context);
    const program = free ?? startCases({ onTestFinished: (ending) => void endings.push(ending) }, route);
    free = undefined;
    const result = await askOf(program, name);
    free = program;
    return result;
  };
}

/** Runs a case in a process of its own, since it measures the CPU time of a process that has nothing to do. */
async function askAlone(context: TestContext, route: string, name: string): Promise<unknown> {
  needNamespaces(context);
  const program = startCases(context, route);
  const result = await askOf(program, name);
  await end(program);
  return result;
}

/** All reports about datagrams to a closed port. */
const told = {
  reports: ["ECONNREFUSED dead, port unreachable from host"],
  allCounted: true,
  sendErrors: {},
} as const;
/** The same if the kernel had room for the errno only. */
const bare = ["ECONNREFUSED undefined, undefined from undefined"];

/** A process that uses more than this share of its time does not sleep. */
const busyShare = 0.3;

function times<T>(count: number, ...items: T[]): T[] {
  return Array.from({ length: count }, () => items).flat();
}

describe.skipIf(why !== undefined)(`over native${why === undefined ? "" : ` (${why})`}`, () => {
  describe.each(["IPv4", "IPv6", "mapped"])("over %s", (route) => {
    const ask = inOneProcess(route);

    // semantics: unreachable-others-sent
    test("an ICMP error about one peer fails no send to another peer, read before or not", async (t) => {
      expect(await ask(t, "a send after an error")).toEqual({
        outcomes: times(26, "4"),
        many: "5",
        manyLost: "600",
        arrived: times(15, "kept"),
        ...told,
      });
    });

    // semantics: unreachable-receives, iteration-icmp
    test("an ICMP error ends no waiting receive call and no iteration", async (t) => {
      const found = times(3, "hello");
      expect(await ask(t, "a receive and an iteration that wait")).toEqual({ found, ...told });
    });

    // semantics: unreachable-receives
    test("a receive call returns the datagrams that are there, although an error waits too", async (t) => {
      const four = ["1", "2", "3", "4"];
      expect(await ask(t, "receives with datagrams queued")).toEqual({
        found: [...four, ...four, "1234", ...four],
        ...told,
      });
    });

    // semantics: unreachable-flood
    test("unread ICMP errors take no room from datagrams: after 20,000 errors, 100 of 100 datagrams arrive", async (t) => {
      expect(await ask(t, "a datagram after 20,000 errors")).toEqual([100, 100, 100, 100]);
    });

    // semantics: unreachable-no-room
    test("if the receive buffer has no room for the error, it is reported without a destination, and the socket still works", async (t) => {
      const { cpuShare, ...rest } = (await askAlone(t, route, "no room for the error")) as {
        cpuShare: number;
      };
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
    test("on a connected socket the next receive call is ECONNREFUSED, once, and then the socket receives from its peer", async (t) => {
      expect(await ask(t, "a connected socket: receive")).toEqual({
        found: [...times(3, "ECONNREFUSED"), "EAGAIN", "here now", "5", "hello"],
        ...told,
      });
    });

    // semantics: refused-elsewhere
    test("an ICMP error about the connected peer fails no sendto to another address", async (t) => {
      expect(await ask(t, "a connected socket: sendto elsewhere")).toEqual({
        outcomes: times(2, "5", "2", "ECONNREFUSED", "EAGAIN"),
        arrived: times(6, "aside"),
      });
    });

    // semantics: unreachable-elsewhere
    test("on a connected socket, an ICMP error about another address fails no call about the peer", async (t) => {
      expect(await ask(t, "a connected socket: an error about another")).toEqual({
        outcomes: times(2, "5", "5", "hello"),
        arrived: times(2, "hello"),
      });
    });

    // semantics: refused-forgotten
    test("connecting to another peer forgets the waiting error of the peer before", async (t) => {
      expect(await ask(t, "a connected socket: another peer")).toEqual({
        outcomes: times(2, "5", "hello", "EAGAIN"),
        arrived: times(2, "hello"),
      });
    });

    // semantics: unreachable-unread
    test("an unreferenced socket reports ICMP errors too, while something else keeps the process alive", async (t) => {
      expect(await ask(t, "an unreferenced socket")).toEqual(told);
    });

    // semantics: unreachable-close
    test("ICMP errors that wait at close() are reported, and no event comes after close() is done", async (t) => {
      expect(await ask(t, "close while errors wait")).toEqual({ silent: [], late: [] });
    });

    // semantics: unreachable-close
    test("if a listener calls close() while more errors wait, these are reported too, and no event comes after close() is done", async (t) => {
      const after = ["EBADF", "1"];
      expect(await ask(t, "close in a listener")).toEqual({ told: 3, late: 0, after });
    });

    // semantics: listener-throws
    test("an error thrown by a listener is an uncaught exception, and no event and no datagram is lost", async (t) => {
      expect(await ask(t, "a listener that throws")).toEqual({
        uncaught: times(2, "a listener"),
        others: 2,
        arrived: ["kept"],
        ...told,
      });
    });

    // semantics: unreachable-flood
    test("after errors were reported the process sleeps, with and without a waiting receive call", async (t) => {
      for (const share of (await askAlone(t, route, "idle after errors")) as number[])
        expect(share).toBeLessThan(busyShare);
    });
  });

  // semantics: unreachable-flood
  test("after 10,000 errors in a second, several times, all are reported, timers and other sockets still run, and then the process sleeps", async (t) => {
    needStorms(t);
    const how = { node: ["--expose-gc"], within: inOpenNetwork };
    const { lines, ...ending } = await start(t, "native", "icmp-flood", [], how).ended;
    expect(ending).toEqual(cleanEnding);
    const storm = JSON.parse(lines[0]!) as Storm;
    expect(storm).toMatchObject({ refused: 0, kept: storm.rounds, counted: storm.reports });
    expect(storm.reports).toBeGreaterThan(storm.sent / 10);
    // In the process's own time, which does not pass while the machine runs other programs.
    expect(storm.reports / storm.cpuMs).toBeGreaterThan(10);
    expect(storm.cpuMs / storm.ticks).toBeLessThan(50);
    expect(storm.idleShare).toBeLessThan(busyShare);
    expect(storm.memory.at(-1)! - storm.memory[0]!).toBeLessThan(3 << 20);
  });
});

/** The figures that the fixture prints. */
interface Storm {
  /** Datagrams to a closed port. */
  readonly sent: number;
  /** Datagrams to an open port: one for each round. */
  readonly rounds: number;
  readonly kept: number;
  /** Datagrams to a closed port whose call failed. */
  readonly refused: number;
  readonly reports: number;
  readonly counted: number;
  /** CPU time for sending and for the reports, in milliseconds. */
  readonly cpuMs: number;
  /** Calls of a timer in that time. */
  readonly ticks: number;
  /** The share of the time that the process works after all is done. */
  readonly idleShare: number;
  /** Bytes in use after each storm. */
  readonly memory: readonly number[];
}
