/** The programs of the page, unchanged, print the same over real sockets and over the network in memory. */

import { AF_INET, OSError, SOCK_DGRAM, type Socket, type socket } from "datagram";
import { Network } from "datagram/sim";
import { describe, expect, test } from "vitest";

import { openSocket } from "../../src/core/socket/opening.js";
import type { Stack } from "../../src/core/driver/driver.js";
import { dgramStack } from "../../src/kernel/dgram/dgram.js";
import { nativeSupport } from "../../src/kernel/native/stack.js";
import { unusedPort } from "../ports.js";
import * as page from "./fixtures/page-programs.js";

/** A desk and three cameras, on a real or a simulated network. */
interface Place {
  readonly desk: typeof socket;
  readonly cameras: readonly { readonly host: string; readonly socket: typeof socket }[];
  /** A port that is free on the cameras. */
  readonly freePort: () => Promise<number>;
}

const expected = {
  "camera 0": ["from A got hello", "from B got hello", "from C got hello", "from D got is anybody there?"],
  "camera 1": ["from B got hello"],
  "camera 2": ["from B got hello"],
  "ack receiver": ["got ping from E", `got ${"a".repeat(64)} from F`],
  "request to the ack receiver": ["reply: ack: ping"],
  "request that is cut, as its reply": [`reply: ack: ${"a".repeat(59)}`],
  "request to ping-pong": ["reply: pong"],
  "request that ping-pong does not answer": ["no reply in 2 s -- packet lost?"],
  "request that is only received": ["no reply in 2 s -- packet lost?"],
  "request where nobody listens": ["no reply in 2 s -- packet lost?"],
};

test("in memory the programs print what the page shows", async () => {
  const network = new Network({ seed: 9 });
  const desk = network.host("desk", { address: "192.168.1.10" });
  const lan = network.switch("lan");
  network.link(desk, lan, { latencyMs: 1 });
  const cameras = [20, 21, 22].map((number) => {
    const host = network.host(`camera-${number}`, { address: `192.168.1.${number}` });
    network.link(host, lan, { latencyMs: 1 });
    return { host: host.address, socket: host.socket.bind(host) };
  });
  let port = 9000;
  const freePort = (): Promise<number> => Promise.resolve(port++);
  const printed = await network.run(() => play({ desk: desk.socket.bind(desk), cameras, freePort }));
  expect(printed).toEqual(expected);
});

describe.concurrent("over real sockets", () => {
  test("over node:dgram the programs print the same", async ({ expect }) => {
    expect(await play(onLoopback(dgramStack))).toEqual(expected);
  });

  test("over the native driver the programs print the same", async ({ expect, skip }) => {
    const { stack, reason } = nativeSupport();
    if (!stack && process.env.DATAGRAM_REQUIRE_ALL !== "1") skip(reason);
    expect(await play(onLoopback(stack as Stack))).toEqual(expected);
  });
});

/** Runs every program. Returns what each printed, with letters in place of addresses. */
async function play({ desk, cameras, freePort }: Place): Promise<Record<string, string[]>> {
  const printed: Record<string, string[]> = {};
  const opened: Socket[] = [];
  const loops: Promise<unknown>[] = [];
  const machine = (name: string, open: typeof socket): page.Machine => ({
    print: (...words) => (printed[name] ??= []).push(words.join(" ")),
    socket: (...how) => {
      const made = open(...how);
      opened.push(made);
      return made;
    },
  });
  /** Starts a program that runs for ever, and waits until it is bound. */
  const start = async (loop: Promise<never>): Promise<void> => {
    loops.push(loop.catch((error: unknown) => error));
    const bound = opened.at(-1) as Socket;
    while (bound.getsockname().port === 0) await turn(bound);
  };
  const lines = async (name: string, count: number): Promise<void> => {
    while ((printed[name]?.length ?? 0) < count) await turn(opened[0] as Socket);
  };
  const port = await freePort();
  const targets = cameras.map(({ host }) => [host, port] as const);
  for (const [index, camera] of cameras.entries()) {
    await start(page.receive(machine(`camera ${index}`, camera.socket), targets[index]!));
  }
  const [first, second, third] = cameras as [Camera, Camera, Camera];
  const [acks, pongs, nobody] = [await freePort(), await freePort(), await freePort()];
  await start(page.acknowledge(machine("ack receiver", second.socket), [second.host, acks]));
  await start(page.pingPong(machine("ping-pong", third.socket), [third.host, pongs]));

  await page.send(machine("one line", desk), targets[0]!);
  await lines("camera 0", 1);
  await page.fanOut(machine("fan-out", desk), targets);
  await lines("camera 0", 2);
  await page.fanOut(machine("fan-out to one", desk), [targets[0]!]);
  await lines("camera 0", 3);
  const ask = (name: string, to: readonly [string, number], what?: string): Promise<void> =>
    page.request(machine(`request ${name}`, desk), to, what);
  await ask("to the ack receiver", [second.host, acks]);
  await ask("that is cut, as its reply", [second.host, acks], "a".repeat(100));
  await ask("to ping-pong", [third.host, pongs]);
  await Promise.all([
    ask("that ping-pong does not answer", [third.host, pongs], "hello"),
    ask("that is only received", targets[0]!, "is anybody there?"),
    ask("where nobody listens", [first.host, nobody]),
  ]);

  await Promise.all(opened.map((each) => each.close()));
  for (const ended of await Promise.all(loops)) {
    if (!(ended instanceof OSError) || ended.code !== "ECANCELED") throw ended;
  }
  return withLetters(printed);
}

type Camera = Place["cameras"][number];

function onLoopback(stack: Stack): Place {
  const open = ((family, type, options) =>
    openSocket(() => stack, family ?? AF_INET, type ?? SOCK_DGRAM, options ?? {})) as typeof socket;
  const cameras = ["127.0.0.20", "127.0.0.21", "127.0.0.22"].map((host) => ({ host, socket: open }));
  return {
    desk: open,
    cameras,
    freePort: () => Promise.resolve(unusedPort()),
  };
}

/** Replaces addresses by letters: A is the first address that was printed, B the next. */
function withLetters(printed: Record<string, string[]>): Record<string, string[]> {
  const letters = new Map<string, string>();
  const letter = (address: string): string => {
    if (!letters.has(address)) letters.set(address, String.fromCharCode(65 + letters.size));
    return letters.get(address)!;
  };
  return Object.fromEntries(
    Object.entries(printed).map(([name, lines]) => [
      name,
      lines.map((line) => line.replace(/\d+\.\d+\.\d+\.\d+:\d+/, letter)),
    ]),
  );
}

function turn({ clock }: Socket): Promise<void> {
  return new Promise((resolve) => clock.turn(resolve));
}
