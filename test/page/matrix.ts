/** The page's programs in both languages, and every pairing of them. */

import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

import { type TestContext, test } from "vitest";

import { hasSocket, unusedPort } from "../ports.js";
import {
  type DriverName,
  type Lifetime,
  Program,
  home,
  whySkipped,
  withDriver,
} from "../process/programs.js";
import type { Runtime } from "../runtimes/runtimes.js";

/** The address that all programs use. */
export const host = "127.0.0.1";

/** One of the ends: a language, and for TypeScript the driver. */
export interface Side {
  readonly name: string;
  readonly skipped: string | undefined;
  /** Starts the program with that name. */
  start(test: Lifetime, program: string, ...args: (string | number)[]): Program;
}

export const python: Side = {
  name: "Python",
  skipped: undefined,
  start: (test, program, ...args) =>
    new Program(test, ["python3", "-S", "-u", `${home}test/page/python/${program}.py`, ...args.map(String)]),
};

export const typescriptSides: readonly [native: Side, dgram: Side] = [
  typescript("native"),
  typescript("dgram"),
];

/** TypeScript under another runtime than Node, over the driver that the package chooses there. */
export function runtimeSide({ name, command }: Runtime): Side {
  return compiled(`TypeScript under ${name}`, undefined, command, withDriver(undefined));
}

const sides: readonly Side[] = [...typescriptSides, python];

/** Declares a test for each side. */
export function eachSide(what: string, body: (side: Side, test: TestContext) => Promise<void>): void {
  for (const side of sides) {
    test(`${what}: ${side.name}`, async (context) => {
      if (side.skipped !== undefined) context.skip(side.skipped);
      await body(side, context);
    });
  }
}

/** Declares a test for each pair of a client and a server. */
export function eachPairing(
  what: string,
  body: (client: Side, server: Side, test: TestContext) => Promise<void>,
): void {
  for (const client of sides) {
    for (const server of sides) {
      test(`${what}: ${client.name} to ${server.name}`, async (context) => {
        const skipped = client.skipped ?? server.skipped;
        if (skipped !== undefined) context.skip(skipped);
        await body(client, server, context);
      });
    }
  }
}

/** Starts a receiver on a free port and waits until it is bound. */
export async function startServer(
  side: Side,
  test: Lifetime,
  program: string,
): Promise<{ server: Program; port: number }> {
  const port = unusedPort();
  const server = side.start(test, program, host, port);
  await bound(port, server);
  return { server, port };
}

/** A server that several tests use, one after the other. Each test reads all lines that the server prints for it. */
export type SharedServer = (
  side: Side,
  program: string,
  index?: number,
) => Promise<{ server: Program; port: number }>;

/** @returns a function that starts a server at the first call, and returns the same one at later calls with the same arguments. */
export function shareServers(life: Lifetime): SharedServer {
  const started = new Map<string, ReturnType<SharedServer>>();
  return (side, program, index = 0) => {
    const key = `${program} ${index}, ${side.name}`;
    const server = started.get(key) ?? startServer(side, life, program);
    started.set(key, server);
    return server;
  };
}

/** A line in one form for both languages: Python prints `('127.0.0.1', 9000)` and `b'hello'`. */
export function plain(line: string): string {
  return line.replace(/\('([^']*)', (\d+)\)/, "$1:$2").replace(/b'([^']*)'/, "$1");
}

function typescript(driver: DriverName): Side {
  const command = [process.execPath];
  return compiled(`TypeScript over ${driver}`, whySkipped(driver), command, withDriver(driver));
}

/** A side whose compiled TypeScript programs the command runs. */
function compiled(
  name: string,
  skipped: string | undefined,
  command: readonly string[],
  env: NodeJS.ProcessEnv,
): Side {
  return {
    name,
    skipped,
    start(test, program, ...args) {
      const example = `${home}build/examples/${program}.js`;
      const path = existsSync(example) ? example : `${home}build/test/page/typescript/${program}.js`;
      return new Program(test, [...command, path, ...args.map(String)], env);
    },
  };
}

/** Waits until the kernel has the port: the receivers of the page do not print when they are bound. */
export async function bound(port: number, server: Program): Promise<void> {
  for (let look = 0; look < 1500; look++) {
    if (hasSocket(port)) return;
    server.assertRunning("before it was bound");
    await delay(20);
  }
  throw new Error(`port ${port} was never bound`);
}
