/**
 * One table of what `node:dgram` does. Each row runs over the real `node:dgram` first, which proves the row, and then over the
 * module on each driver.
 */

import nodeDgram from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import { type DgramModule, type Socket, type SocketOptions, createDgram } from "datagram/dgram";
import { Network } from "datagram/sim";
import { type TestContext, expect, test } from "vitest";

import type { Stack } from "../../src/core/driver/driver.js";
import { openSocket } from "../../src/core/socket/opening.js";
import { dgramStack } from "../../src/kernel/dgram/dgram.js";
import { nativeSupport } from "../../src/kernel/native/stack.js";

/** What a row may use. */
export interface World {
  readonly name: "node:dgram" | "native" | "dgram" | "sim";
  /** The module under test. */
  readonly dgram: DgramModule;
  /** A socket that is closed when the row ends. */
  socket(options?: SocketOptions | "udp4" | "udp6"): Socket;
  /** A socket that is bound to a free port of `127.0.0.1` or `::1`. */
  bound(options?: SocketOptions | "udp4" | "udp6"): Promise<Socket>;
  /** A port of `127.0.0.1` where nobody listens. */
  nobody(): Promise<number>;
}

/** When a row runs over `node:dgram`, and where it does not run. */
export interface RowOptions {
  /** The first major version of Node that has this. */
  readonly since?: number;
  /** Worlds that differ on purpose, with the reason. */
  readonly not?: Partial<Record<World["name"], string>>;
}

const names = ["node:dgram", "native", "dgram", "sim"] as const;
/** An event that never comes fails the row after this time. */
const rowMs = 30_000;
const nodeMajor = Number(process.versions.node.split(".")[0]);

/** Declares a row of the table. */
export function row(
  name: string,
  body: (world: World) => Promise<void> | void,
  options: RowOptions = {},
): void {
  for (const world of names) {
    test(
      `${name} (${world})`,
      async ({ skip }) => {
        const { since = 0, not = {} } = options;
        if (world === "node:dgram" && nodeMajor < since) skip(`from Node ${since} on`);
        const reason = not[world];
        if (reason !== undefined) skip(reason);
        const run = () => inWorld(world, body, skip);
        if (world !== "sim") await run();
        else await simulated(run);
      },
      rowMs,
    );
  }
}

let simHost: ReturnType<Network["host"]> | undefined;

async function simulated(run: () => Promise<void>): Promise<void> {
  const network = new Network();
  simHost = network.host("row", { addresses: ["10.0.0.1", "fd00::1"] });
  network.link(simHost, network.router("gateway"));
  await network.run(run);
}

async function inWorld(
  name: World["name"],
  body: (world: World) => Promise<void> | void,
  skip: TestContext["skip"],
): Promise<void> {
  const dgram = moduleOf(name, skip);
  const opened: Socket[] = [];
  const socket: World["socket"] = (options = "udp4") => {
    const made = dgram.createSocket(options);
    opened.push(made);
    return made;
  };
  const bound: World["bound"] = async (options = "udp4") => {
    const made = socket(options);
    const isIPv6 = (typeof options === "string" ? options : options.type) === "udp6";
    made.bind(0, isIPv6 ? "::1" : "127.0.0.1");
    await event(made, "listening");
    return made;
  };
  const nobody = async (): Promise<number> => {
    const gone = await bound();
    const { port } = gone.address();
    await closed(gone);
    return port;
  };
  try {
    await body({ name, dgram, socket, bound, nobody });
  } finally {
    await Promise.all(opened.map((each) => closed(each)));
  }
}

function moduleOf(name: World["name"], skip: TestContext["skip"]): DgramModule {
  if (name === "node:dgram") return nodeDgram as unknown as DgramModule;
  if (name === "sim") return createDgram(simHost!);
  let stack: Stack | undefined = dgramStack;
  if (name === "native") {
    const support = nativeSupport();
    stack = support.stack ?? skip(support.reason);
  }
  return createDgram({
    socket: (family, type, options = {}) => openSocket(() => stack, family, type, options),
  });
}

/** The arguments of the next event of a kind. */
export async function event(from: Socket, name: string): Promise<unknown[]> {
  return (await once(from, name)) as unknown[];
}

/** Closes a socket, unless it is closed, and waits for "close". */
export async function closed(socket: Socket): Promise<void> {
  socket.removeAllListeners();
  socket.on("error", () => undefined);
  await socket[Symbol.asyncDispose]();
}

/** Resolves after the ticks and microtasks that are queued now. */
export function soon(): Promise<void> {
  return sleep(1);
}

/** A send that is a promise: of the bytes, or of the error. */
export function sent(socket: Socket, ...given: unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const send = socket.send.bind(socket) as (...all: unknown[]) => void;
    send(...given, (error: Error | null, bytes: number) => (error ? reject(error) : resolve(bytes)));
  });
}

/** The error that a call throws. */
export function thrown(call: () => unknown): Record<string, unknown> {
  try {
    call();
  } catch (error) {
    return error as Record<string, unknown>;
  }
  return expect.unreachable("the call threw no error");
}

/** The error that a promise rejects with. */
export async function rejected(call: Promise<unknown>): Promise<Record<string, unknown>> {
  return call.then(
    () => expect.unreachable("the call did not fail"),
    (error: unknown) => error as Record<string, unknown>,
  );
}
